"""The statements that BigQuery is asked: GoogleSQL, as of one instant, with names checked and values bound."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from google.cloud import bigquery

from core.contracts import DataType
from core.identifiers import check_name, qualified
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.pushdown.forms import row_hash
from reconcile.read.filters import Condition, googlesql_literal
from reconcile.read.warehouse import WarehouseTable
from reconcile.rules import SPACE

_PARAMETER_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (Decimal, "NUMERIC"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
    (str, "STRING"),
)
_TRUNCATIONS: Final[dict[DataType, str]] = {
    "timestamp": "timestamp_trunc",
    "datetime": "datetime_trunc",
    "time": "time_trunc",
}


@dataclass(frozen=True)
class Statement:
    """A statement and the values bound to it.

    Attributes:
        sql: GoogleSQL.
        parameters: its query parameters.
    """

    sql: str
    parameters: tuple[bigquery.ScalarQueryParameter, ...]


@dataclass
class _Values:
    """Collects the values of a statement."""

    bound: list[bigquery.ScalarQueryParameter] = field(default_factory=list)

    def bind(self, value: Any, kind: str | None = None) -> str:
        name = f"p{len(self.bound)}"
        found = kind or next(name for python_type, name in _PARAMETER_TYPES if isinstance(value, python_type))
        self.bound.append(bigquery.ScalarQueryParameter(name, found, value))
        return f"@{name}"


def checksum_statement(
    plan: ComparisonPlan, table: WarehouseTable, at: datetime | None, buckets: KeyBuckets
) -> Statement:
    """Return the query of rows and sums of row hashes by bucket.

    Args:
        plan: the comparison.
        table: its warehouse table.
        at: instant to read as of (UTC); None for now.
        buckets: how keys are put into buckets.
    """
    values = _Values()
    fields = [(column.data_type, f"c{number}") for number, column in enumerate(plan.columns)]
    return _made(
        values,
        f"""\
with
source as (
{_source(plan, table, at, values)}
),

hashed as (
    select
        {buckets.sql("googlesql")} as bucket,
        {row_hash(fields, "googlesql")} as checksum
    from source
)

select
    bucket,
    count(*) as row_count,
    sum(cast(checksum as numeric)) as total
from hashed
group by bucket""",  # noqa: S608 - checked names, bound values
    )


def count_statement(plan: ComparisonPlan, table: WarehouseTable, at: datetime | None) -> Statement:
    """Return the query of the number of rows.

    Args:
        plan: the comparison.
        table: its warehouse table.
        at: instant to read as of (UTC); None for now.
    """
    values = _Values()
    return _made(values, f"select count(*) as row_count\n{_from(plan, table, at, values, indent='')}")


def aggregate_statement(
    plan: ComparisonPlan, table: WarehouseTable, at: datetime | None, aggregates: Sequence[str]
) -> Statement:
    """Return the query of the number of rows and some aggregates; one row.

    Args:
        plan: the comparison.
        table: its warehouse table.
        at: instant to read as of (UTC); None for now.
        aggregates: GoogleSQL over `c0`, `c1`, ...
    """
    values = _Values()
    selected = ",\n".join(f"    {sql} as a{number}" for number, sql in enumerate(aggregates))
    return _made(
        values,
        f"""\
with
source as (
{_source(plan, table, at, values)}
)

select
    count(*) as row_count,
{selected}
from source""",  # noqa: S608 - checked names, bound values
    )


def rows_statement(plan: ComparisonPlan, table: WarehouseTable, at: datetime | None) -> Statement:
    """Return the query of all rows, of which a dry run tells what reading them takes.

    Args:
        plan: the comparison.
        table: its warehouse table.
        at: instant to read as of (UTC); None for now.
    """
    values = _Values()
    selected = ",\n".join(f"    `{check_name(column.name)}`" for column in plan.columns)
    return _made(values, f"select\n{selected}\n{_from(plan, table, at, values, indent='')}")


def _made(values: _Values, sql: str) -> Statement:
    return Statement(sql, tuple(values.bound))


def _source(plan: ComparisonPlan, table: WarehouseTable, at: datetime | None, values: _Values) -> str:
    selected = ",\n".join(
        f"        {_normalised(column, values)} as c{number}" for number, column in enumerate(plan.columns)
    )
    return f"    select\n{selected}\n{_from(plan, table, at, values, indent='    ')}"


def _from(plan: ComparisonPlan, table: WarehouseTable, at: datetime | None, values: _Values, indent: str) -> str:
    as_of = f" for system_time as of {googlesql_literal(at)}" if at is not None else ""
    lines = [f"from {qualified(table.project, table.dataset, table.table)}{as_of}"]
    tests = [_test(condition, values) for condition in plan.warehouse.where]
    if tests:
        lines.append(f"where {' and '.join(tests)}")
    return "\n".join(indent + line for line in lines)


def _test(condition: Condition, values: _Values) -> str:
    if type(condition) is not Condition:
        # Another kind of condition, such as a range of keys, knows its own words.
        return condition.googlesql()
    name = f"`{check_name(condition.column)}`"
    constants = [values.bind(value) for value in condition.values if value is not None]
    parts = [f"{name} in ({', '.join(constants)})"] if constants else []
    if None in condition.values:
        parts.append(f"{name} is null")
    return f"({' or '.join(parts)})" if parts else "false"


def _normalised(column: PlannedColumn, values: _Values) -> str:
    """Return a column's value as its rule says, as `reconcile.rules.normalised` says it to DuckDB."""
    value = _form(column, f"`{check_name(column.name)}`")
    if not column.rule.null_equivalents:
        return value
    constants = [f"cast({values.bind(text, 'STRING')} as {column.data_type})" for text in column.rule.null_equivalents]
    alike = ", ".join(_form(column, constant) for constant in constants)
    return f"case when {value} in ({alike}) then null else {value} end"


def _form(column: PlannedColumn, value: str) -> str:
    """Return a value, or a null equivalent, in the form in which it is compared."""
    rule = column.rule
    if rule.unicode == "nfc":
        value = f"normalize({value}, nfc)"
    if rule.space == "collapse":
        value = f"regexp_replace({value}, r'{SPACE}', ' ')"
    if rule.space != "exact":
        value = f"regexp_replace({value}, r'^{SPACE}|{SPACE}$', '')"
    if rule.case == "ignore":
        value = f"lower({value})"
    if rule.precision is not None:
        value = f"{_TRUNCATIONS[column.data_type]}({value}, {rule.precision})"
    if rule.order != "exact":
        elements = "distinct e" if rule.order == "set" else "e"
        value = f"array(select {elements} from unnest({value}) as e order by e)"  # noqa: S608 - a checked name
    return value
