"""The statements and row restrictions of push-down, read by GoogleSQL's own analyzer."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest
from googlesql import Catalog

from core.contracts import DataType
from reconcile.plans import ComparisonPlan, PlannedColumn, SnapshotPlan, WarehousePlan
from reconcile.pushdown.aggregates import aggregates
from reconcile.pushdown.buckets import KeyBuckets, sample_restriction
from reconcile.pushdown.forms import has_form
from reconcile.pushdown.statements import Statement, aggregate_statement, checksum_statement, count_statement
from reconcile.read.filters import Condition
from reconcile.read.warehouse import WarehouseTable
from reconcile.rules import EXACT, Rule

TABLE = WarehouseTable("a-project", "structure", "things")
AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
RULES: tuple[tuple[DataType, Rule], ...] = (
    ("string", Rule(case="ignore", space="collapse", unicode="nfc", null_equivalents=("", "n/a"))),
    ("string", Rule(space="trim")),
    *((kind, Rule(precision="millisecond")) for kind in ("timestamp", "datetime", "time")),
    ("timestamp", Rule(precision="day", null_equivalents=("1970-01-01 00:00:00",))),
    ("numeric", Rule(null_equivalents=("0",))),
    ("array<string>", Rule(order="ignore")),
    ("array<int64>", Rule(order="set")),
)


def _columns() -> tuple[PlannedColumn, ...]:
    kinds: list[tuple[DataType, Rule]] = [(kind, EXACT) for kind in get_args(DataType)] + list(RULES)
    return tuple(
        PlannedColumn(f"v{n}", f"v{n}", kind, is_key=n == 0, rule=rule, masked=None, cast=False)
        for n, (kind, rule) in enumerate(kinds)
    )


def _plan(columns: tuple[PlannedColumn, ...]) -> ComparisonPlan:
    where = (Condition("v0", (1, 2, None)), Condition("v1", (Decimal("1.5"),)))
    return ComparisonPlan(
        "things", None, columns, WarehousePlan(TABLE, where, None, ""), SnapshotPlan((), "parquet", None, ()), ()
    )


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    made = Catalog("a-project")
    made.add("structure", "things", {column.name: column.data_type for column in _columns()})
    return made


def _spelled(statement: Statement) -> str:
    """Return a statement with its parameters as casts of null, which the analyzer takes without being told of them."""
    kinds = {parameter.name: parameter.type_ for parameter in statement.parameters}
    # BigQuery takes a whole path in one pair of backquotes, the analyzer a pair for each part.
    path = statement.sql.replace("`a-project.structure.things`", "`a-project`.structure.things")
    return re.sub(r"@(\w+)", lambda found: f"cast(null as {kinds[found[1]]})", path)


def test_bigquery_accepts_every_statement(catalog: Catalog) -> None:
    hashable = tuple(column for column in _columns() if has_form(column.data_type))
    every = _plan(_columns())
    statements = [
        checksum_statement(_plan(hashable), TABLE, AT, KeyBuckets(hashable[:1], 7, 2**62)),
        checksum_statement(_plan(hashable), TABLE, AT, KeyBuckets(hashable, None)),
        aggregate_statement(every, TABLE, AT, [sql for _, sql in aggregates(every.columns, "googlesql")]),
        count_statement(every, TABLE, None),
    ]
    assert {catalog.analyze(_spelled(statement)) for statement in statements} == {None}


def test_bigquery_accepts_every_row_restriction(catalog: Catalog) -> None:
    hashable = tuple(column for column in _columns() if has_form(column.data_type))
    restrictions = [
        KeyBuckets(hashable[:1], 7, 2**62).restriction([-2, -1, 3, 4, 9, 65_536]),
        KeyBuckets(hashable, None).restriction([3, 9]),
        sample_restriction(hashable, 2**50),
    ]
    found = [catalog.analyze(f"select 1 from structure.things where {restriction}") for restriction in restrictions]
    assert found == [None, None, None]


def test_what_is_no_statement_is_refused(catalog: Catalog) -> None:
    odd = replace(_columns()[0], name="nowhere")
    statement = checksum_statement(_plan((odd,)), TABLE, AT, KeyBuckets((odd,), 7))
    assert "nowhere" in (catalog.analyze(_spelled(statement)) or "")
