"""Aggregates distinct values without NULLs: `array_agg(distinct x ignore nulls)`.

The emulator turns IGNORE NULLS into a filter on the whole operand, DISTINCT and all, which is no SQL. dbt collects
the partitions that a dynamic insert_overwrite replaces that way.
"""

from __future__ import annotations

from bqemulator.sql.rewriter import aggregate_variants
from sqlglot import exp


def _bare_value(operand: exp.Expr) -> exp.Expr:
    while isinstance(operand, exp.Order | exp.Limit | exp.Distinct):
        operand = operand.expressions[0] if isinstance(operand, exp.Distinct) else operand.this
    return operand


def apply() -> None:
    """Replace the step that finds what to filter."""
    aggregate_variants._filter_target = _bare_value  # noqa: SLF001
