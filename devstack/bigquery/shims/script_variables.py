"""Lets a script assign one value with `set (variable) = (select as struct ...)`.

dbt's dynamic insert_overwrite and microbatch strategies collect the partitions to replace that way. The
emulator unpacks the row only when there are several variables, and stores the whole row into a single one.
"""

from __future__ import annotations

from typing import Any

import sqlglot
from bqemulator.scripting.interpreter import ScriptInterpreter
from sqlglot import exp

from devstack.bigquery.shims.statements import DIALECT


def _selects_struct(expression: str) -> bool:
    try:
        tree = sqlglot.parse_one(f"select {expression}", dialect=DIALECT)
    except sqlglot.errors.SqlglotError:
        return False
    value = tree.expressions[0].unnest() if tree.expressions else None
    return isinstance(value, exp.Select) and value.args.get("kind") == "STRUCT" and len(value.expressions) == 1


def apply() -> None:
    """Wrap the step that assigns variables."""
    assign = ScriptInterpreter._exec_set  # noqa: SLF001

    async def assign_unpacked(interpreter: Any, statement: Any) -> None:
        await assign(interpreter, statement)
        if len(statement.targets) == 1 and _selects_struct(statement.source_expr):
            frames = interpreter._frames  # noqa: SLF001
            row = frames.all_visible()[statement.targets[0]].value
            if isinstance(row, dict):
                frames.set(statement.targets[0], next(iter(row.values())))

    ScriptInterpreter._exec_set = assign_unpacked  # noqa: SLF001
