"""What push-down writes: rows that differ are written differently, ranges hold what they say, values are bound."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_tables import column, planned
from test_compare_oracle import _VALUES, _comparable

from core.contracts import DataType
from core.errors import ConfigurationError
from core.settings import Settings
from reconcile.plans import ComparisonPlan, InFlightPlan, PlannedColumn
from reconcile.pushdown.aggregates import aggregates
from reconcile.pushdown.buckets import KeyBuckets, key_buckets, sample_condition
from reconcile.pushdown.forms import row_hash, row_text
from reconcile.pushdown.statements import aggregate_statement, checksum_statement, count_statement
from reconcile.pushdown.suits import refusal
from reconcile.read.budget import MessageBudget
from reconcile.read.filters import Condition
from reconcile.read.warehouse import WarehouseTable
from reconcile.rules import Rule
from reconcile.shards.bounds import Between
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.services import Services

TABLE = WarehouseTable("a-project", "structure", "things")
_DUCKDB: dict[DataType, str] = {
    "int64": "bigint",
    "numeric": "decimal(38, 9)",
    "float64": "double",
    "bool": "boolean",
    "string": "varchar",
    "bytes": "blob",
    "timestamp": "timestamp",
    "array<string>": "varchar[]",
}
# Texts that look like what is written around them.
_TRAPS = st.none() | st.text("N|:0123a", max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_are_written_alike_exactly_when_they_are_equal(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(list(_VALUES)), min_size=1, max_size=4))
    values = _VALUES | {"string": _VALUES["string"] | _TRAPS, "array<string>": st.lists(_TRAPS, max_size=3)}
    rows = data.draw(st.lists(st.tuples(*(st.none() | values[kind] for kind in types)), min_size=2, max_size=8))
    fields = [(kind, f"v{n}") for n, kind in enumerate(types)]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"create table t ({', '.join(f'v{n} {_DUCKDB[kind]}' for n, kind in enumerate(types))})")
        naive = [[v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row] for row in rows]
        connection.executemany(f"insert into t values ({', '.join('?' for _ in types)})", naive)
        written = connection.execute(
            f"select {row_text(fields, 'duckdb')}, {row_hash(fields, 'duckdb')} from t order by rowid"
        ).fetchall()
    texts = [text for text, _ in written]
    assert None not in texts
    compared = [tuple(map(_comparable, row)) for row in rows]
    assert len(set(texts)) == len({repr(row) for row in compared})
    assert len({hashed for _, hashed in written}) == len(set(texts))


_KEYS = st.none() | st.integers(-3, 2**18) | st.sampled_from([2**63 - 1, -(2**63), 2**40, 2**62, 2**62 + 70_000])
_SPANS = st.lists(
    st.tuples(
        st.sampled_from([-(2**63), -5, 0, 3, 2**17, 2**62]),
        st.sampled_from([2**62, 2**62 + 90_000, 2**62 + 2**20, 2**63 - 1]) | st.integers(2**62, 2**63 - 1),
    )
    | st.tuples(st.integers(-3, 5), st.sampled_from([5, 2**16, 2**17 + 3])),
    min_size=1,
    max_size=2,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_KEYS, min_size=1, max_size=20), _SPANS, st.data())
def test_a_restriction_holds_exactly_the_rows_of_its_buckets(
    keys: list[int | None], bounds: list[tuple[int, int]], data: st.DataObject
) -> None:
    buckets = key_buckets((column("k", "int64", is_key=True),), bounds)
    assert buckets.shift is not None
    with duckdb.connect() as connection:
        connection.execute("create table t (k bigint)")
        connection.executemany("insert into t values (?)", [[key] for key in keys])
        bucket = buckets.sql("duckdb", ("k",))
        found = [bucket for (bucket,) in connection.execute(f"select distinct {bucket} from t").fetchall()]
        assert all(-2 <= one <= 2**16 for one in found)
        wanted = data.draw(st.lists(st.sampled_from(found), min_size=1, unique=True))
        restriction = buckets.restriction(wanted).replace("`", '"')
        by_bucket, by_range = (
            connection.execute(f"select k from t where {test} order by 1").fetchall()
            for test in (f"{bucket} in ({', '.join(map(str, wanted))})", restriction)
        )
    assert by_bucket == by_range


def test_neighbouring_buckets_are_one_range_and_other_keys_go_by_hash() -> None:
    key = (column("id", "int64", is_key=True),)
    assert KeyBuckets(key, 4).restriction({3, 1, 2, 9, -1, -2, 65_536}) == (
        "(`id` is null or `id` < 0 or `id` between 16 and 63 or `id` between 144 and 159 or `id` >= 1048576)"
    )
    late = KeyBuckets(key, 4, 2**60)
    assert late.restriction({0, 1, -1, 65_536}) == (
        f"(`id` < {2**60} or `id` between {2**60} and {2**60 + 31} or `id` >= {2**60 + 2**20})"
    )
    named = key_buckets((column("code", "string", is_key=True),), [("a", "zz")])
    assert named.shift is None
    assert named.restriction({7, 3}).endswith(" in (3, 7)")
    assert key_buckets(key, []).shift is None
    assert key_buckets(key, [(-9, -1)]).shift is None


@pytest.mark.parametrize("start", [1, 2**60, 2**62 - 100, 2**63 - 30_000])
@pytest.mark.parametrize("stray", [None, (-(2**63), 5), (0, 2**63 - 1)])
def test_neighbours_are_told_apart_wherever_the_keys_begin(start: int, stray: tuple[int, int] | None) -> None:
    span = (start, start + 20_000)
    theirs = span if stray is None else (min(start, stray[0]), max(span[1], stray[1]))
    buckets = key_buckets((column("id", "int64", is_key=True),), [span, theirs])
    with duckdb.connect() as connection:
        statement = f"select count(distinct {buckets.sql('duckdb', ('k',))}) from (select unnest(range(?, ?)) as k)"
        assert connection.execute(statement, span).fetchone() == (20_000,)


def test_values_are_bound_names_are_checked_and_the_instant_is_named() -> None:
    hostile = "'; drop table x; --"
    rule = Rule(null_equivalents=(hostile,), case="ignore", space="collapse", unicode="nfc")
    plan = _where(
        planned(column("id", "int64", is_key=True), column("v", "string", rule=rule)),
        Condition("region", (hostile, None, Decimal("1.5"))),
        Condition("nothing", ()),
    )
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    statement = checksum_statement(plan, TABLE, at, KeyBuckets(plan.key, 0))
    assert hostile not in statement.sql
    assert [parameter.value for parameter in statement.parameters] == [hostile, hostile, Decimal("1.5")]
    assert "for system_time as of timestamp '2026-01-02 03:04:05.000006+00:00'" in statement.sql
    assert "where (`region` in (@p1, @p2) or `region` is null) and false" in statement.sql
    assert "system_time" not in count_statement(plan, TABLE, None).sql
    odd = planned(column("id` from x", "int64", is_key=True))
    with pytest.raises(ConfigurationError, match="not a valid BigQuery name"):
        aggregate_statement(odd, TABLE, None, ["count(c0)"])


def _where(plan: ComparisonPlan, *conditions: Condition) -> ComparisonPlan:
    return replace(plan, warehouse=replace(plan.warehouse, where=conditions))


ID = column("id", "int64", is_key=True)


def test_a_range_of_keys_restricts_what_is_counted() -> None:
    plan = planned(column("id", "int64", is_key=True))
    shard = replace(plan, warehouse=replace(plan.warehouse, where=(Between("id", (), low=5, high=9, is_first=True),)))
    assert "where (id >= 5 and id < 9 or id is null)" in " ".join(count_statement(shard, TABLE, None).sql.split())


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ((ID, column("v", "json")), "v is of the type json, which the engines spell differently"),
        ((ID, column("v", "bignumeric")), "v is of the type bignumeric"),
        ((ID, column("v", "float64", rule=Rule(relative=0.1))), "v has a tolerance"),
        ((ID, column("v", "float64", rule=Rule(zero="signed"))), "v tells values apart that hash alike"),
        ((ID, column("v", "array<string>", rule=Rule(null_array="distinct"))), "v tells values apart that hash alike"),
        ((column("k", "string", is_key=True, rule=Rule(case="ignore")),), "the key column k is normalised"),
        ((column("k", "json", is_key=True),), "the key column k is of the type json"),
    ],
)
def test_what_hashes_cannot_stand_for_is_refused(columns: tuple[PlannedColumn, ...], why: str) -> None:
    source = BigQuerySource(Services(Settings(), datetime(2026, 1, 1, tzinfo=UTC)), TABLE, 1, MessageBudget(0))
    assert why in (refusal(planned(*columns), source, "checksum") or "")
    assert refusal(planned(*columns), source, "typed") == "every value is compared"
    assert refusal(planned(*columns), source, "count") is None
    flying = planned(ID, in_flight=InFlightPlan("_ingestion_ts", datetime(2026, 1, 1, tzinfo=UTC)))
    assert refusal(flying, source, "count") == "rows in flight are told one by one"
    cast = PlannedColumn("v", "v", "int64", False, Rule(), None, cast=True)
    assert refusal(planned(ID, cast), source, "aggregate") == "v is converted after it is read"


def test_the_aggregates_of_a_column_are_those_its_type_and_rule_have() -> None:
    columns = (ID, column("v", "float64", rule=Rule(relative=0.1)), column("b", "bool"), column("j", "json"))
    names = [name for name, _ in aggregates(columns, "googlesql")]
    assert names == ["id count", "id min", "id max", "id checksum", "v count", "b count", "b checksum", "j count"]
    assert names == [name for name, _ in aggregates(columns, "duckdb")]


def test_a_sample_takes_about_its_share_of_the_keys() -> None:
    condition = sample_condition((ID,), 2**60 // 10)
    with duckdb.connect() as connection:
        [[taken]] = connection.execute(f"select count(*) from range(20000) t(c0) where {condition}").fetchall()
    assert math.isclose(taken, 2_000, rel_tol=0.15)
