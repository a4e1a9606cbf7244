"""Parses each text once.

On its way to DuckDB a statement is parsed some twenty times over, by every rewriter and every check anew, and
that is where nearly all the time of a small statement goes. A parsed text is kept, and handed out as a copy,
which costs a fifth of a parse.
"""

from __future__ import annotations

import functools
from typing import Any

import sqlglot
from sqlglot import exp

_KEPT_TEXTS = 256


def apply() -> None:
    """Replace sqlglot's `parse_one`, which the emulator always calls by that name."""
    parse_one = sqlglot.parse_one

    @functools.lru_cache(_KEPT_TEXTS)
    def parsed(sql: str, dialect: str) -> exp.Expr:
        tree = parse_one(sql, read=dialect)
        for node in tree.walk():
            # Where a token stood in the text: nobody asks, and copying it costs more than copying the node.
            node._meta = None  # noqa: SLF001 - the public accessor makes a dict where there was none
        return tree

    def parse_one_cached(sql: str, read: Any = None, dialect: Any = None, **options: Any) -> Any:
        name = read or dialect
        if options or not isinstance(name, str):
            return parse_one(sql, read=read, dialect=dialect, **options)
        return parsed(sql, name).copy()

    vars(sqlglot)["parse_one"] = parse_one_cached
