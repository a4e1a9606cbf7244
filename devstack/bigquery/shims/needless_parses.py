"""Leaves out checks that cannot apply.

After every statement the emulator parses it again for each of: did it create a schema, a table, a view, did it
drop anything, did it change rows? How the statement begins answers that without a parse, and where it is not
enough, the query that follows is of no concern.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bqemulator.catalog import ddl_sync
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.scripting.ast import Script, SqlStmt
from bqemulator.sql import translator

from devstack.bigquery.shims.kept_texts import kept_answer
from devstack.bigquery.shims.statement_heads import head_of, words_of
from devstack.bigquery.shims.statements import is_single

_CHANGES = frozenset({"insert", "update", "delete", "merge", "truncate"})


def only_if_it_begins(
    check: Callable[..., Any], has: Callable[[frozenset[str]], bool], position: int, otherwise: Any
) -> Any:
    """Skip a check when a statement does not begin as it must, and show it no more than the head of one that does.

    Args:
        check: the function to guard.
        has: tells from the first words whether the check can apply.
        position: of the statement among its arguments.
        otherwise: what to return instead.

    Returns:
        The guarded function.
    """

    @functools.wraps(check)
    def guarded(*arguments: Any) -> Any:
        sql = arguments[position]
        if not has(words_of(sql)):
            return otherwise
        return check(*arguments[:position], head_of(sql), *arguments[position + 1 :])

    return guarded


def _creates(kind: str) -> Callable[[frozenset[str]], bool]:
    return lambda words: {"create", kind} <= words


def _drops(words: frozenset[str]) -> bool:
    return "drop" in words


def _changes(words: frozenset[str]) -> bool:
    return bool(words & _CHANGES)


def _guard(module: ModuleType, name: str, has: Callable[[frozenset[str]], bool], position: int = 0) -> None:
    setattr(module, name, only_if_it_begins(getattr(module, name), has, position, None))


def _show_head(module: ModuleType, name: str) -> None:
    read = getattr(module, name)
    setattr(module, name, functools.wraps(read)(lambda sql, *others: read(head_of(sql), *others)))


def apply() -> None:
    """Guard the checks, in every module that calls them."""
    for module in (executor, interpreter):
        for kind in ("schema", "table", "view"):
            _guard(module, f"sync_created_{kind}", _creates(kind))
        for name in ("sync_dropped_object", "assert_drop_schema_allowed"):
            _guard(module, name, _drops)
    _guard(executor, "detect_drop_routine", _drops)
    _guard(executor, "_reject_dml_on_immutable", _changes, position=1)
    _guard(ddl_sync, "_detect_plain_create_table", _creates("table"))
    for name in ("resolve_ddl_operation", "ddl_result_schema_fields"):
        _show_head(executor, name)
    parse = executor._parse_script_or_raise  # noqa: SLF001
    executor._parse_script_or_raise = (  # noqa: SLF001
        lambda sql: Script((SqlStmt(sql=sql),)) if is_single(sql) else parse(sql)
    )
    executor.classify_statement_type = kept_answer(executor.classify_statement_type)
    rewrite = translator.rewrite_create_table_schema_ctas
    translator.rewrite_create_table_schema_ctas = lambda sql: rewrite(sql) if "create" in sql.lower() else sql
    capture = executor._capture_dml_snapshots  # noqa: SLF001

    async def capture_if_changed(project_id: str, sql: str, context: Any) -> None:
        if _changes(words_of(sql)):
            await capture(project_id, head_of(sql), context)

    executor._capture_dml_snapshots = capture_if_changed  # noqa: SLF001
