"""Knows tables that are partitioned by ranges of an integer.

The emulator has a place for them in its catalogue, but neither reads `partition by range_bucket(..)` nor tells
`tables.get` of it, so dbt takes such a table for one that is partitioned otherwise, and drops it.

Sources: https://cloud.google.com/bigquery/docs/creating-partitioned-tables#create_an_integer-range_partitioned_table,
https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#RangePartitioning.
"""

from __future__ import annotations

from typing import Any

import bqemulator.api.routes.tables as table_routes
from bqemulator.catalog.models import RangePartitioning
from sqlglot import exp


def declared(partitioned_by: exp.Expr | None) -> RangePartitioning | None:
    """Read the ranges of a `partition by`.

    Args:
        partitioned_by: what stands behind `partition by`, if anything.

    Returns:
        The ranges; None when it is partitioned by something else, or by bounds that are no literals.
    """
    if not isinstance(partitioned_by, exp.RangeBucket) or not isinstance(partitioned_by.this, exp.Column):
        return None
    bounds = partitioned_by.expression
    if not isinstance(bounds, exp.GenerateSeries):
        return None
    parts = ("start", "end", "step")
    numbers = [
        int(number.name)
        for number in (bounds.args.get(part) for part in parts)
        if isinstance(number, exp.Literal) and number.is_int
    ]
    if len(numbers) != len(parts):
        return None
    start, end, interval = numbers
    return RangePartitioning(field=partitioned_by.this.name, start=start, end=end, interval=interval)


def bucket(partitioning: RangePartitioning) -> str:
    """Return the partition of a row as an expression of DuckDB; -1 for the one of keys outside all ranges.

    Args:
        partitioning: the ranges.
    """
    column = '"' + partitioning.field.replace('"', '""') + '"'
    inside = f"{column} >= {partitioning.start} and {column} < {partitioning.end}"
    return f"if({inside}, ({column} - {partitioning.start}) // {partitioning.interval}, -1)"


def apply() -> None:
    """Have `tables.get` and its like tell the ranges."""
    to_rest = table_routes._table_to_rest  # noqa: SLF001 - there is no other way to the answer

    def to_rest_with_ranges(table: Any) -> dict[str, Any]:
        body: dict[str, Any] = to_rest(table)
        ranges = table.range_partitioning
        if ranges is not None:
            texts = {name: str(getattr(ranges, name)) for name in ("start", "end", "interval")}
            body["rangePartitioning"] = {"field": ranges.field, "range": texts}
        return body

    table_routes._table_to_rest = to_rest_with_ranges  # noqa: SLF001
