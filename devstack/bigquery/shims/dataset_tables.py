"""Serves `dataset.__TABLES__`, the old listing with row counts that dbt's catalogue and freshness read."""

from __future__ import annotations

from collections.abc import Iterator

from devstack.bigquery.shims.row_counts import count_rows
from devstack.bigquery.shims.statements import Mend, Scope
from devstack.bigquery.shims.tables import TableName
from devstack.bigquery.shims.virtual_tables import Column, Value, virtual_table

_COLUMNS = (
    Column("project_id", "string"),
    Column("dataset_id", "string"),
    Column("table_id", "string"),
    Column("creation_time", "int64"),
    Column("last_modified_time", "int64"),
    Column("row_count", "int64"),
    Column("size_bytes", "int64"),
    Column("type", "int64"),
)
_TYPE_TABLE, _TYPE_VIEW = 1, 2


def _rows(scope: Scope, project_id: str, dataset_id: str | None) -> Iterator[tuple[Value, ...]]:
    for table in scope.context.catalog.list_tables(project_id, dataset_id or ""):
        is_view = "VIEW" in table.table_type
        yield (
            project_id,
            table.dataset_id,
            table.table_id,
            int(table.creation_time.timestamp() * 1000),
            int(table.last_modified_time.timestamp() * 1000),
            0 if is_view else count_rows(scope.context.engine, TableName(project_id, table.dataset_id, table.table_id)),
            table.num_bytes,
            _TYPE_VIEW if is_view else _TYPE_TABLE,
        )


def mend() -> Mend:
    """Build the mend.

    Returns:
        What replaces the listing's name by its rows.
    """
    return virtual_table("__tables__", _COLUMNS, _rows)
