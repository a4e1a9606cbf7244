"""How a statement begins, for those who ask no more of it.

Whether a statement creates a table, and which, stands in its first words; the query that follows may be a thousand
lines.
"""

from __future__ import annotations

import re

from sqlglot import exp

from devstack.bigquery.shims.kept_texts import kept_text
from devstack.bigquery.shims.statements import DIALECT, parsed

_SKIPPED = r"(?:\s|--[^\n]*(?:\n|$)|\#[^\n]*(?:\n|$)|/\*.*?\*/|\()*"
_BEGINNING = re.compile(
    _SKIPPED + r"(?P<words>[a-z]+\b"
    r"(?:\s+(?:or\s+replace|temp|temporary|external|materialized|snapshot|table|schema|view|function)\b)*)",
    re.IGNORECASE | re.DOTALL,
)


def words_of(sql: str) -> frozenset[str]:
    """Return the words a statement begins with: its verb and, after CREATE and DROP, what is made or dropped.

    Args:
        sql: one statement, with comments before it or without.

    Returns:
        Words in lower case, such as `create`, `or`, `replace`, `table`; none when it begins with no word.
    """
    found = _BEGINNING.match(sql)
    return frozenset(found["words"].lower().split()) if found else frozenset()


def head_of(sql: str) -> str:
    """Shorten a statement that writes the rows of a query.

    Args:
        sql: one statement.

    Returns:
        The same with `select 1` for the query of a CREATE TABLE or an INSERT; any other statement as it is.
    """
    return _shortened(sql) or sql if words_of(sql) & {"table", "insert"} else sql


def _without_query(sql: str) -> str | None:
    tree = parsed(sql)
    is_table = isinstance(tree, exp.Create) and tree.kind == "TABLE" and tree.args.get("clone") is None
    if tree is None or not (is_table or isinstance(tree, exp.Insert)) or not isinstance(tree.expression, exp.Query):
        return None
    tree.set("expression", exp.select("1"))
    tree.set("with_", None)
    return tree.sql(dialect=DIALECT)


_shortened = kept_text(_without_query, drops=True)
