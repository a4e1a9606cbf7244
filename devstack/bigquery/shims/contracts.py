"""Reads the statement dbt writes for a model with an enforced contract.

`create table t (a int64 not null, primary key (a) not enforced) as (select ...)` fails in the emulator at
three places: DuckDB knows no NOT ENFORCED, the column list is only understood when the query stands without
parentheses, and NOT NULL is dropped. BigQuery keeps unenforced keys as hints for its planner, so here they are
left out; a NOT NULL column refuses NULL, as the real service does.
"""

from __future__ import annotations

from sqlglot import exp

from devstack.bigquery.shims.column_options import is_required
from devstack.bigquery.shims.kept_texts import kept_text
from devstack.bigquery.shims.statement_heads import words_of
from devstack.bigquery.shims.statements import DIALECT, Mend, Scope, parsed

_KEYS = (exp.PrimaryKey, exp.ForeignKey)
_COLUMN_KEYS = (exp.PrimaryKeyColumnConstraint, exp.Reference)


def rewrite(sql: str) -> str | None:
    """Drop unenforced keys and move the declared types and NOT NULLs into the query.

    Args:
        sql: one statement.

    Returns:
        The statement the emulator understands, or None when it is no CREATE TABLE with columns.
    """
    tree = parsed(sql)
    if not isinstance(tree, exp.Create) or tree.kind != "TABLE" or not isinstance(tree.this, exp.Schema):
        return None
    _drop_keys(tree.this)
    query = _unwrapped(tree.expression)
    if query is not None:
        tree.set("expression", query)
        _refuse_nulls(tree.this, query)
    return tree.sql(dialect=DIALECT)


def _drop_keys(schema: exp.Schema) -> None:
    columns = [element for element in schema.expressions if not _is_key(element)]
    for column in columns:
        kept = [
            each for each in column.args.get("constraints") or [] if not isinstance(each.args.get("kind"), _COLUMN_KEYS)
        ]
        column.set("constraints", kept)
    schema.set("expressions", columns)


def _is_key(element: exp.Expr) -> bool:
    if isinstance(element, exp.Constraint):
        return any(isinstance(inner, _KEYS) for inner in element.expressions)
    return isinstance(element, _KEYS)


def _unwrapped(query: exp.Expr | None) -> exp.Expr | None:
    while isinstance(query, exp.Subquery | exp.Paren):
        query = query.this
    return query


def _refuse_nulls(schema: exp.Schema, query: exp.Expr) -> None:
    columns = schema.expressions
    if not isinstance(query, exp.Select) or len(query.expressions) != len(columns):
        return
    guarded = [
        _guarded(column, value) if is_required(column) else value
        for column, value in zip(columns, query.expressions, strict=True)
    ]
    query.set("expressions", guarded)


def _guarded(column: exp.Expr, value: exp.Expr) -> exp.Expr:
    inner = value.this if isinstance(value, exp.Alias) else value
    refusal = exp.Anonymous(
        this="error", expressions=[exp.Literal.string(f"Required field {column.name} cannot be null")]
    )
    return exp.alias_(exp.func("coalesce", inner.copy(), refusal, dialect=DIALECT), column.this.copy())


_rewrite_once = kept_text(rewrite)


def _mended(sql: str, scope: Scope) -> str | None:  # noqa: ARG001 - part of every mend
    return _rewrite_once(sql) if "create" in words_of(sql) else None


MEND = Mend(words=("create",), rewrite=_mended)
