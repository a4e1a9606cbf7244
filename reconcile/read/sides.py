"""The two sides of a comparison as units of reading that yield one schema.

Columns are numbered (`c0`, `c1`, ...) in the plan's order, so that no name of either side, however it is
spelled, meets the engine's own.
"""

import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.plans import ComparisonPlan, InFlightPlan, PlannedColumn, SnapshotPlan
from reconcile.read.convert import STORED, to_stored
from reconcile.read.filters import Condition, all_hold
from reconcile.read.footers import lazy
from reconcile.read.ndjson import read_ndjson
from reconcile.read.parquet import read_parquet
from reconcile.read.spill import Unit
from reconcile.read.warehouse import Session, read_stream

LIVE: Final = "live"
"""Whether a row meets the warehouse's filter; one that does not explains a key in flight."""
IN_FLIGHT: Final = "in_flight"
"""Whether a row was taken in after the snapshot was taken."""

_Flags = tuple[pa.Array, pa.Array]

_FLAGS: Final = (pa.field(LIVE, pa.bool_()), pa.field(IN_FLIGHT, pa.bool_()))
_CONSTANT_TYPES: Final[tuple[tuple[type, DataType], ...]] = (
    (bool, "bool"),
    (int, "int64"),
    (Decimal, "numeric"),
    (datetime, "timestamp"),
    (date, "date"),
    (str, "string"),
)


def stored_schema(columns: tuple[PlannedColumn, ...]) -> pa.Schema:
    """Return the schema of both sides in scratch space.

    Args:
        columns: the compared columns.

    Returns:
        A numbered field for each, then `LIVE` and `IN_FLIGHT`.
    """
    fields = [pa.field(f"c{number}", STORED[column.data_type]) for number, column in enumerate(columns)]
    return pa.schema([*fields, *_FLAGS])


def warehouse_columns(plan: ComparisonPlan) -> tuple[str, ...]:
    """Return the columns to ask the warehouse for.

    Args:
        plan: the comparison.

    Returns:
        The compared columns, and those that tell rows in flight.
    """
    names = [column.name for column in plan.columns]
    if plan.warehouse.in_flight is not None:
        names += [plan.warehouse.in_flight.column, *(condition.column for condition in plan.warehouse.where)]
    return tuple(dict.fromkeys(names))


def warehouse_units(plan: ComparisonPlan, client: BigQueryReadClient, session: Session) -> list[Unit]:
    """Return a unit of reading for each stream.

    Args:
        plan: the comparison.
        client: where to read.
        session: the read session.

    Returns:
        Units that yield the stored schema.
    """
    return [partial(_warehouse_rows, plan, client, session, stream) for stream in session.streams]


class Tally:
    """Counts the rows the files hold, before any filter, over several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = 0

    def add(self, rows: int) -> None:
        """Count some rows."""
        with self._lock:
            self._rows += rows

    def check(self, plan: SnapshotPlan, where: str) -> None:
        """Hold the count against the manifest, once every file is read.

        Args:
            plan: what the manifest says.
            where: the comparison, for the message.

        Raises:
            UnreadableError: when the files hold another number of rows.
        """
        if plan.expected_rows is not None and plan.expected_rows != self._rows:
            raise UnreadableError(
                f"{where}: the manifest says {plan.expected_rows} rows and the files hold {self._rows}"
            )


def snapshot_units(plan: ComparisonPlan, store: ObjectStore, tally: Tally) -> list[Unit]:
    """Return a unit of reading for each file.

    Args:
        plan: the comparison.
        store: where the files lie.
        tally: counts what the files hold.

    Returns:
        Units that yield the stored schema.
    """
    return [partial(_snapshot_rows, plan, store, ref, tally) for ref in plan.snapshot.objects]


def _warehouse_rows(
    plan: ComparisonPlan, client: BigQueryReadClient, session: Session, stream: str
) -> Iterator[pa.RecordBatch]:
    table = plan.warehouse.table
    for batch in read_stream(client, table, session, stream):
        flags = _flags(batch, plan.warehouse.where, plan.warehouse.in_flight)
        yield _stored(plan.columns, [column.name for column in plan.columns], batch, flags, str(table))


def _flags(batch: pa.RecordBatch, where: tuple[Condition, ...], in_flight: InFlightPlan | None) -> _Flags:
    if in_flight is None:
        return _settled(batch)
    arrived = batch.column(in_flight.column)
    newer = pc.greater(arrived, pa.scalar(in_flight.after, arrived.type))
    return all_hold(where, batch), pc.fill_null(newer, fill_value=False)


def _snapshot_rows(plan: ComparisonPlan, store: ObjectStore, ref: ObjectRef, tally: Tally) -> Iterator[pa.RecordBatch]:
    names = [column.snapshot_name for column in plan.columns]
    for batch in _snapshot_batches(plan, store, ref):
        tally.add(batch.num_rows)
        kept = batch.filter(all_hold(plan.snapshot.where, batch)) if plan.snapshot.where else batch
        yield _stored(plan.columns, names, kept, _settled(kept), ref.uri)


def _snapshot_batches(plan: ComparisonPlan, store: ObjectStore, ref: ObjectRef) -> Iterator[pa.RecordBatch]:
    wanted: dict[str, DataType] = {condition.column: _constant_type(condition) for condition in plan.snapshot.where} | {
        column.snapshot_name: column.data_type for column in plan.columns
    }
    if plan.snapshot.format == "parquet":
        return read_parquet(store, ref, tuple(wanted))
    return read_ndjson(store, ref, wanted)


def _constant_type(condition: Condition) -> DataType:
    for value in condition.values:
        for python_type, data_type in _CONSTANT_TYPES:
            if isinstance(value, python_type):
                return data_type
    return "string"


def _stored(
    columns: tuple[PlannedColumn, ...], names: list[str], batch: pa.RecordBatch, flags: _Flags, where: str
) -> pa.RecordBatch:
    arrays = [
        to_stored(
            batch.column(name),
            column.data_type,
            cast=column.cast,
            numbers=column.rule.numbers,
            where=f"{where}: {name}",
            is_lazy=lazy(column),
        )
        for column, name in zip(columns, names, strict=True)
    ]
    return pa.record_batch([*arrays, *flags], schema=stored_schema(columns))


def _settled(batch: pa.RecordBatch) -> _Flags:
    """Return the flags of rows that are live and not in flight."""
    return pa.repeat(pa.scalar(value=True), batch.num_rows), pa.repeat(pa.scalar(value=False), batch.num_rows)
