"""A run in which PostgreSQL does its part itself: what it finds is what the join finds, and few rows are read."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from postgres_server import execute, running_server
from reconcile_world import DATASET, Estate, load

from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.comparing import Progress
from reconcile.plans import ComparisonPlan
from reconcile.result import ComparisonResult
from reconcile.runner import plan_with
from reconcile.shards.cutting import ShardSize, cut, part_of
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.services import Services

ROWS = 3_000
AT = datetime(2026, 1, 1, tzinfo=UTC)
_MADE = f"""
select
    g::int as id, lpad(to_hex(g * 7919), 8, '0') || '|' as code, (g / 8.0)::numeric(20, 9) as amount,
    g % 2 = 0 as flag, case when g % 5 > 0 then 'n' || g % 5 end as note, date '2026-01-01' + g % 28 as day,
    timestamptz '2026-01-01 00:00:00+00' + g * interval '1 microsecond' as at,
    (array['a', 'b|', null])[1 : g % 4] as tags
from generate_series(-5, {ROWS - 6}) as g
"""
COLUMNS = {
    "id": ("int64", pa.int64()),
    "code": ("string", pa.string()),
    "amount": ("numeric", pa.decimal128(38, 9)),
    "flag": ("bool", pa.bool_()),
    "note": ("string", pa.string()),
    "day": ("date", pa.date32()),
    "at": ("timestamp", pa.timestamp("us", "UTC")),
    "tags": ("array<string>", pa.list_(pa.string())),
}
EDITS = (
    "update {table} set note = '' where id = 11",
    "update {table} set note = 'null' where id = 15",
    "update {table} set amount = amount + 0.000000001 where id = 700",
    "update {table} set at = at + interval '1 microsecond' where id = 701",
    "update {table} set tags = array['a|b'] where id = 702",
    "update {table} set code = 'a' where id = 9",
    "delete from {table} where id in (-5, 0, 1200)",
    "insert into {table} select 2000000000, 'z' || code, amount, flag, note, day, at, tags from {table} where id = 3",
    "insert into {table} select * from {table} where id = 30",
)
ARROW = pa.schema([(name, kind) for name, (_, kind) in COLUMNS.items()])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as uri:
        execute(uri, f"create table whole as {_MADE}", f"create table edited as {_MADE}")
        execute(uri, *(edit.format(table="edited") for edit in EDITS))
        yield uri


@pytest.fixture(scope="module")
def rows(server: str) -> pa.Table:
    """The rows of the table that was not edited."""
    with pytest.MonkeyPatch.context() as patch, Services(Settings(), AT) as services:
        patch.setenv("SHOP_URI", server)
        [plan] = _planned(services, {"type": "postgresql", "connection": "SHOP_URI", "table": "public.whole"})
        with open_source(plan.warehouse.table, services) as source:
            wanted = [replace(column, cast=False) for column in plan.columns]
            found = source.rows(tuple(wanted), Predicate())  # type: ignore[arg-type]  # what is looked at, they have
            return pa.Table.from_batches(b for part in found.parts for b in part.read()).select(ARROW.names).cast(ARROW)


@pytest.fixture(autouse=True)
def _connection(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URI", server)


@pytest.fixture(scope="module")
def folder(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    for number in range(3):
        part = rows.slice(number * 1_000, 1_000)
        pq.write_table(part, made / f"{number}.parquet", row_group_size=250, write_page_checksum=True)
    return made


def _planned(services: Services, warehouse: dict[str, Any]) -> list[ComparisonPlan]:
    config = _config(warehouse, warehouse)
    return [found for found in plan_with(services, config).comparisons if isinstance(found, ComparisonPlan)]


def _config(warehouse: Any, snapshot: Any, **changes: Any) -> ReconcileConfig:
    comparison = {"name": "orders", "key": ["id"], "warehouse": warehouse, "snapshot": snapshot, **changes}
    return ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})


def table(name: str) -> dict[str, Any]:
    return {"type": "postgresql", "connection": "SHOP_URI", "table": f"public.{name}"}


Ran = tuple[ComparisonResult, Counter[str]]
"""What was found, and how many rows of each side were read."""


def _run(config: ReconcileConfig, settings: Settings | None = None, **asked: Any) -> Ran:
    read: Counter[str] = Counter()

    def on_progress(progress: Progress) -> None:
        read[progress.phase] += progress.rows

    [found] = run(config, settings or Settings(), audit=False, on_progress=on_progress, **asked).comparisons
    assert found.reason is None, found.reason
    return found, read


def _seen(found: ComparisonResult) -> Any:
    return found.counts, found.sample, [(column.name, column.changed) for column in found.columns]


by_every_key = pytest.mark.parametrize("key", [("id",), ("code",), ("code", "id")], ids="-".join)


@by_every_key
@pytest.mark.parametrize("side", ["warehouse", "snapshot"])
def test_checksums_by_the_database_find_what_the_join_finds_and_read_little(
    folder: Path, key: tuple[str, ...], side: str
) -> None:
    files = {"type": "files", "uri": folder.as_uri(), "rows": ROWS}
    sides = (table("edited"), files) if side == "warehouse" else (files, table("edited"))
    config = _config(*sides, key=key, snapshot_where={}, columns={})
    by_value, _ = _run(config, mode="typed")
    assert by_value.counts is not None
    assert by_value.counts.differences == len(EDITS) + 2 + (key != ("id",))
    found, read = _run(config, mode="checksum")
    assert _seen(found) == _seen(by_value)
    assert found.evidence is not None
    assert found.evidence.words.startswith(f"the {side} summed up its side itself")
    assert 8 <= read[side] < ROWS // 10


def test_two_databases_sum_up_their_sides_and_two_equal_ones_read_nothing(server: str) -> None:
    execute(server, "create table copy as select id::bigint as id, code, amount, flag, note, day, at, tags from whole")
    found, read = _run(_config(table("copy"), table("whole")), mode="checksum")
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("equal", 0, 0)
    found, read = _run(_config(table("edited"), table("whole")), mode="checksum")
    assert _seen(found) == _seen(_run(_config(table("edited"), table("whole")), mode="typed")[0])
    assert found.evidence is not None
    assert found.evidence.words.startswith("the warehouse and the snapshot summed up their sides themselves")
    assert 0 < read["warehouse"] < ROWS // 10 > read["snapshot"] > 0


def test_a_filter_and_a_sample_are_the_databases(folder: Path) -> None:
    files = {"type": "files", "uri": folder.as_uri()}
    where = {"where": {"flag": True}, "snapshot_where": {"flag": True}}
    config = _config(table("edited"), files, **where)
    assert _seen(_run(config, mode="checksum")[0]) == _seen(_run(config, mode="typed")[0])
    everything, _ = _run(_config(table("edited"), files, sample_share=1), mode="sample")
    assert everything.counts == _run(_config(table("edited"), files), mode="typed")[0].counts
    found, read = _run(_config(table("edited"), files, sample_share=0.1), mode="sample")
    assert found.evidence is not None
    [rows] = found.evidence.measures
    assert (rows.warehouse, rows.snapshot) == (str(ROWS - 1), str(ROWS))
    assert ROWS // 20 < read["warehouse"] < ROWS // 5


def test_counts_and_aggregates_read_no_row_of_the_database(folder: Path) -> None:
    files = {"type": "files", "uri": folder.as_uri()}
    found, read = _run(_config(table("edited"), files), mode="count")
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("different", 0, 0)
    assert found.counts is not None
    assert (found.counts.warehouse_rows, found.counts.snapshot_rows) == (ROWS - 1, ROWS)
    found, read = _run(_config(table("whole"), files), mode="aggregate")
    assert (found.verdict, read["warehouse"]) == ("equal", 0)
    assert found.evidence is not None
    names = {measure.name for measure in found.evidence.measures}
    assert names >= {"rows", "code min", "amount max", "at min", "day max", "flag checksum", "tags count"}
    found, _ = _run(_config(table("edited"), files), mode="aggregate")
    assert found.evidence is not None
    apart = {measure.name for measure in found.evidence.measures if not measure.agrees}
    assert apart >= {"rows", "id max", "note count", "amount checksum", "tags checksum", "at checksum", "code max"}


def test_bigquery_and_the_database_both_do_their_part(estate: Estate, rows: pa.Table) -> None:
    name = f"{estate.client.project}.{DATASET}.orders"
    load(estate.client, name, [schema_field(column, kind) for column, (kind, _) in COLUMNS.items()], rows)
    # BigQuery stores no null element.
    config = _config(f"{DATASET}.orders", table("edited"), columns={"tags": {"ignore": True}})
    by_value, _ = _run(config, estate.settings, mode="typed")
    found, read = _run(config, estate.settings, mode="checksum")
    assert _seen(found) == _seen(by_value)
    assert found.counts is not None
    assert (found.counts.missing, found.counts.extra, found.counts.duplicated_keys) == (1, 3, 1)
    assert 0 < read["warehouse"] < ROWS // 10 > read["snapshot"] > 0
    for mode in ("count", "aggregate"):
        assert _run(config, estate.settings, mode=mode)[0].verdict == "different"
    assert _run(config, estate.settings, mode="sample")[0].mode == "sample"


@pytest.mark.parametrize(
    ("column", "why"),
    [("1.5::float8", "float64"), ("1.5::numeric", "unbounded"), ("'{}'::jsonb", "json"), ("'x'::text", "a rule")],
)
def test_what_the_database_spells_differently_is_read_and_compared_all_the_same(
    server: str, tmp_path: Path, column: str, why: str
) -> None:
    name = f"t_{why.replace(' ', '_')}"
    execute(server, f"create table {name} as select g::bigint as id, {column} as v from generate_series(1, 50) as g")
    execute(server, f"create table {name}_2 as select * from {name} where id <> 7")
    columns = {"v": {"case": "ignore"}} if why == "a rule" else {}
    mode = "checksum" if why != "json" else "aggregate"
    found, read = _run(_config(table(f"{name}_2"), table(name), columns=columns), mode=mode)
    assert found.verdict == "different"
    assert (read["warehouse"] > 0) == (why != "json")


@pytest.mark.parametrize("key", ["id", "code"])
def test_ranges_of_keys_are_the_databases_filters(rows: pa.Table, tmp_path: Path, key: str) -> None:
    ordered = rows.sort_by(key)
    for number in range(3):
        pq.write_table(ordered.slice(number * 1_000, 1_000), tmp_path / f"{number}.parquet", row_group_size=250)
    with Services(Settings(), AT) as services:
        files, columns = {"type": "files", "uri": tmp_path.as_uri()}, {"tags": {"ignore": True}}
        config = _config(table("edited"), files, key=[key], columns=columns)
        [plan] = [found for found in plan_with(services, config).comparisons if isinstance(found, ComparisonPlan)]
        shards = cut(plan, services, mode="typed", size=ShardSize(1_000, least=1), workers=1).shards
        parts = [Predicate(part_of(plan, shard).warehouse.where) for shard in shards]
        with open_source(plan.warehouse.table, services) as source:
            counts = [source.count(part) for part in parts]
    assert len(counts) == 3
    assert sum(counts) == ROWS - 1
    assert min(counts) > 990


def test_values_that_googlesql_has_not_are_unreadable_though_nobody_reads_them(server: str) -> None:
    execute(server, "create table odd as select 1::bigint as id, date 'infinity' as day")
    for mode in ("aggregate", "checksum"):
        [found] = run(_config(table("odd"), table("odd")), Settings(), audit=False, mode=mode).comparisons
        assert found.verdict == "unreadable"
        assert "infinity" in (found.reason or "") or "day holds what no date can" in (found.reason or "")


def test_values_that_mark_deleted_rows_are_bound(server: str) -> None:
    execute(server, "create table marked as select * from whole", "create table rest as select * from whole")
    execute(server, "delete from rest where note in ('n1', 'n''; x')")
    deleted = {"warehouse": {"column": "note", "values": ["n1", "n'; x"]}}
    found, read = _run(_config(table("marked"), table("rest"), soft_deletes=deleted), mode="checksum")
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("equal", 0, 0)
    assert found.counts is not None
    # Those whose number leaves one when it is divided by five; below zero, none does.
    assert found.counts.warehouse_rows == ROWS - 599
