"""In which mode a comparison is made, decided before a row is read: once, for all who take part in it."""

from functools import partial

from reconcile.config import AskedMode
from reconcile.modes import Chosen, LastRun, choose, is_small
from reconcile.pushdown.asked import asked_sides
from reconcile.read.sides import Side, side_columns
from reconcile.reading import SIDES, Reading
from reconcile.sources.files import FileSource


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
        is_ordered=is_open and all(map(partial(_is_scanned, reading), SIDES)),
        can_push=is_open and not is_partitioned and bool(asked_sides(reading, "checksum")),
    )


def _is_scanned(reading: Reading, side: Side) -> bool:
    """Return whether a side is files that the engine scans where they lie, range by range of their key."""
    source, columns = reading.source(side), side_columns(reading.plan, side)
    names = tuple(column.name for column in columns)
    return isinstance(source, FileSource) and (
        source.footers(columns, names, reading.predicate(side), workers=reading.workers) is not None
    )
