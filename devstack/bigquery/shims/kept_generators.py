"""Makes the writer of DuckDB's SQL once.

sqlglot makes a generator for every text it writes. In the compiled sqlglot, each one of DuckDB's parses a score of
templates first, which takes longer than a small statement takes altogether. A generator can be used
again; never twice at once, though, for writing one text may mean writing another.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.helper import name_sequence

from devstack.bigquery.shims.parse_cache import used_up


def apply() -> None:
    """Replace the step that makes a generator and writes with it."""
    idle: defaultdict[Any, list[Any]] = defaultdict(list)

    def generate(dialect: Dialect, expression: exp.Expr, copy: bool = True, **options: Any) -> str:
        key = (type(dialect), repr(dialect.settings), repr(sorted(options.items())))
        generator = idle[key].pop() if idle[key] else dialect.generator(**options)
        generator._next_name = name_sequence("_t")  # noqa: SLF001 - names it invents, the one thing it carries over
        text: str = generator.generate(expression, copy=copy and not used_up(expression))
        idle[key].append(generator)  # not after an error: who knows what state it left
        return text

    setattr(Dialect, generate.__name__, generate)
