"""What a run would do, told beforehand: bytes by a dry run or an estimate, thresholds, partition, shards, the mode."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery
from reconcile_world import DATASET, EQUAL, ROOT, Estate
from rich.console import Console

from core.errors import ConfigurationError
from core.settings import Settings
from reconcile import ReconcileConfig, load_config, run
from reconcile.comparing import Progress
from reconcile.explaining import Bytes, ExplainedRun, explain
from reconcile.modes import LastRun, keep_run, last_run
from reconcile.report.plan_view import plan_json, print_plan
from reconcile.shards.running import Task, run_task


@pytest.fixture
def config() -> ReconcileConfig:
    config = load_config(ROOT / "reconcile.yml")
    return config.model_copy(update={"defaults": config.defaults.model_copy(update={"dataset": DATASET})})


def _shown(told: ExplainedRun) -> str:
    console = Console(record=True, width=240)
    print_plan(console, told)
    return console.export_text()


@pytest.mark.parametrize("mode", ["count", "aggregate", "sample", "checksum", "typed"])
def test_bytes_are_those_of_a_dry_run_and_else_an_estimate_that_says_so(
    estate: Estate, config: ReconcileConfig, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    asked: list[tuple[bool, str]] = []
    query = bigquery.Client.query

    def recording(client: bigquery.Client, sql: str, job_config: bigquery.QueryJobConfig, **rest: Any) -> Any:
        asked.append((bool(job_config.dry_run), sql))
        return query(client, sql, job_config=job_config, **rest)

    monkeypatch.setattr(bigquery.Client, "query", recording)
    for said in (None, 0, 12_345):
        monkeypatch.setattr(bigquery.QueryJob, "total_bytes_processed", said)
        told = explain(config, estate.settings, tables=["member_points"], snapshot_id=EQUAL, mode=mode)
        found = told.comparisons["member_points"]
        assert found.chosen.mode == mode
        expected = Bytes(12_345, "dry run") if said else Bytes(found.chosen.warehouse_bytes, "estimate")
        assert (found.warehouse, found.snapshot.told_by) == (expected, "listing")
        text = _shown(told)
        assert ("12,345 bytes by a dry run" in text, "by an estimate" in text) == (bool(said), not said)
        assert ("computes  warehouse" in text) == (mode != "typed")
    # BigQuery was asked for nothing but what a dry run of this mode is.
    assert {is_dry for is_dry, _ in asked} == {True}
    telling = {"count": "count(*)", "aggregate": " as a0", "checksum": "group by bucket"}.get(mode, "`member_id`")
    assert all(telling in sql for _, sql in asked)


def test_a_refused_dry_run_leaves_the_estimate(
    estate: Estate, config: ReconcileConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no right to run jobs")

    monkeypatch.setattr(bigquery.Client, "query", refuse)
    told = explain(config, estate.settings, tables=["members"], snapshot_id=EQUAL)
    assert told.comparisons["members"].warehouse.told_by == "estimate"


def _files(folder: Path, keys: range, note: str = "") -> dict[str, Any]:
    """Write keys in their order into four files of an own manifest's number of rows."""
    folder.mkdir()
    size = len(keys) // 4
    for number in range(4):
        part = list(keys[number * size : (number + 1) * size])
        notes = [note or f"n{key}" for key in part]
        pq.write_table(pa.table({"id": part, "note": notes}), folder / f"{number}.parquet", row_group_size=100)
    return {"type": "files", "uri": folder.as_uri(), "format": "parquet", "rows": size * 4}


def _config(warehouse: Any, snapshot: Any, names: tuple[str, ...] = ("things",), **changes: Any) -> ReconcileConfig:
    comparisons = [
        {"name": name, "key": ["id"], "warehouse": warehouse, "snapshot": snapshot, **changes} for name in names
    ]
    return ReconcileConfig.model_validate({"version": 1, "comparisons": comparisons})


def test_thresholds_partition_and_shards_are_shown(tmp_path: Path) -> None:
    sides = _files(tmp_path / "w", range(4_000)), _files(tmp_path / "s", range(4_000))
    changes = {
        "thresholds": {"differences": "0.01%", "columns": {"note": 3}},
        "partition": {"column": "note", "by": "value"},
        "columns": {"note": {"mask": False}},
    }
    config = _config(*sides, **changes)
    told = explain(config, Settings(), shard_rows=1_000, task_count=4, mode="typed")
    text = _shown(told)
    assert "passes    with at most differences 0.01%, column note 3" in text
    assert "counts by note, value" in text
    assert "shards    4 of 1,000 rows at most, for tasks" in text
    [found] = json.loads(plan_json(told))["comparisons"]
    assert found["thresholds"] == {"differences": "0.01%", "column note": "3"}
    assert found["partition"] == {"column": "note", "by": "value"}
    assert found["shards"] == [{"name": f"things.{n:05}", "rows": 1_000} for n in range(4)]
    assert found["reads"]["snapshot"]["told_by"] == "listing"
    plain = explain(_config(*sides), Settings())
    assert "passes    when nothing differs" in _shown(plain)
    assert "shards" not in _shown(plain)
    whole = _shown(explain(_config(*sides), Settings(), task_count=4, mode="checksum"))
    assert "shards    one, the whole: the mode checksum says something of the whole, or costs little" in whole
    with pytest.raises(ConfigurationError, match="partition"):
        explain(_config(*sides, partition={"column": "id_2"}), Settings())


@pytest.fixture
def unordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sides that are large, by what is called large here, and that no engine scans in the order of their key."""
    monkeypatch.setattr("reconcile.modes._SMALL_ROWS", 1_000)
    left, right = _files(tmp_path / "w", range(2_000)), tmp_path / "s"
    right.mkdir()
    lines = "".join(f'{{"id": {key}, "note": "n{key}"}}\n' for key in reversed(range(2_000)))
    (right / "a.ndjson").write_text(lines, encoding="utf-8")
    return left, {"type": "files", "uri": right.as_uri(), "rows": 2_000}


def test_auto_goes_by_how_much_differed_last_time(unordered: Any, tmp_path: Path) -> None:
    left, right = unordered
    state, modes = tmp_path / "state", []
    config = _config(left, right)
    for differing in (0, 0, 100, 0, 0):
        lines = [f'{{"id": {key}, "note": "{"x" if key < differing else f"n{key}"}"}}\n' for key in range(2_000)]
        (tmp_path / "s" / "a.ndjson").write_text("".join(lines), encoding="utf-8")
        told = explain(config, Settings(), state=state).comparisons["things"].chosen
        [found] = run(config, Settings(), audit=False, state=state).comparisons
        assert found.counts is not None
        assert found.counts.differences == differing
        # What was told beforehand is what was done.
        assert (told.mode, told.why) == (found.mode, found.why)
        modes.append((found.mode, found.why.split(":")[0]))
    assert [mode for mode, _ in modes] == ["typed", "checksum", "checksum", "typed", "checksum"]
    assert modes[0][1] == "no earlier run says how much differs"
    assert modes[1][1] == "the key is in no order and 0.0000% differed last time"
    assert modes[3][1] == "2.5000% differed last time"
    # A mode that proves less says nothing of how much differs, and is not remembered.
    run(config, Settings(), audit=False, state=state, mode="count")
    assert explain(config, Settings(), state=state).comparisons["things"].chosen.mode == "checksum"


def test_auto_is_decided_once_for_all_tasks(unordered: Any, tmp_path: Path) -> None:
    names = ("first", "second", "third")
    config = _config(*unordered, names=names)
    states = tmp_path / "state0", tmp_path / "state1"
    for name in names:
        # What the second task remembers would have it choose otherwise.
        keep_run(last_run(states[0], name), LastRun(4_000, 0))
        keep_run(last_run(states[1], name), LastRun(4_000, 4_000))
    seen: list[str] = []

    def on_progress(progress: Progress) -> None:
        seen.append(progress.comparison)

    for index, state in enumerate(states):
        seen.clear()
        task = Task(tmp_path / "shards", "run", index, 2)
        did = run_task(config, Settings(), task, audit=False, state=state, on_progress=on_progress)
        assert did.done > 0
    assert did.result is not None
    assert [found.mode for found in did.result.comparisons] == ["checksum"] * 3
    assert len({found.why for found in did.result.comparisons}) == 1
