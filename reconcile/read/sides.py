"""The two sides of a comparison as units of reading that yield one schema.

Columns are numbered (`c0`, `c1`, ...) in the plan's order, so that no name of either side, however it is
spelled, meets the engine's own.
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal

import pyarrow as pa

from reconcile.mapping.values import ValueOf, mapped_values
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.read.convert import STORED, to_stored
from reconcile.read.footers import lazy
from reconcile.read.spill import Unit

Side = Literal["warehouse", "snapshot"]
Flags = tuple[pa.Array, pa.Array]

LIVE: Final = "live"
"""Whether a row meets the warehouse's filter; one that does not explains a key in flight."""
IN_FLIGHT: Final = "in_flight"
"""Whether a row was taken in after the snapshot was taken."""

_FLAGS: Final = (pa.field(LIVE, pa.bool_()), pa.field(IN_FLIGHT, pa.bool_()))


def stored_schema(columns: tuple[PlannedColumn, ...]) -> pa.Schema:
    """Return the schema of both sides in scratch space.

    Args:
        columns: the compared columns.

    Returns:
        A numbered field for each, then `LIVE` and `IN_FLIGHT`.
    """
    fields = [pa.field(f"c{number}", STORED[column.data_type]) for number, column in enumerate(columns)]
    return pa.schema([*fields, *_FLAGS])


def side_columns(plan: ComparisonPlan, side: Side) -> tuple[PlannedColumn, ...]:
    """Return the compared columns under their names on one side.

    Args:
        plan: the comparison.
        side: which side.
    """
    if side == "warehouse":
        return plan.columns
    return tuple(column.on_snapshot for column in plan.columns)


def stored_rows(
    columns: tuple[PlannedColumn, ...], read: Unit, flags: Callable[[pa.RecordBatch], Flags], where: str
) -> Iterator[pa.RecordBatch]:
    """Yield rows of a side in the stored schema.

    Args:
        columns: the compared columns, under their names on this side.
        read: yields these columns, and those that the flags look at.
        flags: tells which rows are live and which in flight.
        where: what is read, for messages.

    Raises:
        UnreadableError: when a value cannot become what it is compared as.
    """
    with mapped_values(columns, where) as value_of:

        def stored(batch: pa.RecordBatch) -> pa.RecordBatch:
            return _stored(columns, batch, flags(batch), where, value_of)

        # A loop's variable would hold on to a batch, maybe a message of many MiB, while the next one is awaited.
        yield from map(stored, read())


def settled(batch: pa.RecordBatch) -> Flags:
    """Return the flags of rows that are live and not in flight.

    Args:
        batch: the rows.
    """
    return pa.repeat(pa.scalar(value=True), batch.num_rows), pa.repeat(pa.scalar(value=False), batch.num_rows)


def _stored(
    columns: tuple[PlannedColumn, ...], batch: pa.RecordBatch, flags: Flags, where: str, value_of: ValueOf
) -> pa.RecordBatch:
    arrays = [
        to_stored(
            value_of(column, batch),
            column.data_type,
            cast=column.cast,
            numbers=column.rule.numbers,
            where=f"{where}: {column.name}",
            is_lazy=lazy(column),
        )
        for column in columns
    ]
    return pa.record_batch([*arrays, *flags], schema=stored_schema(columns))
