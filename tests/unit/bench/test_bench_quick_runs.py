"""Every benchmark runs, and its file says what the documentation promises. No speed is asserted anywhere."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench.cli import NAMES

ROOT = Path(__file__).parents[3]
KEYS = {
    "schema_version", "name", "title", "item", "cases", "ratios", "figures", "notes",
    "started_at", "quick", "rounds", "seconds", "machine",
}  # fmt: skip
MEASURES = {
    "ingest": {
        "events_per_core_s_arrow", "events_per_core_s_proto", "ratio_stock_clients", "p99_ms", "rss_mib",
        "ratio_two_workers",
    },
    # A quick run leaves out what takes minutes: the peers, and the memory of four times the rows.
    "reconcile": {
        "typed_rows_per_cpu_s", "typed_over_scan", "checksum_rows_per_cpu_s", "checksum_over_scan", "s3_overhead",
    },
    # Nor does it build the zones.
    "warehouse": {"ratio_incremental", "ratio_growth"},
}  # fmt: skip
CASE_KEYS = {"name", "kind", "about", "per_cpu_s", "items", "cpu_s", "wall_s", "peak_rss_mib"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """All benchmarks, in one run, as printed; the files must say the same."""
    folder = tmp_path_factory.mktemp("bench")
    done = bench("--quick", "--json", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    printed = {found["name"]: found for found in json.loads(done.stdout)}
    assert printed == {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    for found in printed.values():
        assert found["title"] in done.stderr
    return printed


def test_all_benchmarks_ran(documents: Mapping[str, Any]) -> None:
    assert tuple(documents) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_document_has_the_documented_keys(documents: Mapping[str, Any], name: str) -> None:
    found = documents[name]
    assert set(found) == KEYS | MEASURES.get(name, set())
    assert (found["schema_version"], found["quick"], found["rounds"]) == (1, True, 1)
    assert set(found["machine"]) == {"cores", "load_average", "platform", "python"}
    for case in found["cases"]:
        assert set(case) == CASE_KEYS
        assert len(case["items"]) == len(case["cpu_s"]) == len(case["wall_s"]) == 1
        assert case["items"][0] > 0
        assert case["cpu_s"][0] > 0
    for figure in found["figures"]:
        assert set(figure) == {"name", "value", "unit"}
        assert figure["value"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_ours_is_compared_with_somebody_else_in_the_same_run(documents: Mapping[str, Any], name: str) -> None:
    """The ratios follow from the runs in the very same document."""
    found = documents[name]
    cases = {case["name"]: case for case in found["cases"]}
    kinds = {case["kind"] for case in cases.values()}
    assert "ours" in kinds
    assert kinds & {"peer", "floor"}
    assert found["ratios"]
    for ratio in found["ratios"]:
        assert cases[ratio["of"]]["kind"] == "ours"
        rounds = [
            (of_items / of_cpu) / (over_items / over_cpu)
            for of_items, of_cpu, over_items, over_cpu in zip(
                *(cases[ratio[side]][key] for side in ("of", "over") for key in ("items", "cpu_s")), strict=True
            )
        ]
        assert ratio["value"] == pytest.approx(median(rounds), rel=0.01, abs=1e-4)
        assert ratio["low"] <= ratio["value"] <= ratio["high"]


@pytest.mark.parametrize("name", ["pull", "append", "ingest", "reconcile", "warehouse"])
def test_contenders_do_the_same_work(documents: Mapping[str, Any], name: str) -> None:
    whole = [case for case in documents[name]["cases"] if "fifth" not in case["name"]]
    assert len(whole) >= 2
    assert len({case["items"][0] for case in whole}) == 1


def test_an_unknown_benchmark_is_wrong_use() -> None:
    done = bench("no-such-thing")
    assert done.returncode == 2
    assert "no-such-thing" in done.stderr
    for name in NAMES:
        assert name in done.stderr


def test_help_shows_examples() -> None:
    done = bench("--help")
    assert done.returncode == 0
    assert "python -m bench pull decode" in done.stdout
