"""A broken warehouse is mended by events: reconcile, republish, ingest, build, and it is equal."""

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structure_events import Event, Key, Row
from structure_histories import BEGINNING
from structure_warehouse import Warehouse
from typer.testing import CliRunner

from core.contracts import Contracts
from core.settings import load_settings
from devstack.live.rows import random_row
from devstack.pubsub.process import running_server
from devstack.world.snapshots import snapshot_files
from ingest.setup import set_up
from reconcile.cli import app

TABLES = ("member_interactions", "member_identities", "member_points")
MODELS = ("str_truncates", *(f"str_{table}" for table in TABLES))
MOVING = "member_points"
"""The table that changes at the source while it is mended."""

TAKEN_AT = BEGINNING + timedelta(days=1)
KEYS = 12
LOST_UPDATE, LOST_INSERT, LOST_DELETE, SPURIOUS_DELETE, REMOVED, OVERWRITTEN = range(1, 7)
NEWER, OVERTAKEN, LATE = 7, 8, 9
CONFIG = """
version: 1
snapshot: {{uri: "{uri}", id: s1}}
defaults: {{dataset: structure, where: {{is_deleted: false}}}}
comparisons: [{{contract: member_interactions}}, {{contract: member_identities}}, {{contract: member_points}}]
"""


@dataclass(frozen=True)
class Broken:
    """A warehouse that differs from its snapshot, and the command that says so.

    Attributes:
        warehouse: the warehouse.
        command: `reconcile`, in a folder of its own.
    """

    warehouse: Warehouse
    command: Callable[..., Any]


def _event(table: str, op: Any, number: int, at: int, row: Row | None) -> Event:
    """The change of a key at a place in the log; `at` is that and the hour."""
    instant = BEGINNING + timedelta(minutes=at)
    return Event(
        table=table, op=op, event_id=f"{table}-{number}-{at}", landed_at=instant, key=(number,), position=at,
        sequence=1, happened_at=instant, after=row,
    )  # fmt: skip


def _snapshot(contracts: Contracts, truth: Mapping[str, Mapping[Key, Row]], folder: Path) -> None:
    plain = {
        table: {
            key: {
                name: json.dumps(value)
                if contracts[table].column(name).data_type == "json" and value is not None
                else value
                for name, value in row.items()
            }
            for key, row in rows.items()
        }
        for table, rows in truth.items()
    }
    tables = {}
    for file in snapshot_files(contracts, plain, frozenset()):
        path = folder / "s1" / file.path
        path.parent.mkdir(parents=True)
        path.write_bytes(file.data)
        tables[file.table] = {"format": file.format, "rows": file.rows, "files": [file.path]}
    manifest = {"snapshot_id": "s1", "taken_at": TAKEN_AT.isoformat(), "tables": tables}
    (folder / "s1" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture(scope="module")
def broken(structure_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    warehouse, folder = structure_warehouse, tmp_path_factory.mktemp("republish")
    chooser = random.Random(5)
    truth: dict[str, dict[Key, Row]] = {}
    first: list[Event] = []
    for table in TABLES:
        warehouse.empty(table)
        contract = warehouse.contracts[table]
        rows = {number: random_row(contract, (number,), chooser) for number in range(1, KEYS + 1)}
        truth[table] = {(number,): row for number, row in rows.items() if number != LOST_DELETE}
        landed = {number: row for number, row in rows.items() if number != LOST_INSERT}
        landed[LOST_UPDATE] = random_row(contract, (LOST_UPDATE,), chooser)
        first += [_event(table, "INSERT", number, 100 + number, row) for number, row in landed.items()]
        first.append(_event(table, "DELETE", SPURIOUS_DELETE, 120, None))
    # What the source changed after the snapshot is no fault of the warehouse.
    newer = random_row(warehouse.contracts[MOVING], (NEWER,), chooser)
    first.append(_event(MOVING, "UPDATE", NEWER, 2_000, newer))
    for number in (OVERTAKEN, LATE):
        stale = random_row(warehouse.contracts[MOVING], (number,), chooser)
        first.append(_event(MOVING, "UPDATE", number, 130, stale))
    warehouse.land(first)
    warehouse.build(MODELS)
    for table in TABLES:
        [key] = [column.name for column in warehouse.contracts[table].key]
        full = f"structure.{table}"
        warehouse.client.query_and_wait(f"delete from {full} where {key} = {REMOVED}")
        changed = next(c.name for c in warehouse.contracts[table].columns if c.data_type == "timestamp")
        spoilt = "timestamp '1999-01-01 00:00:00+00:00'"
        warehouse.client.query_and_wait(f"update {full} set {changed} = {spoilt} where {key} = {OVERWRITTEN}")
    _snapshot(warehouse.contracts, truth, folder / "snapshots")
    with running_server() as pubsub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", pubsub)
        patch.setenv("MILLRACE_CONTRACTS_PATH", str(warehouse.settings.contracts_path.resolve()))
        patch.setenv("MILLRACE_AUDIT_DATASET", "repair_audit")
        patch.chdir(folder)
        uri = (folder / "snapshots").as_uri()
        Path("reconcile.yml").write_text(CONFIG.format(uri=uri), encoding="utf-8")

        set_up(load_settings(), Contracts({table: warehouse.contracts[table] for table in TABLES}))
        yield Broken(warehouse, lambda *a: CliRunner().invoke(app, list(a)))


def _landed() -> int:
    """Ingest what is there, by the command; return how many rows landed."""
    tables = [part for table in TABLES for part in ("--table", table)]
    command = [sys.executable, "-m", "ingest.cli", "run", "--until-idle", "0.5", "--json", *tables]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["landed"])


def _counts(broken: Broken, output: str) -> dict[str, tuple[int, int, int]]:
    """Reconcile, and return what is missing, extra and changed by table."""
    done = broken.command("run", "--values", "--no-audit", "--mode", "typed", "--output", output)
    found = json.loads((Path(output) / "report.json").read_text(encoding="utf-8"))
    assert all(each["counts"] is not None for each in found["comparisons"]), done.output
    return {
        each["name"]: tuple(each["counts"][kind] for kind in ("missing", "extra", "changed"))
        for each in found["comparisons"]
    }


def _repair(broken: Broken, *arguments: str) -> dict[str, Any]:
    done = broken.command("repair", "before", "--republish", "--json", *arguments)
    assert done.exit_code == 0, (done.output, done.stderr)
    return {each["comparison"]: each for each in json.loads(done.stdout)}


def _ledger(broken: Broken) -> list[Row]:
    return broken.warehouse.rows("repair_audit.reconciliation_repairs")


def test_events_of_the_snapshot_mend_the_warehouse_and_lose_to_what_came_after(broken: Broken) -> None:
    warehouse = broken.warehouse
    plain = (3, 1, 2)
    assert _counts(broken, "before") == dict.fromkeys(TABLES, plain) | {MOVING: (3, 1, 5)}

    dry = _repair(broken)
    assert {name: told["messages"] for name, told in dry.items()} == dict.fromkeys(TABLES, 6) | {MOVING: 8}
    assert (dry[MOVING]["newer"], dry[MOVING]["left"], dry[MOVING]["published"]) == (1, 0, None)
    written = Path(str(dry[MOVING]["file"]))
    assert written.stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in io.StringIO(written.read_text(encoding="utf-8"))]
    assert {line["data"]["payload"]["op"] for line in lines} == {"r", "d"}

    sent = _repair(broken, "--apply")
    assert {name: told["published"] for name, told in sent.items()} == {n: told["messages"] for n, told in dry.items()}
    again = _repair(broken, "--apply")
    assert {(told["messages"], told["published"]) for told in again.values()} == {(0, 0)}
    assert {name: told["before"] for name, told in again.items()} == {n: told["messages"] for n, told in dry.items()}
    assert "published before" in broken.command("repair", "before", "--republish").output
    assert _landed() == len(_ledger(broken)) == 20

    # Meanwhile the source has changed one of the rows again, and an older change of another comes late.
    contract = warehouse.contracts[MOVING]
    later = random_row(contract, (OVERTAKEN,), random.Random(9))
    late = random_row(contract, (LATE,), random.Random(10))
    changes = [_event(MOVING, "UPDATE", OVERTAKEN, 3_000, later), _event(MOVING, "UPDATE", LATE, 125, late)]
    now = max(row["_ingestion_ts"] for row in warehouse.rows(f"raw.{MOVING}"))
    warehouse.land([replace(change, landed_at=now) for change in changes])
    warehouse.build(MODELS)

    assert _counts(broken, "after") == dict.fromkeys(TABLES, (0, 0, 0)) | {MOVING: (0, 0, 2)}
    held = {table: warehouse.structure(table) for table in TABLES}
    assert held[MOVING][(OVERTAKEN,)]["updated_at"] == later["updated_at"]
    assert held[MOVING][(NEWER,)]["_source_position"] == f"{2_000:020d}"
    assert all(held[table][(LOST_DELETE,)]["is_deleted"] for table in TABLES)
    warehouse.build(MODELS, "--full-refresh")
    rebuilt = {table: warehouse.structure(table) for table in TABLES}
    assert rebuilt == held


def test_the_ledger_tells_each_correction_and_no_value(broken: Broken) -> None:
    raw = {row["_event_id"]: row for table in TABLES for row in broken.warehouse.rows(f"raw.{table}")}
    entries = _ledger(broken)
    assert len({entry["repair_id"] for entry in entries}) == 1
    for entry in entries:
        landed = raw[entry["event_id"]]
        assert (entry["source_position"], entry["source_sequence"]) == (
            landed["_source_position"],
            landed["_source_sequence"],
        )
        assert landed["_source_ts"] == TAKEN_AT
        assert landed["_op"] == ("DELETE" if entry["kind"] == "extra" else "SNAPSHOT")
        assert (entry["method"], len(entry["digest"]), entry["changed_rows"]) == ("republish", 64, None)
