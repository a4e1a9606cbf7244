"""Counts by partition: in which months, stores or channels the differences lie."""

from typing import Final

from core.errors import ConfigurationError
from reconcile.compare.workspace import Workspace
from reconcile.conclusions import PartitionResult
from reconcile.plans import ComparisonPlan
from reconcile.policy import Partition

MOST: Final = 1_000
"""Partitions told of a comparison; those that differ most come first."""

_KINDS: Final = ("missing", "extra", "changed", "duplicated")
_FORMATS: Final = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
_DATED: Final = frozenset({"date", "datetime", "timestamp"})


def check_partition(plan: ComparisonPlan, partition: Partition) -> None:
    """Check that a comparison can be counted by a partition.

    Args:
        plan: the comparison.
        partition: by what.

    Raises:
        ConfigurationError: when the column is not compared, is masked, or is not of a type that has days.
    """
    column = next((column for column in plan.columns if column.name == partition.column), None)
    if column is None:
        raise ConfigurationError(f"{partition.column} is no compared column")
    if column.masked is not None:
        raise ConfigurationError(f"{partition.column} is masked; its values must not stand in reports")
    if partition.by != "value" and column.data_type not in _DATED:
        raise ConfigurationError(f"{partition.column} is {column.data_type} and has no {partition.by}; use by: value")


def partitions(space: Workspace, partition: Partition) -> tuple[PartitionResult, ...]:
    """Count by partition.

    Args:
        space: both sides, after the join that made the table of differences.
        partition: by what, checked.

    Returns:
        At most `MOST` partitions, those that differ most first.
    """
    number = next(n for n, column in enumerate(space.plan.columns) if column.name == partition.column)
    label = f"r{number}::varchar" if partition.by == "value" else f"strftime(r{number}, '{_FORMATS[partition.by]}')"
    space.show()
    found = space.connection.execute(space.statements.partitions(label, _KINDS, MOST)).fetchall()
    return tuple(
        PartitionResult(
            value=value,
            warehouse_rows=left,
            snapshot_rows=right,
            missing=missing,
            extra=extra,
            changed=changed,
            duplicated_keys=duplicated,
            rate=(missing + extra + changed + duplicated) / max(1, left, right),
        )
        for value, left, right, missing, extra, changed, duplicated in found
    )
