"""Gives NUMERIC its 38 digits, 9 of them after the point.

On its way through the emulator NUMERIC loses its precision and becomes DuckDB's DECIMAL(18, 3): amounts are
cut to three places, and large ones are refused. BIGNUMERIC, 76 digits wide, has no counterpart in DuckDB at
all, and creating a column of it fails with an error that clients retry for minutes; it is held in 38 digits
here, 18 of them after the point.

Source: GoogleSQL data types, "Decimal type".
"""

from __future__ import annotations

from bqemulator.storage import type_map
from sqlglot import exp
from sqlglot.dialects.dialect import build_default_decimal_type
from sqlglot.dialects.duckdb import DuckDB

_NUMERIC = (38, 9)
_BIGNUMERIC = (38, 18)
_WIDEST = (38, 38)


def apply() -> None:
    """Replace the defaults, where DuckDB's SQL is written, where it is read, and where tables are created."""
    DuckDB.Generator.TYPE_PARAM_SETTINGS |= {
        exp.DType.DECIMAL: (_NUMERIC, _WIDEST),
        exp.DType.BIGDECIMAL: (_BIGNUMERIC, _WIDEST),
    }
    DuckDB.Parser.TYPE_CONVERTERS |= {exp.DType.DECIMAL: build_default_decimal_type(*_NUMERIC)}
    type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = "DECIMAL({}, {})".format(*_BIGNUMERIC)  # noqa: SLF001
