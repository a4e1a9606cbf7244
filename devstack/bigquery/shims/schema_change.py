"""Changes a table's columns in the catalogue and in storage together.

In the emulator, PATCH and PUT on a table change only the catalogue, ALTER TABLE only the storage; either way
the next statement meets a table at odds with itself. Everything that changes columns goes through here.
"""

from __future__ import annotations

from typing import Any

from bqemulator.api.routes.tables import _field_to_rest
from bqemulator.catalog.models import TableSchema
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns

from devstack.bigquery.shims.tables import TableName


def storage_type(field: Any) -> str:
    """Name the DuckDB type that holds a BigQuery field.

    Args:
        field: a field of the emulator's catalogue.

    Returns:
        The type, arrays and structs included.
    """
    ((_, type_name),) = bq_schema_to_duckdb_columns([_field_to_rest(field)])
    return str(type_name)


def change_columns(context: Any, entry: Any, fields: tuple[Any, ...]) -> Any:
    """Bring storage to `fields`, and return the catalogue entry that says so.

    Storage keeps the order of its columns and appends new ones; the entry follows it, for appended rows are
    matched to columns by position.

    Args:
        context: the emulator's application context.
        entry: catalogue entry before the change.
        fields: the fields wanted.

    Returns:
        The entry after the change; saving it is the caller's.

    Raises:
        InvalidQueryError: when no column would remain.
    """
    if not fields:
        raise InvalidQueryError("a table needs at least one column")
    wanted = {field.name.lower(): field for field in fields}
    kept = [wanted.pop(old.name.lower()) for old in entry.schema_.fields if old.name.lower() in wanted]
    table = TableName(entry.project_id, entry.dataset_id, entry.table_id).storage
    before = {field.name.lower(): field for field in entry.schema_.fields}
    for field in wanted.values():
        context.engine.execute(f'alter table {table} add column "{field.name}" {storage_type(field)}')
    for field in kept:
        if storage_type(field) != storage_type(before[field.name.lower()]):
            context.engine.execute(f'alter table {table} alter column "{field.name}" type {storage_type(field)}')
        if before[field.name.lower()].mode == "REQUIRED" and field.mode == "NULLABLE":
            context.engine.execute(f'alter table {table} alter column "{field.name}" drop not null')
    for name, field in before.items():
        if name not in {each.name.lower() for each in kept}:
            context.engine.execute(f'alter table {table} drop column "{field.name}"')
    schema = TableSchema(fields=(*kept, *wanted.values()))
    return entry.model_copy(update={"schema_": schema, "last_modified_time": context.clock.now()})
