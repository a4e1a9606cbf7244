"""Tells in a dry run how many bytes a statement would read.

The emulator says zero of all. BigQuery bills the columns that a query names, over the partitions that its filters
leave: https://cloud.google.com/bigquery/docs/estimate-costs. Here, too: a column counts once a table, by the sizes that
BigQuery gives its types, over the partitions with a row that a filter on the partitioning column, by constants, keeps.
Clusters are left out, as they are there. What an UPDATE or DELETE reads of its target counts whole, and so does that
of a MERGE, but for the partitions that its `on` excludes by constants.

Sizes: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bqemulator.api.routes.jobs as job_routes
import sqlglot
from bqemulator.sql.rewriter.row_access_filter import rewrite_for_row_access
from sqlglot import exp
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope as QueryScope
from sqlglot.optimizer.scope import traverse_scope

from devstack.bigquery.shims import range_partitions
from devstack.bigquery.shims.catalog_types import types_by_table
from devstack.bigquery.shims.statements import DIALECT, Scope, parsed
from devstack.bigquery.shims.tables import TableName, catalog_entry, table_name

_FIXED = {"BOOL": 1, "BOOLEAN": 1, "NUMERIC": 16, "BIGNUMERIC": 32, "INTERVAL": 16}
_EIGHT = {"INT64", "INTEGER", "FLOAT64", "FLOAT", "DATE", "DATETIME", "TIME", "TIMESTAMP"}


@dataclass(frozen=True)
class Read:
    """What one reference in a query reads of a table.

    Attributes:
        table: the table.
        columns: names of the columns it uses.
        conditions: conditions on the partitioning column by constants, all of which hold.
    """

    table: TableName
    columns: frozenset[str]
    conditions: tuple[exp.Expr, ...]


def bytes_read(sql: str, scope: Scope, caller: Any) -> int:
    """Estimate what a statement reads.

    Args:
        sql: one statement.
        scope: what it runs in.
        caller: who asks; row access policies depend on it.

    Returns:
        Bytes; 0 for a statement that reads nothing or cannot be read.
    """
    catalog = scope.context.catalog
    expanded = rewrite_for_row_access(sql, project_id=scope.project_id, caller=caller, catalog=catalog)
    tree = parsed(expanded)
    if tree is None:
        return 0
    types = types_by_table(expanded, project_id=scope.project_id, catalog=catalog)
    reads = [*_of_target(tree, scope)]
    for query in _queries(tree):
        reads += _of_query(query, types, scope)
    tables = dict.fromkeys(read.table for read in reads)
    return sum(_bytes_of([read for read in reads if read.table == table], scope) for table in tables)


def _queries(tree: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(tree, exp.Query):
        yield tree
    elif isinstance(tree, exp.Create | exp.Insert) and isinstance(tree.expression, exp.Query):
        yield tree.expression
    elif isinstance(tree, exp.Merge):
        using = tree.args["using"]
        yield using.this if isinstance(using, exp.Subquery) else exp.select("*").from_(using.copy())


def _of_target(tree: exp.Expr, scope: Scope) -> Iterator[Read]:
    name = table_name(tree.this, scope) if isinstance(tree, exp.Merge | exp.Update | exp.Delete) else None
    entry = catalog_entry(name, scope) if name else None
    if name is None or entry is None:
        return
    conditions: tuple[exp.Expr, ...] = ()
    if isinstance(tree, exp.Merge) and not any(when.args.get("source") for when in tree.args["whens"].expressions):
        column, alias = _partitioned_by(entry), tree.this.alias_or_name
        conditions = tuple(each for each in _conjuncts(tree.args["on"]) if _is_on(each, alias, column))
    yield Read(name, frozenset(field.name for field in entry.schema_.fields), conditions)


def _of_query(query: exp.Expr, types: dict[str, Any], scope: Scope) -> Iterator[Read]:
    try:
        tree = qualify(query.copy(), schema=types, dialect=DIALECT, validate_qualify_columns=False)
        tree = pushdown_projections(pushdown_predicates(tree, dialect=DIALECT), schema=types, dialect=DIALECT)
        found = traverse_scope(tree)
    except sqlglot.errors.SqlglotError:
        found = traverse_scope(query)
    for part in found:
        for alias, (_, source) in part.selected_sources.items():
            name = table_name(source, scope) if isinstance(source, exp.Table) else None
            entry = catalog_entry(name, scope) if name else None
            if name is None or entry is None:
                continue
            columns = frozenset(column.name for column in part.columns if column.table in (alias, ""))
            yield Read(name, columns, tuple(_conditions(part, alias, _partitioned_by(entry))))


def _conditions(part: QueryScope, alias: str, column: str | None) -> Iterator[exp.Expr]:
    where = part.expression.args.get("where") if isinstance(part.expression, exp.Select) else None
    for condition in _conjuncts(where.this) if where else ():
        if _is_on(condition, alias, column, ""):
            yield condition


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    bare = condition.unnest()
    if isinstance(bare, exp.And):
        for part in (bare.left, bare.right):
            yield from _conjuncts(part)
    else:
        yield bare


def _is_on(condition: exp.Expr, alias: str, column: str | None, *also: str) -> bool:
    """Tell whether a condition compares the partitioning column of a table, and nothing else, with constants."""
    used = list(condition.find_all(exp.Column))
    names = {alias.lower(), *also}
    by_constants = bool(used) and column is not None and condition.find(exp.Query) is None
    return by_constants and all(each.name == column and each.table.lower() in names for each in used)


def _partitioned_by(entry: Any) -> str | None:
    partitioning = entry.time_partitioning or entry.range_partitioning
    return partitioning.field if partitioning else None


def _bytes_of(reads: list[Read], scope: Scope) -> int:
    name = reads[0].table
    fields = {field.name: field for field in catalog_entry(name, scope).schema_.fields}
    columns = sorted(frozenset().union(*(read.columns for read in reads)) & set(fields))
    if not columns:
        return 0
    widths = " + ".join(f"ifnull({_width(fields[column])}, 0)" for column in columns)
    query = f"select coalesce(sum({widths}), 0) from {name.storage}{_kept_partitions(reads, scope)}"  # noqa: S608
    return int(scope.context.engine.execute(query).fetchone()[0])


def _kept_partitions(reads: list[Read], scope: Scope) -> str:
    if not all(read.conditions for read in reads):
        return ""
    name = reads[0].table
    partition, always = _partition(catalog_entry(name, scope))
    kept = exp.or_(*(exp.and_(*(_bare(condition) for condition in read.conditions)) for read in reads))
    condition = kept.sql(dialect="duckdb")
    return f" where {partition} in (select distinct {partition} from {name.storage} where {condition}){always}"  # noqa: S608


def _partition(entry: Any) -> tuple[str, str]:
    """Return a row's partition as an expression of DuckDB, and what keeps the partition that nothing excludes."""
    if entry.range_partitioning is not None:
        bucket = range_partitions.bucket(entry.range_partitioning)
        return bucket, f" or {bucket} = -1"
    partitioning = entry.time_partitioning
    return f"date_trunc('{partitioning.type.lower()}', \"{partitioning.field}\")", ""


def _bare(condition: exp.Expr) -> exp.Expr:
    bare = condition.copy()
    for column in bare.find_all(exp.Column):
        column.set("table", None)
    return bare


def _width(field: Any) -> str:
    column = f'"{field.name}"'
    kind = field.type.upper()
    if field.mode == "REPEATED" or kind not in {*_FIXED, *_EIGHT, "STRING", "BYTES", "JSON"}:
        return f"strlen(cast({column} as varchar))"
    if kind in _FIXED or kind in _EIGHT:
        return f"if({column} is null, 0, {_FIXED.get(kind, 8)})"
    return f"2 + octet_length({column})" if kind == "BYTES" else f"2 + strlen(cast({column} as varchar))"


def apply() -> None:
    """Put the estimate into the answer to `jobs.insert` with `dryRun`."""
    answer = job_routes._build_dry_run_query_response  # noqa: SLF001

    async def answer_with_bytes(**asked: Any) -> Any:
        response = await answer(**asked)
        scope = Scope(asked["project_id"], asked["ctx"])
        statistics = response["statistics"]
        read = str(bytes_read(asked["bq_sql"], scope, asked["caller"]))
        statistics["totalBytesProcessed"] = statistics["query"]["totalBytesProcessed"] = read
        return response

    job_routes._build_dry_run_query_response = answer_with_bytes  # noqa: SLF001
