"""Serves INFORMATION_SCHEMA.COLUMN_FIELD_PATHS, which dbt reads for column comments and `docs generate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bqemulator.sql.rewriter.information_schema import _render_data_type

from devstack.bigquery.shims.statements import Mend, Scope
from devstack.bigquery.shims.virtual_tables import Column, Value, virtual_table

_COLUMNS = (
    Column("table_catalog", "string"),
    Column("table_schema", "string"),
    Column("table_name", "string"),
    Column("column_name", "string"),
    Column("field_path", "string"),
    Column("data_type", "string"),
    Column("description", "string"),
    Column("collation_name", "string"),
    Column("rounding_mode", "string"),
)


def _rows(scope: Scope, project_id: str, dataset_id: str | None) -> Iterator[tuple[Value, ...]]:
    for table in scope.context.catalog.list_tables(project_id, dataset_id or ""):
        prefix = (project_id, table.dataset_id, table.table_id)
        for field in table.schema_.fields:
            for path, inner in _paths(field, field.name):
                yield (*prefix, field.name, path, _render_data_type(inner), inner.description, "NULL", None)


def _paths(field: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, field
    for inner in field.fields:
        yield from _paths(inner, f"{path}.{inner.name}")


def mend() -> Mend:
    """Build the mend.

    Returns:
        What replaces the view's name by its rows.
    """
    return virtual_table("information_schema.column_field_paths", _COLUMNS, _rows)
