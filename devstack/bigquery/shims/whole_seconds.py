"""Rounds an instant down to the second or millisecond it lies in, as UNIX_SECONDS and UNIX_MILLIS do.

The emulator rounds UNIX_SECONDS to the nearest second, so that the last half second of ten minutes counts to the next
ten, and UNIX_MILLIS towards 1970.

Source: GoogleSQL timestamp functions.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.generator import Generator

from devstack.bigquery.shims.functions import Writer, write_as


def _counted_in(microseconds: int) -> Writer:
    def write(generator: Generator, node: exp.Expr) -> str:
        # DATE_TRUNC says the same and costs ten times as much; what is left of a time before 1970 is negative
        instant = generator.func("EPOCH_US", node.this)
        return f"({instant} // {microseconds} - CAST({instant} % {microseconds} < 0 AS BIGINT))"

    return write


def apply() -> None:
    """Replace how the two are written in DuckDB's SQL."""
    write_as(DuckDB, {exp.UnixSeconds: _counted_in(1_000_000), exp.UnixMillis: _counted_in(1_000)})
