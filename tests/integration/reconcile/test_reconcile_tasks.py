"""Ranges of a table in BigQuery, pins that hold across tasks, and thresholds that decide the exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from reconcile_world import DATASET, Estate, load
from typer.testing import CliRunner

from core.clock import utc_now
from reconcile.cli import app
from reconcile.comparing import Work, make_comparison
from reconcile.config_file import load_config
from reconcile.plans import ComparisonPlan
from reconcile.report.files import prepare_output, read_json
from reconcile.result import ComparisonResult
from reconcile.runner import plan_with, run
from reconcile.shards.cutting import ShardSize, cut, part_of
from reconcile.shards.merging import merged_comparison
from reconcile.shards.running import Task, run_task
from reconcile.sources.services import Services

_CONFIG = """
version: 1
limits: {{memory_limit: 400 MB, threads: 1}}
comparisons:
  - name: widgets
    key: [id]
    warehouse: {dataset}.widgets
    thresholds: {thresholds}
snapshot: {{uri: "{uri}", manifest: null}}
"""


@pytest.fixture
def configured(estate: Estate, tmp_path: Path) -> Callable[[str], Path]:
    """A table of 200 rows, some of them wrong and one without a key, and its snapshot in four files in order."""
    rows = [(n, "old" if n % 50 == 7 else f"note {n}") for n in range(200) if n != 120]
    schema = [schema_field("id", "int64"), schema_field("note", "string")]
    table = pa.table({"id": [*(n for n, _ in rows), None], "note": [*(note for _, note in rows), "nobody's"]})
    load(estate.client, f"{estate.client.project}.{DATASET}.widgets", schema, table)
    folder = tmp_path / "snapshots/2026-01-05/widgets"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        ids = list(range(number * 50, number * 50 + 50))
        part = pa.table({"id": ids, "note": [f"note {n}" for n in ids]})
        pq.write_table(part, folder / f"part-{number}.parquet", row_group_size=25)

    def write(thresholds: str) -> Path:
        uri = (tmp_path / "snapshots").as_uri()
        path = tmp_path / "widgets.yml"
        path.write_text(_CONFIG.format(dataset=DATASET, uri=uri, thresholds=thresholds), encoding="utf-8")
        return path

    return write


def _in_ranges(estate: Estate, path: Path, output: Path) -> tuple[int, ComparisonResult]:
    config = load_config(path)
    prepare_output(output)
    with Services(estate.settings, utc_now()) as services:
        [plan] = plan_with(services, config).comparisons
        assert isinstance(plan, ComparisonPlan)
        shards = cut(plan, services, mode="typed", size=ShardSize(50, least=1), workers=1).shards
        work = Work(
            services=services,
            limits=config.limits,
            output=output,
            values=False,
            mode="typed",
            state=None,
            partitions={},
            taken_at=None,
            on_progress=lambda _: None,
        )
        parts = [make_comparison(work, part_of(plan, shard)) for shard in shards]
    return len(parts), merged_comparison("widgets", parts, restriction="", sample=100)


def test_ranges_of_a_table_in_bigquery_add_up_to_the_whole(
    estate: Estate, configured: Callable[[str], Path], tmp_path: Path
) -> None:
    path = configured("null")
    count, ranges = _in_ranges(estate, path, tmp_path / "ranges")
    [whole] = run(load_config(path), estate.settings, audit=False, mode="typed").comparisons
    assert count == 4
    assert (ranges.reason, ranges.counts, ranges.verdict) == (None, whole.counts, "different")
    assert ranges.counts is not None
    assert ranges.counts.warehouse_rows == 200
    assert (ranges.counts.changed, ranges.counts.missing, ranges.counts.extra) == (4, 1, 1)
    assert ranges.sample == whole.sample


def test_a_snapshot_that_is_replaced_between_tasks_is_unreadable(
    estate: Estate, configured: Callable[[str], Path], tmp_path: Path
) -> None:
    config = load_config(configured("null"))

    def task(index: int) -> Any:
        where = Task(tmp_path / "tasks", "replaced", index, 2)
        return run_task(config, estate.settings, where, output=tmp_path / "out", audit=False)

    # Task 1 has nothing to do but to wait for the plan; the one comparison is task 0's.
    first = task(0)
    assert (first.done, first.left) == (1, 0)
    for name in ("results", "merged.json"):
        (tmp_path / "tasks/replaced" / name).rename(tmp_path / f"lost-{name}")
    part = tmp_path / "snapshots/2026-01-05/widgets/part-1.parquet"
    part.write_bytes(part.read_bytes() + b"PAR1")
    again = task(0).result
    assert again.verdict == "unreadable"
    assert "not those that the run began with" in again.comparisons[0].reason
    # what was unreadable is tried again by whoever comes, and found so again
    other = task(1).result
    assert other.verdict == "unreadable"
    assert [each.reason for each in other.comparisons] == [each.reason for each in again.comparisons]


def test_thresholds_decide_the_exit_code(
    estate: Estate, configured: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(estate.settings.bigquery_emulator_host))
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", str(estate.settings.bigquery_storage_emulator_host))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(estate.settings.s3_endpoint_url))
    monkeypatch.setenv("MILLRACE_CONTRACTS_PATH", str(estate.settings.contracts_path))
    for thresholds, code in [("{changed: 4, missing: 1, extra: 1}", 0), ("{differences: 5}", 1), ("null", 1)]:
        path = str(configured(thresholds))
        done = CliRunner().invoke(app, ["run", "--config", path, "--no-audit", "--output", str(tmp_path / "out")])
        assert done.exit_code == code, done.output
        result = read_json(tmp_path / "out")
        assert (result.verdict, result.outcome) == ("different", "failed" if code else "passed")
        assert CliRunner().invoke(app, ["show", str(tmp_path / "out")]).exit_code == code
