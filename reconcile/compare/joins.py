"""The join by value: every key that differs, found range by range."""

from collections.abc import Sequence
from typing import Final

from core.contracts import DataType
from reconcile.compare.ranges import EVERYTHING, KeyRange, key_ranges
from reconcile.compare.workspace import Workspace
from reconcile.read.spill import Spill

_SHARE: Final = 8
"""What part of its memory the engine may fill with rows of a range; its readers and its hash table need the rest."""
_LEAST_ROWS: Final = 65_536
_WIDTHS: Final[dict[DataType, int]] = {"string": 32, "json": 256, "bytes": 32, "numeric": 16, "bool": 1}
_WIDTH: Final = 8
"""Bytes of a value in memory, about, by its type."""


def join(space: Workspace, memory_mb: int) -> None:
    """Make the table `differences` of all keys that differ.

    Args:
        space: both sides.
        memory_mb: memory of the engine, in MiB.
    """
    ranges = _ranges(space, memory_mb)
    if not _join_uniques(space, ranges):
        _join_any(space, ranges)


def _ranges(space: Workspace, memory_mb: int) -> Sequence[KeyRange]:
    """Cut the comparison into ranges of keys of which the engine can hold one, and its readers' buffers, at once."""
    rows = max(_LEAST_ROWS, memory_mb * 1024 * 1024 // _SHARE // _width(space))
    return key_ranges(space.plan, space.warehouse, space.snapshot, rows) or (EVERYTHING,)


def _join_uniques(space: Workspace, ranges: Sequence[KeyRange]) -> bool:
    """Join the sides as if every key stood once on each; return whether that was so.

    The join itself tells: a key that stands a times on one side and b times on the other is passed on a * b times if
    both hold it, so that rows are passed on as often as there are rows on each side only if a = b = 1; a key of one
    side alone is passed on a times. A join that passes on more than both sides have together is broken off.
    """
    if space.plan.warehouse.in_flight is not None:
        return False
    most_joined = space.warehouse.rows + space.snapshot.rows + 1
    left = right = 0
    for number, part in enumerate(ranges):
        space.show(part)
        space.connection.execute(space.statements.part(most_joined))
        warehouse, snapshot, most = space.one(space.statements.part_counts())
        left, right = left + warehouse, right + snapshot
        if most > 1:
            return False
        space.connection.execute(space.statements.part_differences(is_first=number == 0))
    return (left, right) == (space.rows("warehouse"), space.rows("snapshot"))


def _join_any(space: Workspace, ranges: Sequence[KeyRange]) -> None:
    """Join the sides with duplicated keys, and those in flight, set aside first."""
    space.connection.execute("drop table if exists differences")
    has_departed = space.plan.warehouse.in_flight is not None
    for number, part in enumerate(ranges):
        space.show(part)
        space.connection.execute(space.statements.duplicated())
        has_duplicates = bool(space.one("select count(*) from duplicated")[0])
        if has_departed:
            space.connection.execute(space.statements.departed())
        space.connection.execute(
            space.statements.differences(has_duplicates=has_duplicates, has_departed=has_departed, is_first=number == 0)
        )


def _width(space: Workspace) -> int:
    """Return about how many bytes a row takes in memory: as it did when it was read, else by its types."""
    measured = [
        side.size // side.rows for side in (space.warehouse, space.snapshot) if isinstance(side, Spill) and side.size
    ]
    return max(measured, default=sum(_WIDTHS.get(column.data_type, _WIDTH) for column in space.plan.columns))
