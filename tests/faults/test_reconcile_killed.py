"""A reconciliation that is killed, in one process without shards: started again, it does only the rest."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reconcile.report.files import read_json
from reconcile.result import RunResult

TABLES = ("first", "second", "third")
ROWS = 1_000
CONFIG = """
version: 1
limits: {memory_limit: 400 MB, threads: 1}
comparisons:
"""
COMPARISON = "  - {{name: {name}, key: [id], {sides}}}\n"

# Killed with both sides of the second table read, and nothing kept of it yet.
KILLED = """
import os, signal
import reconcile.comparing as comparing
made = comparing.compare
def compare(plan, *arguments, **options):
    if plan.name == "second":
        os.kill(os.getpid(), signal.SIGKILL)
    return made(plan, *arguments, **options)
comparing.compare = compare
"""
COMMAND = "from reconcile.cli import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three tables on disk, each with a row missing, one too many and one changed."""
    lines = [CONFIG]
    for table in TABLES:
        sides = []
        for side in ("warehouse", "snapshot"):
            ids = [n for n in range(ROWS) if n != (10 if side == "warehouse" else 20)]
            values = [f"{side if n == 30 else 'same'} {n}" for n in ids]
            place = tmp_path / side / table
            place.mkdir(parents=True)
            pq.write_table(pa.table({"id": ids, "v": values}), place / "a.parquet", write_page_checksum=True)
            sides.append(f'{side}: {{type: files, uri: "{place.as_uri()}"}}')
        lines.append(COMPARISON.format(name=table, sides=", ".join(sides)))
    (tmp_path / "reconcile.yml").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def run(folder: Path, output: str, *arguments: str, mutation: str = "") -> int:
    """Run the command in a process of its own; return its exit code, negative for a signal."""
    command = [sys.executable, "-c", mutation + COMMAND, "run", "--no-audit", "--output", output, *arguments]
    # Its scratch space must not outlive the test when it is killed.
    (folder / "scratch").mkdir(exist_ok=True)
    contracts = str(Path("dbt_project/models/raw").resolve())
    environment = os.environ | {"TMPDIR": str(folder / "scratch"), "MILLRACE_CONTRACTS_PATH": contracts}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode in (1, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def found(folder: Path, output: str) -> RunResult:
    """Return what a run found, without what two runs of the same never share."""
    result = read_json(folder / output)
    comparisons = tuple(replace(each, timing=None) for each in result.comparisons)  # type: ignore[arg-type]  # left out
    return replace(result, comparisons=comparisons, run_id="", started_at=None, seconds=0)  # type: ignore[arg-type]  # left out


def spoil(folder: Path, table: str) -> None:
    """Have nobody read a table again unnoticed."""
    for side in ("warehouse", "snapshot"):
        (folder / side / table / "a.parquet").write_bytes(b"no Parquet")


def differences(folder: Path, output: str, table: str) -> Any:
    return pq.read_table(folder / output / "differences" / f"{table}.parquet").to_pylist()


def test_a_run_that_is_killed_and_resumed_finds_what_an_undisturbed_one_does(folder: Path) -> None:
    named = ("--run-id", "nightly")
    assert run(folder, "alone") == 1
    assert run(folder, "out", *named, mutation=KILLED) == -signal.SIGKILL
    [kept] = (folder / "build/reconcile-state/runs/nightly/results").glob("[!.]*.json")
    assert kept.name == "first.00000.json"
    # What is done is neither read nor compared again: it could not be.
    spoil(folder, "first")
    assert run(folder, "out", *named) == 1
    assert found(folder, "out") == found(folder, "alone")
    assert [each.counts and each.counts.differences for each in found(folder, "out").comparisons] == [3, 3, 3]
    for table in TABLES:
        assert differences(folder, "out", table) == differences(folder, "alone", table)
    # Nothing of any row is left behind but in the report.
    left = {path.name for path in (folder / "build/reconcile-state/runs/nightly").iterdir()}
    assert left == {"plan.json", "merged.json"}


def test_a_file_replaced_while_nobody_ran_is_unreadable(folder: Path) -> None:
    named = ("--run-id", "nightly")
    assert run(folder, "out", *named, mutation=KILLED) == -signal.SIGKILL
    # A row of another version among those of the first: it would be found as a difference that never was.
    for side in ("warehouse", "snapshot"):
        part = folder / side / "third" / "a.parquet"
        pq.write_table(pq.read_table(part).slice(1), part, write_page_checksum=True)
    assert run(folder, "out", *named) == 1
    assert [each.verdict for each in found(folder, "out").comparisons] == ["different", "different", "unreadable"]
    assert "not those that the run began with" in (found(folder, "out").comparisons[2].reason or "")


def test_the_control_that_forgets_what_it_did_reads_it_again(folder: Path) -> None:
    """Were a run without a name to pass the test above, the test would prove nothing."""
    assert run(folder, "out", mutation=KILLED) == -signal.SIGKILL
    spoil(folder, "first")
    assert run(folder, "out") == 1
    assert [each.verdict for each in found(folder, "out").comparisons] == ["unreadable", "different", "different"]
