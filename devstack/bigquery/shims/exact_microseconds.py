"""Adds microseconds to an instant as the whole numbers they are.

`INTERVAL (x) MICROSECOND` goes through a floating-point number in DuckDB, which has no room for the microseconds of the
years beyond 2255: TIMESTAMP_MICROS of the last instant of the year 9999, by which sources say "for ever", came out in
the year 10000, which no client can read.
"""

from __future__ import annotations

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call


def _counts_microseconds(node: exp.Expr) -> bool:
    return isinstance(node, exp.Interval) and node.text("unit").upper() == "MICROSECOND"


RULES = (
    Rule(
        "EXACT_MICROSECONDS",
        _counts_microseconds,
        lambda node: call("to_microseconds", exp.cast(node.this.copy(), exp.DType.BIGINT)),
    ),
)
