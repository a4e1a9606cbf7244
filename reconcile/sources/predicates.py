"""A predicate applied to Arrow batches, for sources that cannot apply it themselves."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from reconcile.plans import InFlightPlan
from reconcile.read.filters import Condition, all_hold
from reconcile.sources.model import Predicate

_CONSTANT_TYPES: Final[tuple[tuple[type, DataType], ...]] = (
    (bool, "bool"),
    (int, "int64"),
    (Decimal, "numeric"),
    (datetime, "timestamp"),
    (date, "date"),
    (str, "string"),
)


def constant_types(predicate: Predicate) -> dict[str, DataType]:
    """Return the columns a predicate looks at, with the types that its constants have.

    Args:
        predicate: which rows.
    """
    found = {condition.column: _constant_type(condition) for condition in predicate.where}
    if predicate.in_flight is not None:
        found[predicate.in_flight.column] = "timestamp"
    return found


def kept(batch: pa.RecordBatch, predicate: Predicate) -> pa.RecordBatch:
    """Return the rows that a predicate wants.

    Args:
        batch: rows that hold the columns it looks at.
        predicate: which of them.

    Raises:
        UnreadableError: when a column is not there, or a constant is not of its type.
    """
    if not predicate.where:
        return batch
    mask = all_hold(predicate.where, batch)
    return batch.filter(mask if predicate.in_flight is None else pc.or_(mask, in_flight(batch, predicate.in_flight)))


def in_flight(batch: pa.RecordBatch, plan: InFlightPlan) -> pa.Array:
    """Return which rows were taken in after the other side's instant.

    Args:
        batch: rows that hold the column that tells.
        plan: how it is told.
    """
    arrived = batch.column(plan.column)
    newer = pc.greater(arrived, pa.scalar(plan.after, arrived.type))
    return pc.fill_null(newer, fill_value=False)


def _constant_type(condition: Condition) -> DataType:
    for value in condition.values:
        for python_type, data_type in _CONSTANT_TYPES:
            if isinstance(value, python_type):
                return data_type
    return "string"
