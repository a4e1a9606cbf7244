"""Whether BigQuery can lay a raw table out as its contract says, and whether the rows last long enough to be of use."""

from collections.abc import Iterator
from typing import Final

from core.contracts.model import TableContract
from core.raw_row import CLUSTERABLE_COLUMNS

MOST_CLUSTER_COLUMNS: Final = 4
"""https://cloud.google.com/bigquery/docs/clustered-tables#limitations."""

LEAST_RETENTION_DAYS: Final = 7
"""As in `macros/maintenance/maintain.sql`: late rows and an outage over a holiday are still found in raw."""

MOST_RETENTION_DAYS_BY_HOUR: Final = 400
"""A table has 10,000 partitions at most, which are 416 days of hours. The rest is for days on which nothing expired, as
structure had not applied what was due. See https://cloud.google.com/bigquery/quotas#partitioned_tables."""


def layout_faults(contract: TableContract) -> Iterator[str]:
    """Find what a contract says of its raw table that BigQuery, or those who read the table, cannot have.

    Args:
        contract: a table.

    Yields:
        A sentence for each, with the fix.
    """
    yield from _cluster_faults(contract)
    yield from _retention_faults(contract)


def _cluster_faults(contract: TableContract) -> Iterator[str]:
    columns = contract.cluster_by
    if not 1 <= len(columns) <= MOST_CLUSTER_COLUMNS:
        yield (
            f"table {contract.name!r} has {len(columns)} columns in cluster_by; name 1 to {MOST_CLUSTER_COLUMNS}, "
            "or leave it out"
        )
    if doubled := sorted({name for name in columns if columns.count(name) > 1}):
        yield f"table {contract.name!r} names {', '.join(doubled)} more than once in cluster_by; name each column once"
    if unknown := [name for name in columns if name not in CLUSTERABLE_COLUMNS]:
        yield (
            f"table {contract.name!r} has {', '.join(unknown)} in cluster_by; "
            f"use columns of the raw row: {', '.join(CLUSTERABLE_COLUMNS)}"
        )


def _retention_faults(contract: TableContract) -> Iterator[str]:
    days = contract.retention_days
    if days is not None and days < LEAST_RETENTION_DAYS:
        yield (
            f"table {contract.name!r} has retention_days {days}; keep at least {LEAST_RETENTION_DAYS} days, "
            "or leave it out"
        )
    if contract.partition_by == "hour" and (days is None or days > MOST_RETENTION_DAYS_BY_HOUR):
        yield (
            f"table {contract.name!r} has a partition an hour, of which BigQuery takes 10,000 a table; "
            f"give it retention_days of at most {MOST_RETENTION_DAYS_BY_HOUR}, or use partition_by day"
        )
    if contract.pattern == "full_dump" and days is not None:
        yield (
            f"table {contract.name!r} comes as full dumps, each compared with all that came before; "
            "remove retention_days"
        )
