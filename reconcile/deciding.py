"""In which mode a comparison is made, decided before a row is read: once, for all who take part in it."""

from collections.abc import Sequence
from typing import Final

from reconcile.compare.ranges import ranges_in_order
from reconcile.config import AskedMode
from reconcile.modes import Chosen, LastRun, choose, is_small
from reconcile.pushdown.asked import asked_sides
from reconcile.read.footers import Footer
from reconcile.read.sides import Side, side_columns
from reconcile.reading import SIDES, Reading
from reconcile.sources.files import FileSource

_RANGES: Final = 8
"""Into how many ranges keys are cut, about, to see whether files follow their order."""


def decide(reading: Reading, asked: AskedMode | None, last: LastRun | None, *, is_partitioned: bool) -> Chosen:
    """Decide in which mode a comparison is made.

    Args:
        reading: both sides, opened; of files, footers are read where the choice depends on them.
        asked: the mode of the command line; None for the configuration's.
        last: what the last run found, if there was one.
        is_partitioned: whether counts by partition are wanted, for which every row of both sides is looked at.

    Raises:
        UnreadableError: when a footer cannot be read.
    """
    is_open = (asked or reading.plan.mode) == "auto" and not is_small(reading.plan)
    return choose(
        reading.plan,
        asked,
        last,
        is_ordered=is_open and _is_ordered(reading),
        can_push=is_open and not is_partitioned and bool(asked_sides(reading, "checksum")),
    )


def _is_ordered(reading: Reading) -> bool:
    """Return whether both sides are files that the engine scans where they lie, range by range of their key."""
    sides = [_footers(reading, side) for side in SIDES]
    files = [[footer.groups for footer in side] for side in sides if side is not None]
    return len(files) == len(SIDES) and bool(ranges_in_order(reading.plan, files, _rows(sides)))


def _rows(sides: Sequence[tuple[Footer, ...] | None]) -> int:
    """Return how many rows a range has when keys are cut into a few."""
    return max(sum(footer.rows for footer in side or ()) for side in sides) // _RANGES


def _footers(reading: Reading, side: Side) -> tuple[Footer, ...] | None:
    source, columns = reading.source(side), side_columns(reading.plan, side)
    if not isinstance(source, FileSource):
        return None
    names = tuple(column.name for column in columns)
    return source.footers(columns, names, reading.predicate(side), workers=reading.workers)
