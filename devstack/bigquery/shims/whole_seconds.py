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


def _counted_in(unit: str, microseconds: int) -> Writer:
    def write(generator: Generator, node: exp.Expr) -> str:
        begun = generator.func("DATE_TRUNC", exp.Literal.string(unit), node.this)
        # without a remainder, so the quotient is exact on either side of 1970
        return f"(EPOCH_US({begun}) // {microseconds})"

    return write


def apply() -> None:
    """Replace how the two are written in DuckDB's SQL."""
    write_as(
        DuckDB, {exp.UnixSeconds: _counted_in("second", 1_000_000), exp.UnixMillis: _counted_in("millisecond", 1_000)}
    )
