"""Where single functions and casts can be mended on their way into DuckDB's SQL.

A rule replaces one node of a translated statement; a macro is a function that rules can call, for what depends
on the type a value turns out to have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
from bqemulator.jobs import executor
from bqemulator.sql import translator
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp, generator
from sqlglot.dialects.dialect import Dialect

from core.errors import ConfigurationError


@dataclass(frozen=True)
class Rule:
    """A replacement of nodes in DuckDB's syntax tree, with the interface of the emulator's own rules.

    Attributes:
        name: for its log.
        applies_to: whether a node is meant.
        rewrite: builds what stands there instead.
    """

    name: str
    applies_to: Callable[[exp.Expr], bool]
    rewrite: Callable[[exp.Expr], exp.Expr]


def install(rules: Sequence[Rule], macros: Sequence[str]) -> None:
    """Add rules in front of the emulator's own, and macros to every database it opens.

    Args:
        rules: where several apply to one node, the first does.
        macros: as `name(parameters) as expression`.
    """
    own_rules = translator.get_all_rules
    register = DuckDBEngine._register_builtin_udfs  # noqa: SLF001

    def register_with_macros(engine: DuckDBEngine) -> None:
        register(engine)
        for macro in macros:
            try:
                engine.connection.execute(f"create or replace macro {macro}")
            except duckdb.BinderException as fault:
                raise ConfigurationError(
                    "the data folder was made by an earlier version, and cannot hold the functions of this one: "
                    f"start with an empty folder ({str(fault).splitlines()[0]})"
                ) from fault

    vars(translator)["get_all_rules"] = lambda: [*rules, *own_rules()]
    DuckDBEngine._register_builtin_udfs = register_with_macros  # noqa: SLF001
    executor._translator = translator.SQLTranslator()  # noqa: SLF001 - the one that was made on import


Writer = Callable[[generator.Generator, exp.Expr], str]


def write_as(dialect: type[Dialect], writers: dict[type[exp.Expr], Writer]) -> None:
    """Change how a dialect writes kinds of nodes.

    Args:
        dialect: BigQuery or DuckDB.
        writers: what writes each kind.
    """
    dialect.generator_class.TRANSFORMS |= writers
    generator._DISPATCH_CACHE.clear()  # noqa: SLF001 - filled by whoever has written anything before


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Build a call of a DuckDB function or macro.

    Args:
        name: of the function.
        *arguments: moved into the call as copies.

    Returns:
        The call.
    """
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])
