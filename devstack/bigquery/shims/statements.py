"""Where a statement can be mended before the emulator reads it.

The emulator runs a statement either as a job of its own or as a step of a script. Both ways are covered, so
a mend is written once, for one statement, and never sees half of two.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import bqemulator.api.routes.jobs as job_routes
import sqlglot
from bqemulator.domain.errors import DomainError
from bqemulator.scripting.ast import SqlStmt
from bqemulator.scripting.interpreter import ScriptInterpreter
from bqemulator.scripting.parser import parse_script
from sqlglot import exp

from devstack.bigquery.shims.kept_texts import kept_answer

DIALECT = "bigquery"

# No semicolon, and no quote that is left open: whoever may be a script, or no GoogleSQL, is read in full.
_NO_SCRIPT = re.compile(
    r"(?:\s|/\*.*?\*/)*(?:select|with|create(?:\s+or\s+replace)?\s+(?:table|view)|insert|update|delete|merge)\b"
    r"""(?:[^;'"`]++|'(?:[^'\\;]|\\[^;])*+'|"(?:[^"\\;]|\\[^;])*+"|`[^`;]*+`)*+""",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Scope:
    """What a statement runs in.

    Attributes:
        project_id: the project that unqualified names belong to.
        context: the emulator's application context (engine, catalogue, clock).
    """

    project_id: str
    context: Any


@dataclass(frozen=True)
class Mend:
    """One repair of statements.

    Attributes:
        words: lower-case words; a statement without any of them is left alone unread, which is what keeps
            hundreds of small statements cheap.
        rewrite: takes a statement, returns what to run instead, or None when the statement is fine.
    """

    words: tuple[str, ...]
    rewrite: Callable[[str, Scope], str | None]


def parsed(sql: str) -> exp.Expr | None:
    """Parse one GoogleSQL statement.

    Args:
        sql: the statement.

    Returns:
        Its syntax tree, or None when sqlglot cannot read it: the emulator then reports the error.
    """
    try:
        return sqlglot.parse_one(sql, dialect=DIALECT)
    except sqlglot.errors.SqlglotError:
        return None


def mended(sql: str, scope: Scope, mends: Sequence[Mend]) -> str:
    """Pass one statement through the mends it needs.

    Args:
        sql: the statement.
        scope: what it runs in.
        mends: the repairs, in order.

    Returns:
        The statement to run.
    """
    lowered = sql.lower()
    for mend in mends:
        if any(word in lowered for word in mend.words):
            sql = mend.rewrite(sql, scope) or sql
    return sql


def install(mends: Sequence[Mend]) -> None:
    """Put the mends in front of jobs and in front of every step of a script.

    Args:
        mends: the repairs, in order.
    """
    run_job = job_routes.execute_query_job
    run_step = ScriptInterpreter._exec_sql  # noqa: SLF001
    run_dynamic_step = ScriptInterpreter._run_statement_with_params  # noqa: SLF001

    async def run_mended_job(
        project_id: str, job_id: str, sql: str, parameters: Any, context: Any, **options: Any
    ) -> Any:
        if any(word in sql.lower() for mend in mends for word in mend.words) and is_single(sql):
            sql = mended(sql, Scope(project_id, context), mends)
        return await run_job(project_id, job_id, sql, parameters, context, **options)

    async def run_mended_step(interpreter: Any, sql: str) -> None:
        await run_step(interpreter, mended(sql, _scope_of(interpreter), mends))

    async def run_mended_dynamic_step(interpreter: Any, sql: str, values: list[Any]) -> None:
        await run_dynamic_step(interpreter, mended(sql, _scope_of(interpreter), mends), values)

    job_routes.execute_query_job = run_mended_job
    ScriptInterpreter._exec_sql = run_mended_step  # noqa: SLF001
    ScriptInterpreter._run_statement_with_params = run_mended_dynamic_step  # noqa: SLF001


def _scope_of(interpreter: Any) -> Scope:
    return Scope(interpreter._project_id, interpreter._ctx)  # noqa: SLF001


@kept_answer
def is_single(sql: str) -> bool:
    """Tell whether a text is one statement and no script.

    Args:
        sql: what a job was sent.

    Returns:
        True when it is; False also when it cannot be read.
    """
    if _NO_SCRIPT.fullmatch(sql):  # a script has semicolons, or begins with a word of its own
        return True
    with contextlib.suppress(DomainError):  # the emulator parses it again, and reports what is wrong
        statements = parse_script(sql).statements
        return len(statements) == 1 and isinstance(statements[0], SqlStmt)
    return False
