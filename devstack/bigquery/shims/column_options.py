"""Lets a column have OPTIONS (such as a description) where sqlglot is compiled.

Both its writer of column constraints and the emulator's reader of NOT NULL ask for their kind through a property
that, compiled, refuses options.
"""

from __future__ import annotations

from bqemulator.jobs import ddl_result
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.generator import Generator

from devstack.bigquery.shims.functions import write_as


def _constraint(generator: Generator, node: exp.Expr) -> str:
    name, kind = generator.sql(node, "this"), generator.sql(node, "kind").strip()
    return f"CONSTRAINT {name} {kind}" if name else kind


def is_required(column: exp.Expr) -> bool:
    """Tell whether a column is declared NOT NULL.

    Args:
        column: its definition.

    Returns:
        True when it is.
    """
    constraints = column.args.get("constraints") or ()
    return any(isinstance(each.args.get("kind"), exp.NotNullColumnConstraint) for each in constraints)


def apply() -> None:
    """Replace both, the writer for GoogleSQL and for DuckDB's SQL."""
    ddl_result._has_not_null_constraint = is_required  # noqa: SLF001
    for dialect in (BigQuery, DuckDB):
        write_as(dialect, {exp.ColumnConstraint: _constraint})
