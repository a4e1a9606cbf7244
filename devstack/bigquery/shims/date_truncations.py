"""DATE_TRUNC of a date is a date.

DuckDB makes an instant of it. The emulator casts that back where it can see that it was given a date, which it cannot
of a column that comes through a CTE: the table made of it then has a DATETIME, and a comparison with a date converts.

Source: GoogleSQL date functions, "DATE_TRUNC".
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_UNITS: Final = {"DAY", "MONTH", "QUARTER", "YEAR"}

# Of a macro that is declared several times DuckDB binds the one whose parameter fits best.
MACROS = (
    """bq_date_trunc(unit, x) as date_trunc(unit, x),
        (unit, x date) as cast(date_trunc(unit, x) as date),
        (unit, x timestamp) as date_trunc(unit, x),
        (unit, x timestamptz) as date_trunc(unit, x)""",
)


def _unit(node: exp.Expr) -> str:
    return str(node.args["unit"].name).upper()


def _truncates(node: exp.Expr) -> bool:
    # In DuckDB's syntax TIMESTAMP_TRUNC is written the same.
    return isinstance(node, exp.DateTrunc | exp.TimestampTrunc) and _unit(node) in _UNITS


RULES = (
    Rule(
        "DATE_TRUNC",
        _truncates,
        lambda node: call("bq_date_trunc", exp.Literal.string(_unit(node)), node.this),
    ),
)
