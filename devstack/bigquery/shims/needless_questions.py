"""Leaves out a question to storage whose answer is known.

After a CREATE the emulator asks DuckDB which columns refuse NULL. Of what a query makes, none does: `created_tables`
sets what the statement declared only later, and a view declares nothing. DuckDB binds a view's whole query to answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from bqemulator.catalog import ddl_sync
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from sqlglot import exp

from devstack.bigquery.shims.statement_heads import head_of, words_of
from devstack.bigquery.shims.statements import parsed

_MADE_BY_A_QUERY: ContextVar[bool] = ContextVar("_MADE_BY_A_QUERY", default=False)


def apply() -> None:
    """Answer for storage."""
    ask = ddl_sync._column_notnull_map  # noqa: SLF001 - what asks

    @functools.wraps(ask)
    def asked(target: str, context: Any) -> dict[str, bool]:
        return {} if _MADE_BY_A_QUERY.get() else ask(target, context)

    ddl_sync._column_notnull_map = asked  # noqa: SLF001
    for module in (executor, interpreter):
        for name in ("sync_created_table", "sync_created_view"):
            vars(module)[name] = _telling(vars(module)[name])


def _telling(register: Callable[[str, str, Any], None]) -> Callable[[str, str, Any], None]:
    @functools.wraps(register)
    def told(sql: str, project_id: str, context: Any) -> None:
        before = _MADE_BY_A_QUERY.set(_is_made_by_a_query(sql))
        try:
            register(sql, project_id, context)
        finally:
            _MADE_BY_A_QUERY.reset(before)

    return told


def _is_made_by_a_query(sql: str) -> bool:
    words = words_of(sql)
    if "create" not in words:
        return False
    tree = parsed(head_of(sql)) if "table" in words else None
    return "view" in words or (isinstance(tree, exp.Create) and isinstance(tree.expression, exp.Query))
