"""Runs in many tasks: parts add up to the whole, each is done once, and what stands is whole."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from reconcile_tables import column

from core.clients import gcs_client
from core.contracts import DataType
from core.errors import ConfigurationError, UnavailableError, UnreadableError
from core.pinned import open_store
from core.settings import Settings
from devstack.gcs import running_gcs
from reconcile.comparing import Work, make_comparison
from reconcile.config import Limits
from reconcile.plans import ComparisonPlan, FileSet, SnapshotPlan, WarehousePlan
from reconcile.policy import Partition
from reconcile.read.direct import read_footers
from reconcile.read.text import ARROW
from reconcile.report.files import prepare_output
from reconcile.result import ComparisonResult, Counts, SnapshotId, Timing
from reconcile.shards.bounds import Between
from reconcile.shards.cutting import ShardSize, cut, part_of
from reconcile.shards.folder import RunFolder, opened
from reconcile.shards.merging import merged_comparison, merged_differences
from reconcile.shards.model import PLAN_VERSION, Shard, ShardedRun, assigned
from reconcile.shards.running import Task, merge
from reconcile.sources.services import Services

AT = datetime(2026, 1, 5, tzinfo=UTC)
COLUMNS = (column("id", "int64", is_key=True), column("note", "string"), column("at", "timestamp"))
Table = list[tuple[Any, ...]]


def _files(folder: Path, rows: Table, *, per_file: int, group: int) -> FileSet:
    folder.mkdir(parents=True)
    for number, first in enumerate(range(0, max(1, len(rows)), per_file)):
        part = rows[first : first + per_file]
        arrays = {c.name: pa.array([row[n] for row in part], ARROW[c.data_type]) for n, c in enumerate(COLUMNS)}
        pq.write_table(pa.table(arrays), folder / f"part-{number:03}.parquet", row_group_size=group)
    root = folder.absolute().as_uri()
    return FileSet(root, open_store(root, Settings()).listing(""), "parquet")


def _plan(warehouse: FileSet, snapshot: FileSet) -> ComparisonPlan:
    return ComparisonPlan(
        name="things",
        contract=None,
        columns=COLUMNS,
        warehouse=WarehousePlan(warehouse, (), None, ""),
        snapshot=SnapshotPlan(snapshot.objects, "parquet", None, (), snapshot),
        not_compared=(),
    )


def _work(services: Services, output: Path, partition: str) -> Work:
    return Work(
        services=services,
        limits=Limits.model_validate({"memory_limit": "400 MB", "threads": 1, "sample": 1000}),
        output=output,
        values=False,
        mode=None,
        state=None,
        partitions={partition: Partition(column="at")},
        taken_at=None,
        on_progress=lambda _: None,
    )


def _in_parts(plan: ComparisonPlan, folder: Path, rows: int) -> tuple[int, ComparisonResult]:
    prepare_output(folder)
    with Services(Settings(), AT) as services:
        shards = cut(plan, services, mode="auto", size=ShardSize(rows), workers=1).shards
        parts = [
            make_comparison(_work(services, folder, part.name), part) for part in (part_of(plan, s) for s in shards)
        ]
    return len(shards), merged_comparison("things", parts, restriction="", sample=1000)


def _whole(plan: ComparisonPlan, folder: Path) -> ComparisonResult:
    prepare_output(folder)
    with Services(Settings(), AT) as services:
        return make_comparison(_work(services, folder, "things"), plan)


_CELLS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=60)


@hypothesis_settings(max_examples=8, deadline=None)
@given(_CELLS, _CELLS, st.integers(1, 12))
@example([(1, "a", 0)], [*[(0, "a", 0)] * 5, (0, "a", 1)], 1)
def test_parts_add_up_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory, left: Table, right: Table, per_file: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    sides = [[(key, note, AT + timedelta(days=day)) for key, note, day in sorted(rows)] for rows in (left, right)]
    plan = _plan(
        _files(folder / "w", sides[0], per_file=per_file, group=3), _files(folder / "s", sides[1], per_file=9, group=4)
    )
    _, merged = _in_parts(plan, folder / "parts", 5)
    whole = _whole(plan, folder / "whole")
    assert merged.reason is None, merged.reason
    assert merged.counts == whole.counts
    assert (merged.verdict, merged.columns, merged.sample) == (whole.verdict, whole.columns, whole.sample)
    assert {part.value: part for part in merged.partitions} == {part.value: part for part in whole.partitions}


def test_files_in_order_are_cut_and_others_stay_whole(tmp_path: Path) -> None:
    rows = [(n, "a", AT) for n in range(400)]
    changed = [(n, "b" if n % 100 == 7 else "a", AT) for n in range(400)]
    plan = _plan(
        _files(tmp_path / "w", rows, per_file=100, group=50), _files(tmp_path / "s", changed, per_file=50, group=50)
    )
    plan = replace(plan, snapshot=replace(plan.snapshot, restriction="is_test = false"))
    count, merged = _in_parts(plan, tmp_path / "out", 100)
    assert count == 4
    assert merged.counts is not None
    assert (merged.counts.changed, merged.counts.matched) == (4, 396)
    assert merged.why.startswith("in 4 ranges of the key; ")
    assert merged.inputs is not None
    # The filter is that of the whole: where a range begins and ends are keys, which may be personal.
    assert merged.inputs.snapshot_restriction == "is_test = false"
    assert {found.uri[-11:] for found in merged.inputs.objects} >= {"000.parquet", "007.parquet"}
    mixed = sorted(rows, key=lambda row: row[0] % 7)
    unordered = _plan(
        _files(tmp_path / "w2", mixed, per_file=100, group=50), _files(tmp_path / "s2", mixed, per_file=50, group=50)
    )
    with Services(Settings(), AT) as services:
        whole = partial(_why_whole, services)
        assert whole(unordered) == "the files of the snapshot do not follow the order of id"
        for mode in ("count", "aggregate", "sample", "checksum"):
            assert whole(plan, mode=mode) == f"the mode {mode} says something of the whole, or costs little"
        assert whole(plan, rows=10**6) == "it has 400 rows, and a part 250,000 or so, in whole row groups"
        (tmp_path / "s" / "part-003.parquet").write_bytes(b"PAR1")
        assert whole(plan) == "the footers of the snapshot cannot be read"


def _why_whole(services: Services, plan: ComparisonPlan, *, mode: str = "auto", rows: int = 100) -> str | None:
    found = cut(plan, services, mode=mode, size=ShardSize(rows), workers=1)
    assert [shard.of for shard in found.shards] == [1]
    return found.whole_because


def test_few_large_files_are_cut_at_row_groups_and_each_part_reads_its_own(tmp_path: Path) -> None:
    rows = [(n, "a", AT) for n in range(600)]
    changed = [(n, "b" if n % 100 == 7 else "a", AT) for n in range(600)]
    plan = _plan(
        _files(tmp_path / "w", rows, per_file=600, group=60), _files(tmp_path / "s", changed, per_file=300, group=50)
    )
    with Services(Settings(), AT) as services:
        shards = cut(plan, services, mode="auto", size=ShardSize(100), workers=1).shards
    assert [(shard.rows, shard.held) for shard in shards] == [(100, 300)] * 6
    read: Counter[str] = Counter()
    prepare_output(tmp_path / "out")
    with Services(Settings(), AT) as services:
        work = replace(
            _work(services, tmp_path / "out", "-"),
            on_progress=lambda told: read.update({f"{told.comparison} {told.phase}": told.rows}),
        )
        parts = [make_comparison(work, part_of(plan, shard)) for shard in shards]
    merged = merged_comparison("things", parts, restriction="", sample=1000)
    assert merged.counts == _whole(plan, tmp_path / "whole").counts
    assert merged.counts is not None
    assert merged.counts.changed == 6
    assert {read[f"{shard.name} snapshot"] for shard in shards} == {100}
    # Its row groups begin elsewhere, so that some are read for two parts.
    assert {read[f"{shard.name} warehouse"] for shard in shards} == {120, 180}


_KEYS: dict[DataType, Callable[[int], Any]] = {
    "int64": lambda n: n - 50,
    "date": lambda n: date(2026, 1, 1) + timedelta(days=n),
    "string": lambda n: f"{n:06}\u00e9",
}


@hypothesis_settings(max_examples=10, deadline=None)
@given(st.sampled_from(sorted(_KEYS)), st.tuples(st.integers(0, 100), st.integers(0, 100)), st.booleans())
def test_what_is_not_fetched_for_a_range_is_not_looked_at(
    tmp_path_factory: pytest.TempPathFactory, kind: DataType, ends: tuple[int, int], is_open: bool
) -> None:
    folder, key = tmp_path_factory.mktemp("holes"), _KEYS[kind]
    low, high = min(ends), max(ends)
    between = Between("id", (), None if is_open else key(low), key(high))
    rows = pa.table({"id": pa.array([key(n) for n in range(100)], ARROW[kind]), "note": ["note"] * 100})
    pq.write_table(rows, folder / "a.parquet", row_group_size=10, use_dictionary=False)
    store = open_store(folder.as_uri(), Settings())
    columns = (column("id", kind, is_key=True), column("note", "string"))
    footers = read_footers(columns, ("id", "note"), (between,), store, store.listing(""), workers=1)
    assert footers is not None
    whole = (folder / "a.parquet").read_bytes()
    holes = bytearray(len(whole))
    for start, end in ((0, 4), *((c.start, c.start + c.size) for c in footers[0].chunks)):
        holes[start:end] = whole[start:end]
    tail = len(whole) - footers[0].size - 8
    holes[tail:] = whole[tail:]
    (folder / "b.parquet").write_bytes(holes)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select id, note from read_parquet('{folder}/b.parquet') where {between.duckdb()} order by id"
        ).fetchall()
    assert found == [(key(n), "note") for n in range(100) if (is_open or n >= low) and n < high]
    # At most the groups at both ends are read for nothing.
    assert footers[0].rows_read <= (high - (0 if is_open else low)) + 30


def test_one_unreadable_part_makes_the_whole_unreadable(tmp_path: Path) -> None:
    rows = [(n, "a", AT) for n in range(200)]
    snapshot = _files(tmp_path / "s", rows, per_file=50, group=50)
    plan = _plan(_files(tmp_path / "w", rows, per_file=50, group=50), snapshot)
    prepare_output(tmp_path / "out")
    with Services(Settings(), AT) as services:
        shards = cut(plan, services, mode="auto", size=ShardSize(50), workers=1).shards
        (tmp_path / "s" / "part-002.parquet").write_bytes(b"PAR1")
        parts = [make_comparison(_work(services, tmp_path / "out", "-"), part_of(plan, shard)) for shard in shards]
    merged = merged_comparison("things", parts, restriction="", sample=5)
    assert (merged.verdict, merged.counts, merged.sample) == ("unreadable", None, ())
    assert "range 3 of 4" in (merged.reason or "")


def test_the_differences_of_all_parts_become_one_file(tmp_path: Path) -> None:
    rows = [(n, "a", AT) for n in range(200)]
    plan = _plan(
        _files(tmp_path / "w", rows, per_file=50, group=50),
        _files(tmp_path / "s", [(n, "b", AT) for n, *_ in rows], per_file=50, group=50),
    )
    prepare_output(tmp_path / "run")
    with Services(Settings(), AT) as services:
        shards = cut(plan, services, mode="auto", size=ShardSize(50), workers=1).shards
        parts = [make_comparison(_work(services, tmp_path / "run", "-"), part_of(plan, shard)) for shard in shards]
    target = tmp_path / "out" / "differences" / "things.parquet"
    assert merged_differences(tmp_path / "run", parts, target)
    assert sorted(key["id"] for key in pq.read_table(target).column("key").to_pylist()) == list(range(200))
    assert not merged_differences(tmp_path / "run", [], target)


_BOUNDS = st.none() | st.integers(-5, 5)


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.integers(-6, 6), max_size=12), _BOUNDS, _BOUNDS)
def test_a_range_means_the_same_in_arrow_and_in_sql(
    values: list[int | None], low: int | None, high: int | None
) -> None:
    is_first = low is None
    between = Between("id", (), low, high, is_first=is_first)
    expected = [
        is_first if value is None else (low is None or value >= low) and (high is None or value < high)
        for value in values
    ]
    held = pa.table({"id": pa.array(values, pa.int64())})
    assert between.mask(held.column("id").combine_chunks()).to_pylist() == expected
    with duckdb.connect() as connection:
        found = connection.execute(f"select id from held where coalesce({between.duckdb()}, false)").fetchall()
    assert [value for [value] in found] == [v for v, kept in zip(values, expected, strict=True) if kept]


def test_ranges_of_every_type_are_written_as_googlesql() -> None:
    assert Between("id", (), 1, 9).googlesql() == "(id >= 1 and id < 9)"
    assert Between("id", (), None, 9, is_first=True).googlesql() == "(id < 9 or id is null)"
    assert Between("day", (), date(2026, 1, 5)).googlesql() == "(day >= date '2026-01-05')"
    assert Between("name", (), "o'neil").googlesql() == "(name >= 'o\\'neil')"
    assert Between("name", (), "a", "b").duckdb() == "(\"name\" >= 'a' and \"name\" < 'b')"


@given(st.lists(st.integers(0, 1_000), max_size=30), st.integers(1, 6))
def test_every_shard_is_done_by_exactly_one_task(rows: list[int], count: int) -> None:
    shards = [Shard("t", number, len(rows), weight) for number, weight in enumerate(rows)]
    tasks = [assigned(shards, index, count) for index in range(count)]
    assert sorted(shard.number for task in tasks for shard in task) == list(range(len(rows)))
    loads = sorted(sum(shard.rows + 1 for shard in task) for task in tasks)
    assert loads[-1] - loads[0] <= max(rows, default=0) + 1


def test_shards_are_neither_too_large_nor_too_small() -> None:
    size = ShardSize(5_000_000, parts=16)
    assert [size.of(rows) for rows in (0, 100_000, 8_000_000, 10**9)] == [250_000, 250_000, 500_000, 5_000_000]


def test_bounds_survive_the_plan() -> None:
    for kind, low in (("int", -7), ("str", "a-7"), ("date", date(2026, 1, 5))):
        shard = Shard("t", 0, 2, 1, low=str(low), key_type=kind)  # type: ignore[arg-type]  # one of the three
        assert shard.bounds() == (low, None)


def test_the_plan_is_awaited_and_what_is_damaged_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    with pytest.raises(UnavailableError, match="task 0 writes it"):
        folder.await_plan(0.0)
    shard = Shard("t", 0, 1, 5)
    run = ShardedRun(PLAN_VERSION, "run", "c", AT, "p", SnapshotId("s3://b", "a", AT), None, False, {}, {}, (shard,))
    writer = threading.Timer(0.05, folder.keep_plan, [run])
    writer.start()
    assert folder.await_plan(30.0) == run
    writer.join()
    assert folder.open_shards(run) == (shard,)
    assert folder.result(shard) is None
    (tmp_path / "run/results" / f"{shard.name}.json").write_text("{", encoding="utf-8")
    with pytest.raises(UnreadableError, match="remove it"):
        folder.result(shard)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run").make()


def test_tasks_on_several_machines_share_a_bucket_of_cloud_storage(tmp_path: Path) -> None:
    shard = Shard("t", 0, 1, 5)
    run = ShardedRun(PLAN_VERSION, "run", "c", AT, "p", SnapshotId("s3://b", "a", AT), None, False, {}, {}, (shard,))
    found = ComparisonResult(
        name=shard.name, contract=None, owner=None, verdict="different", reason=None, counts=Counts(extra=1),
        columns=(), not_compared=(), sample=(), differences_file="differences/t.parquet", inputs=None,
        timing=Timing(0.5, 0.5),
    )  # fmt: skip
    with running_gcs() as url:
        settings = Settings(gcs_emulator_host=url)
        gcs_client(settings).create_bucket("tasks")
        with opened("gs://tasks/runs", "run", settings) as one, opened("gs://tasks/runs/", "run", settings) as other:
            one.make()
            other.make()
            assert (other.plan(), other.result(shard), other.merged()) == (None, None, None)
            one.keep_plan(run)
            assert (other.plan(), other.open_shards(run)) == (run, (shard,))
            (one.root / "differences/t.parquet").write_bytes(b"rows")
            one.keep_result(shard, found)
            assert (other.result(shard), other.open_shards(run)) == (found, ())
            other.fetch_differences([found])
            assert (other.root / "differences/t.parquet").read_bytes() == b"rows"
        # What lay on this machine has gone with the task.
        assert not one.root.exists()
        with opened("gs://nowhere", "run", settings) as nowhere, pytest.raises(ConfigurationError, match="bucket"):
            nowhere.keep_plan(run)
    with pytest.raises(ConfigurationError, match="names no place"), opened("ftp://host/a", "run", settings):
        pass


def test_a_task_and_a_run_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for index, count in ((2, 2), (-1, 1), (0, 0)):
        with pytest.raises(ConfigurationError, match="counted from 0"):
            Task(tmp_path, "run", index, count)
    with pytest.raises(ConfigurationError, match="no name of a run"):
        Task(tmp_path, "../run")
    with pytest.raises(ConfigurationError, match="holds no run"):
        merge(None, Settings(), tmp_path, "run")  # type: ignore[arg-type]  # never looked at
