"""One side of a comparison by checksum: summed up by bucket first, and its rows handed over only where they differ.

A side that answers for itself is asked. Of files that the engine scans where they lie, the checksums are kept from run
to run under a two-level tree (`reconcile.compare.tree`): a file that is still the same version is neither fetched nor
verified nor hashed again, unless a bucket of its keys differs.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from core.errors import UnreadableError
from reconcile.compare.checksum import Hashing, leaves
from reconcile.compare.engine import EngineLimits
from reconcile.compare.narrowing import basis, version_of
from reconcile.compare.statements import Source as SideRows
from reconcile.compare.tree import Leaves, keep, merged, recall
from reconcile.pushdown import local
from reconcile.pushdown.asked import AskedSide
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.read.direct import Direct, DirectFile
from reconcile.read.footers import Footer
from reconcile.read.sides import Side, side_columns
from reconcile.reading import Reading, read_side, spill_rows
from reconcile.sources.files import FileSource
from reconcile.sources.model import Rows

_MOST: Final = 0.5
"""Share of a side's rows from which on reading them all costs no more than reading those of some buckets."""

HandedOver = tuple[SideRows, str | None]
"""Rows of a side, and by what name its source knows their reading."""


@dataclass(frozen=True)
class Pushing:
    """A comparison in which sides do their part by themselves, or need not do it again.

    Attributes:
        reading: both sides, opened.
        scratch: an existing folder.
        limits: what the engine may use.
        state: where checksums are kept from run to run, by side; None to keep none.
        by_value: whether to read value by value also what the engine could scan as it is.
    """

    reading: Reading
    scratch: Path
    limits: EngineLimits
    state: Callable[[Side], Path] | None
    by_value: bool


@dataclass(frozen=True)
class Summed:
    """What one side sums up to.

    Attributes:
        leaves: rows and sums of hashes by bucket.
        rest: hands over the rows of some buckets, and maybe others with them.
        skipped: files whose checksums were kept from an earlier run.
    """

    leaves: Leaves
    rest: Callable[[set[int]], HandedOver]
    skipped: int = 0


@dataclass(frozen=True)
class LocalSide:
    """A side that computes nothing itself.

    Attributes:
        pushing: the comparison.
        side: which side.
        footers: what the footers of its files say, of which none was read yet; None when its rows were read.
        rows: its rows; None when they were not read.
    """

    pushing: Pushing
    side: Side
    footers: tuple[Footer, ...] | None
    rows: SideRows | None

    def bounds(self) -> tuple[Any, Any] | None:
        """Return the least and the greatest value of the first key column; None for no integers."""
        if self.pushing.reading.plan.key[0].data_type != "int64":
            return None
        if self.footers is not None:
            told = [footer.bounds for footer in self.footers if footer.bounds is not None]
            return (min(low for low, _ in told), max(high for _, high in told)) if told else None
        with self._space(self.rows or local.NOTHING) as space:
            found = local.bounds(space)
        return None if None in found else found

    def summed(self, hashing: Hashing) -> Summed:
        """Sum the side up.

        Args:
            hashing: how a row is hashed.

        Raises:
            UnreadableError: when it cannot be read whole.
        """
        if self.footers is not None and self.pushing.state is not None:
            return self._files(self.footers, hashing, self.pushing.state(self.side))
        rows = self.rows or local.NOTHING
        with self._space(rows) as space:
            space.show_side("snapshot")
            return Summed(leaves(space.connection, "snapshot", hashing), lambda _: (rows, None))

    def _files(self, footers: tuple[Footer, ...], hashing: Hashing, kept: Path) -> Summed:
        where = self.pushing.reading.predicate(self.side).where
        shape = Direct((), footers[0].forms, " and ".join(condition.duckdb() for condition in where))
        with self._space(shape) as space:
            made_of = basis(space, hashing)
            known = recall(kept, made_of)
            unread = tuple(footer for footer in footers if version_of(footer.ref) not in known)
            read = {file.ref.path: file for file in self._ready(unread, "new")}
            by_file: dict[str, Leaves] = {}
            for footer in footers:
                if footer.ref.path in read:
                    alone = replace(space, snapshot=shape.only((read[footer.ref.path],)))
                    alone.show_side("snapshot")
                    by_file[footer.ref.path] = leaves(space.connection, "snapshot", hashing)
                else:
                    by_file[footer.ref.path] = known[version_of(footer.ref)]
        keep(kept, made_of, {version_of(footer.ref): by_file[footer.ref.path] for footer in footers})
        rest = partial(self._holding, footers, by_file, shape, read)
        return Summed(merged(list(by_file.values())), rest, len(footers) - len(unread))

    def _holding(
        self,
        footers: tuple[Footer, ...],
        by_file: dict[str, Leaves],
        shape: Direct,
        read: dict[str, DirectFile],
        found: set[int],
    ) -> HandedOver:
        """Return the files that hold rows of some buckets, read now if they were not."""
        holding = [footer for footer in footers if not found.isdisjoint(by_file[footer.ref.path])]
        if not holding:
            return _no_rows(self.pushing, self.side)
        unread = tuple(footer for footer in holding if footer.ref.path not in read)
        ready = read | {file.ref.path: file for file in self._ready(unread, "again")}
        return shape.only(tuple(ready[footer.ref.path] for footer in holding)), None

    def _ready(self, footers: tuple[Footer, ...], name: str) -> tuple[DirectFile, ...]:
        reading = self.pushing.reading
        source = reading.source(self.side)
        if not footers or not isinstance(source, FileSource):
            return ()
        folder = self.pushing.scratch / f"{self.side}-{name}"
        folder.mkdir()
        found = source.ready(
            footers,
            reading.predicate(self.side),
            folder,
            workers=reading.workers,
            stop=threading.Event(),
            on_rows=partial(reading.on_rows, self.side),
        )
        return found.contents

    def _space(self, rows: SideRows) -> Any:
        return local.one_side(self.pushing.reading.plan, rows, self.pushing.scratch, self.pushing.limits)


def local_side(pushing: Pushing, side: Side) -> LocalSide:
    """Return a side that computes nothing itself; it is read now, unless its checksums may have been kept.

    Args:
        pushing: the comparison.
        side: which side.

    Raises:
        UnreadableError: when it cannot be read whole.
    """
    reading = pushing.reading
    source, columns = reading.source(side), side_columns(reading.plan, side)
    if pushing.state is not None and not pushing.by_value and isinstance(source, FileSource):
        names = tuple(column.name for column in columns)
        footers = source.footers(columns, names, reading.predicate(side), workers=reading.workers)
        is_told = footers is not None and all(footer.bounds is not None or not footer.rows for footer in footers)
        if footers is not None and (is_told or columns[0].data_type != "int64"):
            return LocalSide(pushing, side, footers, None)
    rows = read_side(reading, side, pushing.scratch / side, by_value=pushing.by_value)
    return LocalSide(pushing, side, None, rows)


def asked_sum(pushing: Pushing, side: Side, asked: AskedSide, buckets: KeyBuckets) -> Summed:
    """Have a side sum itself up.

    Args:
        pushing: the comparison.
        side: which side.
        asked: the side.
        buckets: how keys are put into buckets.

    Raises:
        UnreadableError: when it cannot; `rest` raises it when the side was written to in between.
    """
    found = asked.leaves(buckets)
    return Summed(found, _Asked(pushing, side, asked, buckets, found).rest)


@dataclass(frozen=True)
class _Asked:
    """A side that was asked for its sums, to be asked for rows."""

    pushing: Pushing
    side: Side
    asked: AskedSide
    buckets: KeyBuckets
    held: Leaves

    def rest(self, found: set[int]) -> HandedOver:
        """Read the rows of the buckets that differ; all of them, where that is no more work."""
        wanted = sum(self.held[bucket].rows for bucket in found & self.held.keys())
        everything = sum(leaf.rows for leaf in self.held.values())
        if not wanted:
            return _no_rows(self.pushing, self.side)
        is_most = wanted > _MOST * everything
        rows = self.asked.every_row() if is_most else self.asked.rows_of_buckets(self.buckets, found)
        spilled = spill_rows(self.pushing.reading, self.side, rows, self.pushing.scratch / f"{self.side}-asked")
        expected = everything if is_most else wanted
        if spilled.rows != expected:
            plan = self.pushing.reading.plan
            table = plan.warehouse.table if self.side == "warehouse" else plan.snapshot.spec
            raise UnreadableError(
                f"{table}: {expected} rows were summed up and {spilled.rows} read: it was written to in between; run "
                "again, or compare with the mode typed"
            )
        return spilled, rows.receipt


def _no_rows(pushing: Pushing, side: Side) -> HandedOver:
    return spill_rows(pushing.reading, side, Rows(()), pushing.scratch / f"{side}-none"), None
