"""Whether a comparison can be pushed down, and why not."""

from collections.abc import Iterator

from reconcile.compare.checksum import unhashable
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.pushdown.forms import has_form
from reconcile.result import Mode
from reconcile.rules import EXACT
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.model import Source


def refusal(plan: ComparisonPlan, warehouse: Source, mode: Mode) -> str | None:
    """Return why the warehouse cannot do its part of a comparison by itself; None when it can.

    Args:
        plan: the comparison.
        warehouse: the warehouse's table.
        mode: how it is compared.
    """
    return next(_refusals(plan, warehouse, mode), None)


def _refusals(plan: ComparisonPlan, warehouse: Source, mode: Mode) -> Iterator[str]:
    if not isinstance(warehouse, BigQuerySource):
        yield "the warehouse is not BigQuery"
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
