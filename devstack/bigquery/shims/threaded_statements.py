"""Runs a statement in a thread of its own, so that the next request need not wait for it.

The emulator runs statements in its event loop: four threads of dbt get their answers one after the other, and while
one of them waits for a query, dbt cannot even learn that another one's has ended. DuckDB lets go of Python's lock
while it plans and runs a statement, and readers never wait for writers (Neumann, Mühlbauer, Kemper, "Fast Serializable
Multi-Version Concurrency Control", SIGMOD 2015); so two cores run two statements.

What changes rows that are there goes one at a time: DuckDB refuses the later of two that change the same one, where
BigQuery lets it wait. What is no query and no change of rows, and every step of a script, stays in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from bqemulator.api.dependencies import AppContext
from bqemulator.jobs import executor
from bqemulator.row_access.identity import CallerIdentity

from devstack.bigquery.shims.statement_heads import words_of

_CHANGES: Final = frozenset({"insert", "update", "delete", "merge"})
_QUERIES: Final = frozenset({"select", "with"})
# A temporary table belongs to the connection, and so to the thread, that makes it.
_IN_THE_LOOP: Final = frozenset({"temp", "temporary", "external", "materialized", "snapshot"})


async def run_single_sql(
    project_id: str,
    bq_sql: str,
    query_params: list[dict[str, Any]] | None,
    ctx: AppContext,
    *,
    caller: CallerIdentity,
) -> Any:
    """Run one statement, as the emulator's function of this name does, but wait for it elsewhere.

    Args:
        project_id: the project that unqualified names belong to.
        bq_sql: the statement, in GoogleSQL.
        query_params: what is bound to its parameters.
        ctx: the emulator's application context.
        caller: who asks.

    Returns:
        The rows, a `pyarrow.Table`.

    Raises:
        DomainError: when the statement cannot be run, with BigQuery's reason for it.
    """
    sql = await executor.rewrite_and_translate_statement(
        bq_sql,
        project_id=project_id,
        ctx=ctx,
        caller=caller,
        translator=executor._translator,  # noqa: SLF001 - the one the emulator uses
    )
    words = words_of(bq_sql)
    try:
        sql = executor.rewrite_table_refs(sql, project_id)
        sql, values = executor.bind_parameters(sql, query_params)
        if not may_leave_the_loop(words):
            return ctx.engine.fetch_arrow(sql, values or None)
        async with ctx.engine.write_lock() if words & _CHANGES else contextlib.nullcontext():
            return await asyncio.to_thread(ctx.engine.fetch_arrow, sql, values or None)
    except Exception as fault:
        told = executor.translate_runtime_error(fault, duckdb_sql=sql)
        if told is fault:
            raise
        raise told from fault


def may_leave_the_loop(words: frozenset[str]) -> bool:
    """Tell whether a statement runs as well in any thread.

    Args:
        words: those it begins with, see `words_of`.

    Returns:
        True for queries, changes of rows, and tables made from queries.
    """
    return bool(words & (_CHANGES | _QUERIES)) or ({"create", "table"} <= words and not words & _IN_THE_LOOP)


def apply() -> None:
    """Replace the function that runs a job of one statement."""
    executor._run_single_sql = run_single_sql  # noqa: SLF001
