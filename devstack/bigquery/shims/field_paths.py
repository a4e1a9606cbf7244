"""Serves INFORMATION_SCHEMA.COLUMN_FIELD_PATHS, which dbt reads for column comments and `docs generate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from bqemulator.sql.rewriter.information_schema import _render_data_type

from devstack.bigquery.shims.statements import Mend, Scope
from devstack.bigquery.shims.virtual_tables import arrow_rows, virtual_table

_NAMES = (
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "field_path",
    "data_type",
    "description",
    "collation_name",
    "rounding_mode",
)
_SCHEMA = pa.schema([(name, pa.string()) for name in _NAMES])


def _rows(scope: Scope, project_id: str, dataset_id: str | None) -> pa.Table:
    tables = scope.context.catalog.list_tables(project_id, dataset_id or "")
    return arrow_rows(_SCHEMA, [row for table in tables for row in _rows_of(table)])


def _rows_of(table: Any) -> Iterator[tuple[str | None, ...]]:
    for field in table.schema_.fields:
        for path, inner in _paths(field, field.name):
            yield (
                table.project_id,
                table.dataset_id,
                table.table_id,
                field.name,
                path,
                _render_data_type(inner),
                inner.description,
                "NULL",
                None,
            )


def _paths(field: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, field
    for inner in field.fields:
        yield from _paths(inner, f"{path}.{inner.name}")


def mend() -> Mend:
    """Build the mend.

    Returns:
        What replaces the view's name by its rows.
    """
    return virtual_table("information_schema.column_field_paths", _rows)
