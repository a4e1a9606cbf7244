"""Looks for arrays that a query joins by name only where a join may name one.

GoogleSQL lets a query join an array of the table before it: `from orders, orders.lines`. For that, sqlglot's parser
copies whatever stands in the FROM and in the joins of every query, with all that these hold, to compare their names;
with queries in queries, that takes longer than the rest of the parse. Only a join of a name with a dot in it, without a
condition, can be such an array; where a query has none, nothing is copied.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.dialect import Dialect


def apply() -> None:
    """Have the parser of GoogleSQL leave the look out, and take it after the parse, from the inside out, as it does."""
    BigQuery.parser_class.SUPPORTS_IMPLICIT_UNNEST = False

    def parse(dialect: BigQuery, sql: str, **options: Any) -> list[exp.Expr | None]:
        return _unnested(dialect, Dialect.parse(dialect, sql, **options))

    def parse_into(dialect: BigQuery, kind: Any, sql: str, **options: Any) -> list[exp.Expr | None]:
        return _unnested(dialect, Dialect.parse_into(dialect, kind, sql, **options))

    for function in (parse, parse_into):
        setattr(BigQuery, function.__name__, function)


def _unnested(dialect: BigQuery, trees: list[exp.Expr | None]) -> list[exp.Expr | None]:
    for tree in trees:
        for query in reversed(list(tree.find_all(exp.Query)) if tree else []):
            if query.args.get("from_") and any(map(_may_be_an_array, query.args.get("joins") or ())):
                dialect.parser()._implicit_unnests_to_explicit(query)  # noqa: SLF001 - what the parser left out
    return trees


def _may_be_an_array(join: exp.Join) -> bool:
    return isinstance(join.this, exp.Table) and not join.args.get("on") and len(join.this.parts) > 1
