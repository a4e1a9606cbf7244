"""Serves a system view by putting its rows, as literals, in the place of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from devstack.bigquery.shims.statements import DIALECT, Mend, Scope, parsed

Value = str | int | None
Rows = Callable[[Scope, str, str | None], Iterable[Sequence[Value]]]


@dataclass(frozen=True)
class Column:
    """A column of a system view.

    Attributes:
        name: as the real view calls it.
        type: GoogleSQL type of its values.
    """

    name: str
    type: str


def virtual_table(name: str, columns: Sequence[Column], rows: Rows) -> Mend:
    """Build the mend that serves one system view.

    Args:
        name: lower-case name of the view within a dataset or region, such as `__tables__`.
        columns: its columns, in order.
        rows: computes the rows of it from the scope, the project and the dataset (None for a region).

    Returns:
        The mend.
    """

    def rewrite(sql: str, scope: Scope) -> str | None:
        tree = parsed(sql)
        found = [node for node in tree.find_all(exp.Table) if node.name.lower() == name] if tree else []
        if tree is None or not found:
            return None
        for node in found:
            dataset = None if node.db.lower().startswith("region-") else node.db
            content = rows(scope, node.catalog or scope.project_id, dataset)
            node.replace(_literal(columns, list(content), _visible_name(node)))
        return tree.sql(dialect=DIALECT)

    return Mend(words=(name.rpartition(".")[2],), rewrite=rewrite)


def _visible_name(node: exp.Table) -> str:
    # sqlglot aliases a quoted path by its own text, which is no valid alias for a subquery.
    alias = node.alias.rpartition(".")[2]
    return alias or node.name.rpartition(".")[2]


def _literal(columns: Sequence[Column], rows: Sequence[Sequence[Value]], alias: str) -> exp.Expr:
    selects = [_select(columns, row) for row in rows] or [_select(columns, [None] * len(columns)).limit(0)]
    body: exp.Query = selects[0]
    for select in selects[1:]:
        body = exp.union(body, select, distinct=False)
    return body.subquery(alias)


def _select(columns: Sequence[Column], row: Sequence[Value]) -> exp.Select:
    return exp.select(
        *[
            exp.alias_(exp.cast(exp.convert(value), column.type, dialect=DIALECT), column.name)
            for column, value in zip(columns, row, strict=True)
        ]
    )
