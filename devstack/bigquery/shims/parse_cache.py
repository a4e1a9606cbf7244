"""Parses each text once, and copies its tree only for those who may change it.

On its way to DuckDB a statement is parsed some twenty times over, by every rewriter and every check anew, and that is
where nearly all the time of a small statement goes. So the tree of a text is kept. Whoever asks for it gets a copy,
which costs a fifth of a parse. A rewriter gets the tree itself: all of the emulator's return the text they were given
when they have changed nothing, and then the tree is kept on; what one has changed is not. Nor is what DuckDB's SQL is
written from, for that is done once, and last.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import sqlglot
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.sql import inner_query, translator
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

_KEPT_TEXTS = 256
_Key = tuple[str, str]


class Trees:
    """The trees that were used last, by text and dialect. None is in two hands: who takes one takes it away."""

    def __init__(self) -> None:
        self._trees: OrderedDict[_Key, exp.Expr] = OrderedDict()

    def take(self, sql: str, dialect: str) -> exp.Expr | None:
        """Return the tree of a text, which is kept no longer; None when there is none.

        Args:
            sql: the text.
            dialect: its dialect.
        """
        return self._trees.pop((sql, dialect), None)

    def keep(self, sql: str, dialect: str, tree: exp.Expr) -> None:
        """Keep the tree of a text.

        Args:
            sql: the text.
            dialect: its dialect.
            tree: its tree, which nobody else has.
        """
        self._trees[sql, dialect] = tree
        if len(self._trees) > _KEPT_TEXTS:
            self._trees.popitem(last=False)

    def all(self) -> list[tuple[_Key, exp.Expr]]:
        """Return all that is kept, to look at: text and dialect, and the tree."""
        return list(self._trees.items())


class Loan:
    """The trees that one rewriter works on."""

    def __init__(self) -> None:
        self._lent: list[tuple[str, str, exp.Expr]] = []

    def lend(self, sql: str, dialect: str, tree: exp.Expr) -> None:
        """Note what was lent.

        Args:
            sql: the text.
            dialect: its dialect.
            tree: its tree.
        """
        self._lent.append((sql, dialect, tree))

    def use_up(self, tree: exp.Expr) -> bool:
        """Tell whether a tree was lent, and never take it back if it was.

        Args:
            tree: a whole tree or a part of one; no part was lent.
        """
        rest = [each for each in self._lent if each[2] is not tree]
        was_lent = len(rest) < len(self._lent)
        self._lent = rest
        return was_lent

    def take_back(self) -> None:
        """Keep what was lent."""
        for sql, dialect, tree in self._lent:
            trees().keep(sql, dialect, tree)


_LOAN: ContextVar[Loan | None] = ContextVar("_LOAN", default=None)


@functools.cache
def trees() -> Trees:
    """Return the trees of this process."""
    return Trees()


def looking(look: Callable[..., Any], *, reads_only: bool = False) -> Callable[..., Any]:
    """Lend a rewriter trees that are kept, where it would get copies.

    Args:
        look: takes a statement first, and returns that very text when it has changed no tree.
        reads_only: whether it changes none whatever it returns.

    Returns:
        The same.
    """

    def is_unchanged(given: Any, found: Any) -> bool:
        return reads_only or found is given

    return _borrowing(look, is_unchanged)


def used_up(tree: exp.Expr) -> bool:
    """Tell whether a tree that is about to be written has served its purpose, and need not be spared.

    Args:
        tree: what is written.

    Returns:
        True when the rewriter that is at work has it to itself; nobody is given it any more.
    """
    loan = _LOAN.get()
    return loan is not None and loan.use_up(tree)


def apply() -> None:
    """Replace sqlglot's `parse_one` and `transpile`, which the emulator always calls by these names."""
    vars(sqlglot)["parse_one"] = _parse_once(sqlglot.parse_one)
    vars(sqlglot)["transpile"] = _transpile_parsed(sqlglot.transpile)
    for module in (translator, inner_query):
        for name in [name for name in vars(module) if name.startswith("rewrite_")]:
            if name != inner_query.rewrite_and_translate_statement.__name__:  # which calls all the others
                vars(module)[name] = looking(vars(module)[name])
    executor.classify_statement_type = looking(executor.classify_statement_type, reads_only=True)
    translator.SQLTranslator._apply_rules = _using_up(translator.SQLTranslator._apply_rules)  # noqa: SLF001
    for module in (executor, interpreter):
        vars(module)["rewrite_table_refs"] = _using_up(vars(module)["rewrite_table_refs"])


def _borrowing(work: Callable[..., Any], is_unchanged: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    @functools.wraps(work)
    def worked(*arguments: Any, **named: Any) -> Any:
        loan = Loan()
        before = _LOAN.set(loan)
        try:
            found = work(*arguments, **named)
        finally:
            _LOAN.reset(before)
        if is_unchanged(arguments[0], found):
            loan.take_back()
        return found

    return worked


def _using_up(work: Callable[..., Any]) -> Callable[..., Any]:
    return _borrowing(work, lambda *_: False)


def _parse_once(parse_one: Callable[..., Any]) -> Callable[..., Any]:
    def parsed(sql: str, dialect: str) -> exp.Expr:
        tree: exp.Expr = parse_one(sql, read=dialect)
        for node in tree.walk():
            # Where a token stood in the text: nobody asks, and copying it costs more than copying the node.
            node._meta = None  # noqa: SLF001 - the public accessor makes a dict where there was none
        return tree

    def parse_one_kept(sql: str, read: Any = None, dialect: Any = None, **options: Any) -> Any:
        name = read or dialect
        if options or not isinstance(name, str):
            return parse_one(sql, read=read, dialect=dialect, **options)
        tree = trees().take(sql, name) or parsed(sql, name)
        loan = _LOAN.get()
        if loan is not None:
            loan.lend(sql, name, tree)
            return tree
        copy = tree.copy()
        trees().keep(sql, name, tree)
        return copy

    return parse_one_kept


def _transpile_parsed(transpile: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def transpile_parsed(sql: str, read: Any = None, write: Any = None, **options: Any) -> list[str]:
        tree = trees().take(sql, read) if isinstance(read, str) and write is not None else None
        if tree is None or isinstance(tree, exp.Block):
            return transpile(sql, read=read, write=write, **options)
        return [Dialect.get_or_raise(write).generate(tree, copy=False, **options)]

    return transpile_parsed
