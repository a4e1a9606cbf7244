"""BigQuery as of one instant of its own clock: statements, read sessions and tasks, while the table changes."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from reconcile_world import DATASET, Estate, load

from core.clock import utc_now
from reconcile import ReconcileConfig, run
from reconcile.pushdown import remote
from reconcile.result import ComparisonResult, Mode
from reconcile.shards.running import Task, run_task

ROWS = 2_000
WRONG = 17
"""The one key whose row differs when a run begins."""
NAMES = ("pinned_a", "pinned_b")


def _config(root: Path, mode: Mode) -> ReconcileConfig:
    comparisons = [
        {
            "name": name,
            "key": ["id"],
            "mode": mode,
            "warehouse": f"{DATASET}.{name}",
            "snapshot": {"type": "files", "uri": (root / name).as_uri(), "rows": ROWS},
        }
        for name in NAMES
    ]
    return ReconcileConfig.model_validate({"version": 1, "comparisons": comparisons})


@pytest.fixture
def tables(estate: Estate, tmp_path: Path) -> Path:
    """Two tables of the warehouse and their rows in files, each with one row that differs."""
    rows = pa.table({"id": range(ROWS), "v": [f"value {n}" for n in range(ROWS)]})
    for name in NAMES:
        (tmp_path / name).mkdir()
        pq.write_table(rows, tmp_path / name / "a.parquet")
        values = ["wrong" if n == WRONG else f"value {n}" for n in range(ROWS)]
        schema = [schema_field("id", "int64"), schema_field("v", "string")]
        load(estate.client, f"{estate.client.project}.{DATASET}.{name}", schema, rows.set_column(1, "v", [values]))
    return tmp_path


def _write(estate: Estate, name: str) -> None:
    """Change a table thoroughly: rows gone, changed, new, and the one that was wrong mended."""
    for statement in (
        f"delete from {DATASET}.{name} where id between 10 and 30",
        f"update {DATASET}.{name} set v = 'later' where id > 1500",
        f"insert into {DATASET}.{name} (id, v) values (-1, 'new'), (17, 'value 17')",
    ):
        estate.client.query_and_wait(statement)


def _keys(found: ComparisonResult) -> list[str | None]:
    assert found.reason is None, found.reason
    assert found.counts is not None
    assert (found.counts.warehouse_rows, found.counts.differences) == (ROWS, 1)
    return [value.value for difference in found.sample for value in difference.key]


def _time_there(estate: Estate) -> datetime:
    [[now]] = estate.client.query_and_wait("select current_timestamp()")
    found: datetime = now
    return found


def test_rows_are_of_the_instant_of_the_checksums_that_they_explain(
    estate: Estate, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summed_up = remote.leaves

    def written_to_afterwards(source: Any, plan: Any, buckets: Any) -> Any:
        found = summed_up(source, plan, buckets)
        _write(estate, plan.name)
        return found

    monkeypatch.setattr(remote, "leaves", written_to_afterwards)
    for found in run(_config(tables, "checksum"), estate.settings, audit=False).comparisons:
        assert _keys(found) == [str(WRONG)]
        assert found.inputs is not None
        assert found.inputs.snapshot_time is not None


@pytest.mark.parametrize("mode", ["typed", "count"])
def test_all_tables_of_a_run_are_of_one_instant(estate: Estate, tables: Path, mode: Mode) -> None:
    written: list[str] = []

    def write_when_the_first_is_done(progress: Any) -> None:
        if progress.phase == "done" and not written:
            written.append(NAMES[1])
            _write(estate, NAMES[1])

    result = run(_config(tables, mode), estate.settings, audit=False, on_progress=write_when_the_first_is_done)
    assert written
    assert [found.counts.warehouse_rows for found in result.comparisons if found.counts] == [ROWS, ROWS]
    if mode == "typed":
        assert [_keys(found) for found in result.comparisons] == [[str(WRONG)]] * 2


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=-30)])
def test_the_instant_is_of_the_clock_of_the_service(estate: Estate, tables: Path, ahead: timedelta) -> None:
    def clock() -> datetime:
        return utc_now() + ahead

    before = _time_there(estate)
    result = run(_config(tables, "typed"), estate.settings, audit=False, clock=clock)
    assert [_keys(found) for found in result.comparisons] == [[str(WRONG)]] * 2
    instants = {found.inputs.snapshot_time for found in result.comparisons if found.inputs}
    [instant] = instants
    assert instant is not None
    assert before < instant < _time_there(estate)


def test_every_task_reads_as_of_the_instant_of_the_plan(estate: Estate, tables: Path, tmp_path: Path) -> None:
    def task(index: int) -> Any:
        where = Task(tmp_path / "tasks", "pinned", index, 2)
        return run_task(_config(tables, "typed"), estate.settings, where, audit=False)

    assert task(0).left == 1
    for name in NAMES:
        _write(estate, name)
    merged = task(1).result
    assert [_keys(found) for found in merged.comparisons] == [[str(WRONG)]] * 2
    assert len({found.inputs.snapshot_time for found in merged.comparisons}) == 1
