"""Serves INFORMATION_SCHEMA views that can be joined, and quickly.

The emulator puts a `VALUES` list in the place of a view. GoogleSQL has no such list, so the names of its columns
are lost as soon as another rewriter passes the statement on, and `dbt docs generate`, which joins several
views, finds no columns. A list of some hundred rows, parsed again and again, also takes seconds.
"""

from __future__ import annotations

import pyarrow as pa
from bqemulator.sql.rewriter import information_schema

from devstack.bigquery.shims.statements import Mend, Scope
from devstack.bigquery.shims.virtual_tables import virtual_table

_VIEWS = (
    "columns",
    "materialized_views",
    "partitions",
    "routines",
    "row_access_policies",
    "schemata",
    "table_options",
    "tables",
    "views",
)


def typed(rows: pa.Table) -> pa.Table:
    """Give the columns of a `VALUES` list the types that BigQuery documents for them.

    Args:
        rows: the list, as DuckDB typed it.

    Returns:
        The same rows; a time is a TIMESTAMP, any other column without any value a STRING.
    """
    columns = [_typed(name, column) for name, column in zip(rows.column_names, rows.columns, strict=True)]
    return pa.table(columns, names=rows.column_names)


def _typed(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.null_count == len(column):
        is_time = name.lower().endswith(("_time", "_timestamp"))
        return pa.chunked_array([pa.nulls(len(column), pa.timestamp("us", tz="UTC") if is_time else pa.string())])
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    return column


def mends() -> list[Mend]:
    """Build one mend for each view.

    Returns:
        What replaces the names of the views by their rows.
    """
    return [_mend(view) for view in _VIEWS]


def _mend(view: str) -> Mend:
    name = f"information_schema.{view}"

    def rows(scope: Scope, project_id: str, dataset_id: str | None) -> pa.Table:
        qualified = f"`{project_id}`.`{dataset_id}`.{name}" if dataset_id else f"`{project_id}`.{name}"
        values = information_schema.expand_information_schema(qualified, project_id, scope.context.catalog)
        return typed(scope.context.engine.fetch_arrow(values))

    return virtual_table(name, rows)
