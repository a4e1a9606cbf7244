"""Asks no rule about nodes that none of them replaces.

After the translation of a statement, each of a hundred rules is asked of each of its nodes whether it applies. All of
them are about functions, operators and types, while two nodes of three are names, texts and clauses.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from bqemulator.sql.translator import SQLTranslator
from sqlglot import exp

PLAIN: Final = frozenset(
    {
        *(exp.Alias, exp.Boolean, exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Star, exp.Var),
        *(exp.From, exp.Join, exp.Select, exp.Subquery, exp.Table, exp.TableAlias, exp.CTE, exp.With, exp.Where),
        *(exp.EQ, exp.GT, exp.GTE, exp.Is, exp.LT, exp.LTE, exp.NEQ, exp.Not, exp.Paren),
    }
)
"""Kinds of nodes, none of them with a kind below, that no rule applies to."""


def apply() -> None:
    """Look at the kind of a node first."""
    ask = SQLTranslator._apply_first_matching_rule  # noqa: SLF001

    @functools.wraps(ask)
    def ask_unless_plain(translator: SQLTranslator, node: exp.Expr, tree: exp.Expr) -> Any:
        return type(node) not in PLAIN and ask(translator, node, tree)

    SQLTranslator._apply_first_matching_rule = ask_unless_plain  # noqa: SLF001
