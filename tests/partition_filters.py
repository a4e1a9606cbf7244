"""Which raw tables a statement reads without naming a partition: `require_partition_filter` has BigQuery refuse it."""

import sqlglot
from sqlglot import exp

from core.raw_row import PARTITION_COLUMN


def unfiltered(sql: str) -> set[str]:
    """Return the raw tables that a statement reads without a condition on their partitions beside them.

    Args:
        sql: one statement.

    Returns:
        Names of tables.
    """
    return {
        table.name
        for table in sqlglot.parse_one(sql, dialect="bigquery").find_all(exp.Table)
        if table.db == "raw" and not _is_filtered(table)
    }


def _is_filtered(table: exp.Table) -> bool:
    reader = table.find_ancestor(exp.Select, exp.Delete, exp.Update)
    where = reader.args.get("where") if reader else None
    if where is None:
        return False
    if where.this == exp.false():
        return True  # nothing is read
    # a condition in a subquery is one of that subquery
    return any(
        column.name == PARTITION_COLUMN and column.find_ancestor(exp.Select, exp.Delete, exp.Update) is reader
        for column in where.find_all(exp.Column)
    )
