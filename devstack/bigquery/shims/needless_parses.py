"""Leaves out checks that cannot apply.

After every statement the emulator parses it again for each of: did it create a schema, a table, a view, did it
drop anything, did it change rows? A word that does not occur answers that without a parse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bqemulator.catalog import ddl_sync
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.sql import translator

_CREATE = ("create",)
_DROP = ("drop",)
_CHANGE = ("insert", "update", "delete", "merge", "truncate")


def only_if_mentioned(check: Callable[..., Any], words: tuple[str, ...], position: int, otherwise: Any) -> Any:
    """Skip a check when no word of what it looks for occurs.

    Args:
        check: the function to guard.
        words: lower-case words, one of which must occur.
        position: of the statement among its arguments.
        otherwise: what to return instead.

    Returns:
        The guarded function.
    """

    @functools.wraps(check)
    def guarded(*arguments: Any) -> Any:
        lowered = arguments[position].lower()
        return check(*arguments) if any(word in lowered for word in words) else otherwise

    return guarded


def _guard(module: ModuleType, name: str, words: tuple[str, ...], position: int = 0) -> None:
    setattr(module, name, only_if_mentioned(getattr(module, name), words, position, None))


def apply() -> None:
    """Guard the checks, in every module that calls them."""
    for module in (executor, interpreter):
        for name in ("sync_created_schema", "sync_created_table", "sync_created_view"):
            _guard(module, name, _CREATE)
        for name in ("sync_dropped_object", "assert_drop_schema_allowed"):
            _guard(module, name, _DROP)
    _guard(executor, "detect_drop_routine", _DROP)
    _guard(executor, "_reject_dml_on_immutable", _CHANGE, position=1)
    _guard(ddl_sync, "_detect_plain_create_table", _CREATE)
    rewrite = translator.rewrite_create_table_schema_ctas
    translator.rewrite_create_table_schema_ctas = lambda sql: rewrite(sql) if "create" in sql.lower() else sql
    capture = executor._capture_dml_snapshots  # noqa: SLF001

    async def capture_if_changed(project_id: str, sql: str, context: Any) -> None:
        if any(word in sql.lower() for word in _CHANGE):
            await capture(project_id, sql, context)

    executor._capture_dml_snapshots = capture_if_changed  # noqa: SLF001
