"""Remembers what a CREATE TABLE said beyond names and types.

The emulator reads a new table back from storage, which knows no JSON, no labels, no clustering, no partitions by
expression (`date(ts)`) and no descriptions of columns; a NOT NULL of a table created from a query is gone too.
dbt drops a table instead of replacing it when its partitions differ from what the model says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bqemulator.catalog.models import Clustering, RangePartitioning, TableSchema, TimePartitioning
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.storage.type_map import duckdb_type_to_bq_field
from sqlglot import exp

from devstack.bigquery.shims import range_partitions
from devstack.bigquery.shims.statement_heads import head_of
from devstack.bigquery.shims.statements import Scope, parsed
from devstack.bigquery.shims.tables import TableName, catalog_entry, table_name

_GRANULARITIES = {"HOUR", "DAY", "MONTH", "YEAR"}


def complete(sql: str, scope: Scope) -> None:
    """Complete the catalogue entry of a table that was just created.

    Args:
        sql: the statement that created it; any other statement is none of our business.
        scope: the catalogue and the engine.
    """
    tree = parsed(head_of(sql))
    name = table_name(tree.this, scope) if isinstance(tree, exp.Create) and tree.kind == "TABLE" else None
    entry = catalog_entry(name, scope) if name else None
    if tree is None or name is None or entry is None:
        return
    properties = tree.args.get("properties") or exp.Properties()
    changes = {
        "schema_": _schema(entry, name, tree.this, scope.context.engine),
        "clustering": _clustering(properties),
        "labels": _labels(properties),
        "time_partitioning": _partitioning(properties, entry.time_partitioning),
        "range_partitioning": _ranges(properties) or entry.range_partitioning,
    }
    scope.context.catalog.update_table(entry.model_copy(update=changes))


def _schema(entry: Any, name: TableName, declared: exp.Expr, engine: Any) -> TableSchema:
    definitions = declared.expressions if isinstance(declared, exp.Schema) else []
    constraints = {each.name.lower(): each.find_all(exp.ColumnConstraint) for each in definitions}
    stored = {row[0]: row[1] for row in engine.execute(f"describe {name.storage}").fetchall()}
    fields = []
    for field in entry.schema_.fields:
        changes: dict[str, Any] = {}
        if duckdb_type_to_bq_field(field.name, stored[field.name])["type"] == "JSON":
            changes["type"] = "JSON"
        for constraint in constraints.get(field.name.lower(), ()):
            if isinstance(constraint.args.get("kind"), exp.NotNullColumnConstraint):
                engine.execute(f'alter table {name.storage} alter column "{field.name}" set not null')
                changes["mode"] = "REQUIRED"
            for option in constraint.find_all(exp.Property):
                if option.name.lower() == "description":
                    changes["description"] = option.args["value"].name
        fields.append(field.model_copy(update=changes))
    return TableSchema(fields=tuple(fields))


def _clustering(properties: exp.Expr) -> Clustering | None:
    cluster = properties.find(exp.ClusterProperty)
    return Clustering(fields=tuple(column.name for column in cluster.expressions)) if cluster else None


def _labels(properties: exp.Expr) -> dict[str, str]:
    for option in properties.find_all(exp.Property):
        if option.name.lower() == "labels":
            return {pair.expressions[0].name: pair.expressions[1].name for pair in option.find_all(exp.Tuple)}
    return {}


def _partitioning(properties: exp.Expr, known: TimePartitioning | None) -> TimePartitioning | None:
    by = properties.find(exp.PartitionedByProperty)
    column = by.this.find(exp.Column) if by else None
    if by is None or column is None or isinstance(by.this, exp.RangeBucket):
        return known  # none, or by a plain column, which the emulator understands
    unit = by.this.args.get("unit")
    granularity = unit.name.upper() if unit is not None else "DAY"
    changes = {"field": column.name, "type": granularity if granularity in _GRANULARITIES else "DAY"}
    return (known or TimePartitioning()).model_copy(update=changes)


def _ranges(properties: exp.Expr) -> RangePartitioning | None:
    by = properties.find(exp.PartitionedByProperty)
    return range_partitions.declared(by.this) if by else None


def apply() -> None:
    """Run it behind the emulator's own step, for jobs and for scripts."""
    for module in (executor, interpreter):
        vars(module)["sync_created_table"] = _completing(module.sync_created_table)


def _completing(register: Callable[[str, str, Any], None]) -> Callable[[str, str, Any], None]:
    def register_completely(sql: str, project_id: str, context: Any) -> None:
        register(sql, project_id, context)
        complete(sql, Scope(project_id, context))

    return register_completely
