"""Keeps `SAFE.` on functions.

The emulator turns `SAFE.f(x)` into DuckDB's `TRY(f(x))`, and then hands the statement to further rewriters as
GoogleSQL, which has no TRY: it is dropped as soon as one of them writes the statement anew. A division
anywhere in a model is enough to make its `SAFE.PARSE_JSON` fail on the first malformed document.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery

from devstack.bigquery.shims.functions import write_as


def apply() -> None:
    """Let GoogleSQL be written with TRY; it is read with it already."""
    write_as(BigQuery, {exp.Try: lambda generator, node: generator.func("TRY", node.this)})
