"""Keeps `SAFE.` on functions.

The emulator turns `SAFE.f(x)` into DuckDB's `TRY(f(x))`, and then hands the statement to further rewriters as
GoogleSQL, which has no TRY: it is dropped as soon as one of them writes the statement anew. A division
anywhere in a model is enough to make its `SAFE.PARSE_JSON` fail on the first malformed document.
"""

from __future__ import annotations

from sqlglot.dialects.bigquery import BigQuery


def apply() -> None:
    """Let GoogleSQL be written with TRY; it is read with it already."""
    BigQuery.Generator.TRY_SUPPORTED = True
