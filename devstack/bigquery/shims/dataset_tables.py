"""Serves `dataset.__TABLES__`, the old listing with row counts that dbt's catalogue and freshness read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from devstack.bigquery.shims.row_counts import count_rows
from devstack.bigquery.shims.statements import Mend, Scope
from devstack.bigquery.shims.tables import TableName
from devstack.bigquery.shims.virtual_tables import arrow_rows, virtual_table

_SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("dataset_id", pa.string()),
        ("table_id", pa.string()),
        ("creation_time", pa.int64()),
        ("last_modified_time", pa.int64()),
        ("row_count", pa.int64()),
        ("size_bytes", pa.int64()),
        ("type", pa.int64()),
    ]
)
_TYPE_TABLE, _TYPE_VIEW = 1, 2


def _rows(scope: Scope, project_id: str, dataset_id: str | None) -> pa.Table:
    tables = scope.context.catalog.list_tables(project_id, dataset_id or "")
    return arrow_rows(_SCHEMA, [_row(scope.context.engine, table) for table in tables])


def _row(engine: Any, table: Any) -> tuple[str | int, ...]:
    is_view = "VIEW" in table.table_type
    name = TableName(table.project_id, table.dataset_id, table.table_id)
    return (
        table.project_id,
        table.dataset_id,
        table.table_id,
        int(table.creation_time.timestamp() * 1000),
        int(table.last_modified_time.timestamp() * 1000),
        0 if is_view else count_rows(engine, name),
        table.num_bytes,
        _TYPE_VIEW if is_view else _TYPE_TABLE,
    )


def mend() -> Mend:
    """Build the mend.

    Returns:
        What replaces the listing's name by its rows.
    """
    return virtual_table("__tables__", _rows)
