"""Runs ALTER TABLE, VIEW and SCHEMA on the catalogue and on storage together.

The emulator passes ALTER TABLE to storage without telling its catalogue, takes one action per statement only,
and cannot read ALTER VIEW or ALTER SCHEMA at all. Descriptions and labels are kept; options that steer
cost or retention (`expiration_timestamp`, `partition_expiration_days`, ...) have no meaning here and are
accepted without effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bqemulator.api.routes.tables import _parse_schema_fields
from bqemulator.domain.errors import InvalidQueryError, ResourceRef, resource_not_found
from bqemulator.storage.type_map import bq_to_duckdb, duckdb_type_to_bq_field
from sqlglot import exp

from devstack.bigquery.shims.schema_change import change_columns
from devstack.bigquery.shims.statements import DIALECT, Mend, Scope, parsed
from devstack.bigquery.shims.tables import TableName, catalog_entry, table_name

# Something harmless that the emulator still reports as ALTER TABLE, without rows.
NOTHING_LEFT_TO_DO = "alter table altered.altered set options ()"

Fields = tuple[Any, ...]

# What sqlglot cannot read: options of a schema, a view or a column. A name has no quotes and no spaces in it.
_OPTIONS_ONLY = re.compile(
    r"(schema|view|table)\s+(if\s+exists\s+)?\S+\s+(alter\s+column\s+(if\s+exists\s+)?\S+\s+)?set\s+options\b", re.I
)


def rewrite(sql: str, scope: Scope) -> str | None:
    """Perform an ALTER statement.

    Args:
        sql: one statement.
        scope: the catalogue and the engine to change.

    Returns:
        A statement without effect, or None when `sql` is no ALTER.

    Raises:
        NotFoundError: when the table does not exist and the statement has no IF EXISTS.
        InvalidQueryError: when an action cannot be done.
    """
    tree = parsed(sql)
    if isinstance(tree, exp.Command) and str(tree.this).lower() == "alter":
        return NOTHING_LEFT_TO_DO if _OPTIONS_ONLY.match(str(tree.expression).lstrip()) else None
    if not isinstance(tree, exp.Alter):
        return None
    name = table_name(tree.this, scope)
    if name is None:
        return None
    entry = catalog_entry(name, scope)
    if entry is None:
        if tree.args.get("exists"):
            return NOTHING_LEFT_TO_DO
        raise resource_not_found(ResourceRef("table", name.project_id, name.dataset_id, name.table_id))
    for action in tree.args["actions"]:
        entry = _perform(action, entry, name, scope)
    return NOTHING_LEFT_TO_DO


def _perform(action: exp.Expr, entry: Any, name: TableName, scope: Scope) -> Any:
    catalog = scope.context.catalog
    if isinstance(action, exp.AlterSet):
        return catalog.update_table(_with_options(entry, action))
    if isinstance(action, exp.AlterRename):
        return _rename_table(action, entry, name, scope)
    if isinstance(action, exp.RenameColumn):
        return catalog.update_table(_rename_column(action, entry, name, scope))
    edit = _EDITS.get(type(action))
    if edit is None:
        raise InvalidQueryError(f"this stand-in cannot perform {action.sql(dialect=DIALECT)!r}")
    return catalog.update_table(change_columns(scope.context, entry, edit(action, entry.schema_.fields)))


def _add_column(action: exp.Expr, fields: Fields) -> Fields:
    if _position(action.name, fields, missing_ok=True) is not None:
        if action.args.get("exists"):
            return fields
        raise InvalidQueryError(f"Column already exists: {action.name}")
    storage = bq_to_duckdb(action.args["kind"].sql(dialect=DIALECT))
    return fields + tuple(_parse_schema_fields([duckdb_type_to_bq_field(action.name, storage)]))


def _drop_column(action: exp.Expr, fields: Fields) -> Fields:
    position = _position(action.this.name, fields, missing_ok=bool(action.args.get("exists")))
    return fields if position is None else fields[:position] + fields[position + 1 :]


def _alter_column(action: exp.Expr, fields: Fields) -> Fields:
    position = _position(action.name, fields)
    field = fields[position or 0]
    kind = action.args.get("dtype")
    if kind is not None:
        (typed,) = _parse_schema_fields([duckdb_type_to_bq_field(field.name, bq_to_duckdb(kind.sql(dialect=DIALECT)))])
        field = typed.model_copy(update={"description": field.description})
    elif action.args.get("drop") and action.args.get("allow_null"):
        field = field.model_copy(update={"mode": "NULLABLE"})
    return tuple(field if index == position else each for index, each in enumerate(fields))


_EDITS: dict[type[exp.Expr], Callable[[exp.Expr, Fields], Fields]] = {
    exp.ColumnDef: _add_column,
    exp.Drop: _drop_column,
    exp.AlterColumn: _alter_column,
}


def _position(column: str, fields: Fields, *, missing_ok: bool = False) -> int | None:
    for index, field in enumerate(fields):
        if field.name.lower() == column.lower():
            return index
    if missing_ok:
        return None
    raise InvalidQueryError(f"Column not found: {column}")


def _with_options(entry: Any, action: exp.AlterSet) -> Any:
    changes: dict[str, Any] = {}
    for option in action.find_all(exp.Property):
        key, value = option.name.lower(), option.args["value"]
        if key in {"description", "friendly_name"}:
            changes[key] = value.name if value.is_string else None
        elif key == "labels":
            changes[key] = {pair.expressions[0].name: pair.expressions[1].name for pair in value.find_all(exp.Tuple)}
    return entry.model_copy(update=changes)


def _rename_column(action: exp.RenameColumn, entry: Any, name: TableName, scope: Scope) -> Any:
    old, new = action.this.name, action.args["to"].name
    position = _position(old, entry.schema_.fields, missing_ok=bool(action.args.get("exists")))
    if position is None:
        return entry
    scope.context.engine.execute(f'alter table {name.storage} rename column "{old}" to "{new}"')
    fields = tuple(
        each.model_copy(update={"name": new}) if index == position else each
        for index, each in enumerate(entry.schema_.fields)
    )
    return entry.model_copy(update={"schema_": entry.schema_.model_copy(update={"fields": fields})})


def _rename_table(action: exp.AlterRename, entry: Any, name: TableName, scope: Scope) -> Any:
    catalog, target = scope.context.catalog, action.this.name
    kind = "view" if entry.table_type == "VIEW" else "table"
    scope.context.engine.execute(f'alter {kind} {name.storage} rename to "{target}"')
    catalog.delete_table(name.project_id, name.dataset_id, name.table_id)
    return catalog.create_table(entry.model_copy(update={"table_id": target}))


MEND = Mend(words=("alter",), rewrite=rewrite)
