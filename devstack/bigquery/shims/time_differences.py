"""Counts whole intervals in TIMESTAMP_DIFF, and knows CURRENT_DATETIME.

TIMESTAMP_DIFF counts completed intervals: from 10:00:40 to 10:59:30 are 58 minutes. The emulator counts the
borders crossed, 59, which is what DATETIME_DIFF and DATE_DIFF do.

Source: GoogleSQL timestamp functions.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.dialect import unit_to_str
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.generator import Generator

from devstack.bigquery.shims.functions import write_as


def _whole_intervals(generator: Generator, node: exp.Expr) -> str:
    # By its other name, which the emulator does not take for GoogleSQL's DATE_SUB.
    return generator.func("DATESUB", unit_to_str(node), node.args["expression"], node.this)


def _current_datetime(generator: Generator, node: exp.Expr) -> str:
    zone = node.this or exp.Literal.string("UTC")
    return generator.func("TIMEZONE", zone, exp.CurrentTimestamp())


def apply() -> None:
    """Replace how the two are written in DuckDB's SQL."""
    write_as(DuckDB, {exp.TimestampDiff: _whole_intervals, exp.CurrentDatetime: _current_datetime})
