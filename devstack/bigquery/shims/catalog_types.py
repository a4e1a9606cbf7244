"""Tells the translator the columns of each table by dataset and table, arrays and structs included.

Some translations depend on the types of columns (`avg` of a NUMERIC is a NUMERIC). The emulator looks them up by
the table's bare name: where two datasets have a table of the same name, as zones do, one is taken for the
other, and `select *` may even be expanded to the wrong columns. Arrays pass for their elements.
"""

from __future__ import annotations

from typing import Any

from bqemulator.domain.errors import ValidationError
from bqemulator.sql import inner_query
from sqlglot import exp

from devstack.bigquery.shims.parse_cache import looking
from devstack.bigquery.shims.schema_change import storage_type
from devstack.bigquery.shims.statements import Scope, parsed
from devstack.bigquery.shims.tables import catalog_entry, table_name


def types_by_table(sql: str, *, project_id: str, catalog: Any) -> dict[str, dict[str, dict[str, str]]]:
    """Collect the types of every column of every table a statement names.

    Args:
        sql: one statement.
        project_id: the default project.
        catalog: the emulator's catalogue.

    Returns:
        DuckDB types by dataset, table and column.
    """
    tree = parsed(sql)
    types: dict[str, dict[str, dict[str, str]]] = {}
    scope = Scope(project_id, _CatalogOnly(catalog))
    for node in tree.find_all(exp.Table) if tree else ():
        name = table_name(node, scope)
        entry = catalog_entry(name, scope) if name else None
        if entry is not None and entry.schema_.fields:
            tables = types.setdefault(entry.dataset_id, {})
            tables[entry.table_id] = {field.name: _type(field) for field in entry.schema_.fields}
    return types


class _CatalogOnly:
    """A context of which only the catalogue is known."""

    def __init__(self, catalog: Any) -> None:
        self.catalog = catalog


def _type(field: Any) -> str:
    try:
        return storage_type(field)
    except ValidationError:
        return "VARCHAR"  # a type without a counterpart in DuckDB


def apply() -> None:
    """Replace the look-up in front of the translator."""
    inner_query.build_catalog_schema = looking(types_by_table, reads_only=True)
