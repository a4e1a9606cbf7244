"""Both sides of a comparison, read at once: in the types they are compared in, whole, and pinned."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from reconcile.compare.statements import Source as SideRows
from reconcile.plans import ComparisonPlan, InFlightPlan
from reconcile.read.budget import MessageBudget
from reconcile.read.direct import Direct
from reconcile.read.filters import Condition, all_hold
from reconcile.read.sides import Flags, Side, settled, side_columns, stored_rows, stored_schema
from reconcile.read.spill import Spill, spill
from reconcile.sources.files import FileSource
from reconcile.sources.model import Predicate, Rows, Source, Wanted, wanted
from reconcile.sources.opening import open_sides
from reconcile.sources.predicates import constant_types, in_flight
from reconcile.sources.services import Services

SIDES: Final[tuple[Side, ...]] = ("warehouse", "snapshot")


@dataclass(frozen=True)
class Reading:
    """How both sides of one comparison are read.

    Attributes:
        plan: the comparison.
        warehouse: the warehouse's table.
        snapshot: the snapshot's.
        workers: how many streams or files of a side are read at once.
        on_rows: told of rows of a side as they are read; called from several threads.
    """

    plan: ComparisonPlan
    warehouse: Source
    snapshot: Source
    workers: int
    on_rows: Callable[[Side, int], None]

    def source(self, side: Side) -> Source:
        """Return the source of one side.

        Args:
            side: which side.
        """
        return self.warehouse if side == "warehouse" else self.snapshot

    def predicate(self, side: Side) -> Predicate:
        """Return which rows of one side are wanted.

        Args:
            side: which side.
        """
        if side == "warehouse":
            return Predicate(self.plan.warehouse.where, self.plan.warehouse.in_flight)
        return Predicate(self.plan.snapshot.where)


@dataclass(frozen=True)
class ReadSides:
    """Both sides, read.

    Attributes:
        warehouse: the warehouse's rows.
        snapshot: the snapshot's rows.
        receipt: by what name the warehouse knows this reading; None when it has none.
    """

    warehouse: SideRows
    snapshot: SideRows
    receipt: str | None

    @property
    def rows(self) -> tuple[SideRows, SideRows]:
        """The warehouse's rows and the snapshot's."""
        return self.warehouse, self.snapshot


@contextmanager
def opened(
    plan: ComparisonPlan,
    services: Services,
    workers: int,
    on_rows: Callable[[Side, int], None] = lambda *_: None,
    budget: MessageBudget | None = None,
) -> Iterator[Reading]:
    """Open and pin both sides of a comparison, before a row of either is read.

    Args:
        plan: the comparison.
        services: where its sides are.
        workers: how many streams or files of a side are read at once.
        on_rows: told of rows as they are read; called from several threads.
        budget: what messages of the Storage Read API may take; None for one message at a time.

    Yields:
        Both sides, for as long as they are open.

    Raises:
        UnreadableError: when one cannot be opened.
    """
    with open_sides(plan.warehouse.table, plan.snapshot.spec, services, workers=workers, budget=budget) as (
        warehouse,
        snapshot,
    ):
        yield Reading(plan, warehouse, snapshot, workers, on_rows)


def read_sides(reading: Reading, scratch: Path, *, by_value: bool = False) -> ReadSides:
    """Read both sides, as far as they cannot be scanned where they lie.

    Args:
        reading: what to read.
        scratch: an existing folder.
        by_value: whether to read value by value also what the engine could scan as it is.

    Returns:
        Their rows.

    Raises:
        UnreadableError: when a side cannot be read whole.
    """
    stop = threading.Event()

    def read(side: Side) -> tuple[SideRows, str | None]:
        folder = scratch / side
        folder.mkdir()
        finished = False
        try:
            found = _read(reading, side, folder, stop, by_value=by_value)
            finished = True
            return found
        finally:
            # One side's fault ends the reading of the other.
            if not finished:
                stop.set()

    with ThreadPoolExecutor(2, thread_name_prefix="reconcile-side") as pool:
        try:
            (warehouse, receipt), (snapshot, _) = pool.map(read, ("warehouse", "snapshot"))
        finally:
            # And so does an interrupt.
            stop.set()
    return ReadSides(warehouse, snapshot, receipt)


def read_side(reading: Reading, side: Side, folder: Path, *, by_value: bool = False) -> SideRows:
    """Read one side, as far as it cannot be scanned where it lies.

    Args:
        reading: what to read.
        side: which side of it.
        folder: scratch space; made here.
        by_value: whether to read value by value also what the engine could scan as it is.

    Returns:
        Its rows.

    Raises:
        UnreadableError: when it cannot be read whole.
    """
    folder.mkdir()
    rows, _ = _read(reading, side, folder, threading.Event(), by_value=by_value)
    return rows


def spill_rows(reading: Reading, side: Side, rows: Rows, folder: Path, stop: threading.Event | None = None) -> Spill:
    """Bring rows of a side to scratch space.

    Args:
        reading: what they are compared for.
        side: which side they are of.
        rows: the rows.
        folder: scratch space; made when absent.
        stop: set to give up early; what is returned after that is incomplete.

    Returns:
        The rows.

    Raises:
        UnreadableError: when they cannot be read whole.
    """
    folder.mkdir(exist_ok=True)
    stop = stop or threading.Event()
    columns, predicate = side_columns(reading.plan, side), reading.predicate(side)
    flags = _flags(predicate)
    units = [partial(stored_rows, columns, part.read, flags, part.name) for part in rows.parts]
    told = partial(reading.on_rows, side)
    spilled = spill(units, stored_schema(columns), folder, workers=reading.workers, stop=stop, on_rows=told)
    if not stop.is_set():
        rows.check()
    return spilled


def check_still_there(reading: Reading, sides: ReadSides) -> None:
    """Refuse what was compared when a file that was scanned where it lies is no longer the one that was listed.

    Args:
        reading: what was read.
        sides: both sides.

    Raises:
        UnreadableError: naming the file.
    """
    for source, rows in ((reading.warehouse, sides.warehouse), (reading.snapshot, sides.snapshot)):
        if isinstance(source, FileSource) and isinstance(rows, Direct):
            source.check_unchanged()


def _read(
    reading: Reading, side: Side, folder: Path, stop: threading.Event, *, by_value: bool
) -> tuple[SideRows, str | None]:
    source, predicate = reading.source(side), reading.predicate(side)
    columns = side_columns(reading.plan, side)
    told = partial(reading.on_rows, side)
    if isinstance(source, FileSource) and not by_value:
        names = tuple(column.name for column in columns)
        found = source.scanned(columns, names, predicate, folder, workers=reading.workers, stop=stop, on_rows=told)
        if found is not None:
            return found, None
    rows = source.rows(_needed(wanted(columns), predicate), predicate)
    return spill_rows(reading, side, rows, folder, stop), rows.receipt


def _needed(columns: tuple[Wanted, ...], predicate: Predicate) -> tuple[Wanted, ...]:
    """Add to the compared columns those that tell rows in flight."""
    if predicate.in_flight is None:
        return columns
    named = {column.name for column in columns}
    types = constant_types(predicate)
    return (*columns, *(Wanted(name, types[name]) for name in predicate.columns if name not in named))


def _flags(predicate: Predicate) -> Callable[[pa.RecordBatch], Flags]:
    if predicate.in_flight is None:
        return settled
    return partial(_in_flight_flags, predicate.where, predicate.in_flight)


def _in_flight_flags(where: tuple[Condition, ...], plan: InFlightPlan, batch: pa.RecordBatch) -> Flags:
    return all_hold(where, batch), in_flight(batch, plan)
