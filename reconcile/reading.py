"""Both sides of a comparison, read at once: in the types they are compared in, whole, and pinned."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from core.pinned import ObjectStore
from reconcile.compare.statements import Source
from reconcile.plans import ComparisonPlan
from reconcile.read.direct import Direct, check_unchanged, read_direct, read_footers
from reconcile.read.sides import Tally, snapshot_units, stored_schema, warehouse_units
from reconcile.read.spill import Spill, Unit, spill
from reconcile.read.warehouse import Session

ReadSide = Literal["warehouse", "snapshot"]


@dataclass(frozen=True)
class Reading:
    """How both sides of one comparison are read.

    Attributes:
        plan: the comparison.
        client: where the warehouse is read.
        session: the read session of the warehouse's table.
        store: where the snapshot lies.
        workers: how many streams or files of a side are read at once.
        on_rows: told of rows of a side as they are read; called from several threads.
    """

    plan: ComparisonPlan
    client: BigQueryReadClient
    session: Session
    store: ObjectStore
    workers: int
    on_rows: Callable[[ReadSide, int], None]


def read_sides(reading: Reading, scratch: Path, *, by_value: bool = False) -> tuple[Source, Source]:
    """Read both sides, as far as they cannot be scanned where they lie.

    Args:
        reading: what to read.
        scratch: an existing folder.
        by_value: whether to read value by value also what the engine could scan as it is.

    Returns:
        The warehouse's rows and the snapshot's.

    Raises:
        UnreadableError: when a side cannot be read whole.
    """
    stop = threading.Event()

    def read(side: ReadSide) -> Source:
        folder = scratch / side
        folder.mkdir()
        finished = False
        try:
            found = (
                _read_warehouse(reading, folder, stop)
                if side == "warehouse"
                else _read_snapshot(reading, folder, stop, by_value=by_value)
            )
            finished = True
            return found
        finally:
            # One side's fault ends the reading of the other.
            if not finished:
                stop.set()

    with ThreadPoolExecutor(2, thread_name_prefix="reconcile-side") as pool:
        try:
            warehouse, snapshot = pool.map(read, ("warehouse", "snapshot"))
        finally:
            # And so does an interrupt.
            stop.set()
    return warehouse, snapshot


def check_still_there(reading: Reading, sides: tuple[Source, Source]) -> None:
    """Refuse what was compared when a file that was scanned where it lies is no longer the one that was listed.

    Args:
        reading: what was read.
        sides: both sides.

    Raises:
        UnreadableError: naming the file.
    """
    snapshot = sides[1]
    if isinstance(snapshot, Direct):
        for file in snapshot.contents:
            check_unchanged(reading.store, file.ref)


def _read_warehouse(reading: Reading, folder: Path, stop: threading.Event) -> Source:
    units = warehouse_units(reading.plan, reading.client, reading.session)
    return _spilled(reading, "warehouse", units, folder, stop)


def _read_snapshot(reading: Reading, folder: Path, stop: threading.Event, *, by_value: bool) -> Source:
    tally = Tally()
    found = None if by_value else _direct(reading, folder, stop, tally)
    if found is None:
        units = snapshot_units(reading.plan, reading.store, tally)
        found = _spilled(reading, "snapshot", units, folder, stop)
    if not stop.is_set():
        tally.check(reading.plan.snapshot, reading.plan.name)
    return found


def _direct(reading: Reading, folder: Path, stop: threading.Event, tally: Tally) -> Source | None:
    plan, source = reading.plan, reading.plan.snapshot
    if source.format != "parquet":
        return None
    names = tuple(column.snapshot_name for column in plan.columns)
    footers = read_footers(plan.columns, names, source.where, reading.store, source.objects, workers=reading.workers)
    if footers is None:
        return None

    def verified(rows: int) -> None:
        tally.add(rows)
        reading.on_rows("snapshot", rows)

    return read_direct(
        footers, source.where, reading.store, folder, workers=reading.workers, stop=stop, on_rows=verified
    )


def _spilled(reading: Reading, side: ReadSide, units: list[Unit], folder: Path, stop: threading.Event) -> Spill:
    schema = stored_schema(reading.plan.columns)
    told = partial(reading.on_rows, side)
    return spill(units, schema, folder, workers=reading.workers, stop=stop, on_rows=told)
