"""Whether a side of a comparison can do its part by itself, and why not."""

from collections.abc import Iterator

from reconcile.compare.checksum import unhashable
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.pushdown.forms import has_form
from reconcile.read.sides import Side, side_columns
from reconcile.result import Mode
from reconcile.rules import EXACT
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.files import FileSource
from reconcile.sources.model import Source
from reconcile.sources.postgresql import PostgresqlSource


def refusal(plan: ComparisonPlan, source: Source, mode: Mode, side: Side = "warehouse") -> str | None:
    """Return why one side cannot do its part of a comparison by itself; None when it can.

    Args:
        plan: the comparison.
        source: the side's table.
        mode: how it is compared.
        side: which side it is.
    """
    reasons = [*_of_plan(plan, mode)]
    return reasons[0] if reasons else next(_of_source(plan, source, mode, side), None)


def _of_plan(plan: ComparisonPlan, mode: Mode) -> Iterator[str]:
    if mode == "typed":
        yield "every value is compared"
    if plan.warehouse.in_flight is not None:
        yield "rows in flight are told one by one"
    if mode != "count":
        yield from (f"{column.name} is converted after it is read" for column in plan.columns if column.cast)
    if mode in ("sample", "checksum"):
        for column in plan.key:
            if column.rule != EXACT:
                yield f"the key column {column.name} is normalised after it is read"
            if not has_form(column.data_type):
                yield f"the key column {column.name} is of the type {column.data_type}"
    if mode == "checksum":
        yield from filter(None, (unhashable(plan), *map(unhashable_column, plan.columns)))


def _of_source(plan: ComparisonPlan, source: Source, mode: Mode, side: Side) -> Iterator[str]:
    """Yield why a source cannot; what cannot be told here (a column that is not there) is told as it is read."""
    columns = side_columns(plan, side)
    if isinstance(source, FileSource):
        yield "files compute nothing"
    elif mode != "count" and any(column.origin for column in columns):
        yield "a column is mapped after it is read"
    elif mode == "count" or isinstance(source, BigQuerySource):
        return
    elif not isinstance(source, PostgresqlSource):
        yield "Snowflake was never seen to hash a row as others do, so that it only counts its rows"
    else:
        hashed = {
            "sample": tuple(column for column in columns if column.is_key),
            "aggregate": tuple(column for column in columns if unhashable_column(column) is None),
        }
        yield from filter(None, (source.unhashable(hashed.get(mode, columns)),))
        if mode == "aggregate":
            yield from filter(None, (source.uncounted(columns),))


def unhashable_column(column: PlannedColumn) -> str | None:
    """Return why hashes by both engines cannot stand for the values of a column; None when they can.

    Args:
        column: the column.
    """
    rule = column.rule
    if not has_form(column.data_type):
        return f"{column.name} is of the type {column.data_type}, which the engines spell differently"
    if rule.absolute is not None or rule.relative is not None:
        return f"{column.name} has a tolerance"
    told_apart = (rule.nan, rule.zero, rule.null_array) != (EXACT.nan, EXACT.zero, EXACT.null_array)
    return f"{column.name} tells values apart that hash alike" if told_apart else None
