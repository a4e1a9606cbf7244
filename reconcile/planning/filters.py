"""Filters held against the columns that they look at, so that a run is not the first to refuse them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import pyarrow as pa

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import Scalar
from reconcile.planning.columns import Schema
from reconcile.plans import FileSet, PlannedColumn, TableSpec
from reconcile.read.filters import Condition
from reconcile.read.text import ARROW
from reconcile.read.warehouse import WarehouseTable
from reconcile.sources.arrow_types import data_type_of

_NUMBERS: Final = (int, Decimal)
_EVERYWHERE: Final[Mapping[DataType, tuple[type, ...]]] = {
    "int64": _NUMBERS,
    "numeric": _NUMBERS,
    "bignumeric": _NUMBERS,
    "float64": _NUMBERS,
    "bool": (bool,),
    "string": (str,),
}
_GOOGLESQL: Final[Mapping[DataType, tuple[type, ...]]] = {
    **_EVERYWHERE,
    "bytes": (str,),
    "date": (str, date),
    "datetime": (str, date),
    "time": (str,),
    "timestamp": (str, datetime),
}
"""Constants that GoogleSQL compares with a type; literals of text are coerced ("Conversion rules" in its reference)."""
_POSTGRESQL: Final[Mapping[DataType, tuple[type, ...]]] = {
    **_EVERYWHERE,
    "date": (date, datetime),
    "datetime": (date, datetime),
    "timestamp": (date, datetime),
}
"""The same of PostgreSQL, to which constants are bound with their types."""
_ARROW: Final[Mapping[DataType, tuple[type, ...]]] = {
    **_POSTGRESQL,
    "bytes": (str,),
    "date": (date,),
    "json": (str,),
}
"""The same of files. Arrow would also take a number for a day, and a point in time for its day."""
_DATABASES: Final[Mapping[str, Mapping[DataType, tuple[type, ...]]]] = {"postgresql": _POSTGRESQL}
"""Databases that are known to refuse other constants; Redshift and Snowflake convert some of them."""
_WORDS: Final[Mapping[type, str]] = {
    bool: "a truth value",
    int: "a whole number",
    Decimal: "a number",
    datetime: "a point in time",
    date: "a date",
    str: "a text",
}


@dataclass(frozen=True)
class Filtered:
    """What a filter looks at.

    Attributes:
        table: the table.
        schema: the compared types of its columns; None when its format says nothing of them.
        arrow: its Arrow schema; None likewise.
        columns: the compared columns, as this side has them.
    """

    table: TableSpec
    schema: Schema | None
    arrow: pa.Schema | None
    columns: Sequence[PlannedColumn]


def check_condition(condition: Condition, side: Filtered) -> None:
    """Refuse a condition that the side would refuse when it is read.

    Args:
        condition: the condition.
        side: what it looks at.

    Raises:
        ConfigurationError: when a constant is not of the column's type.
        UnreadableError: when the column is not there.
    """
    if side.schema is not None and condition.column not in side.schema:
        raise UnreadableError(f"{side.table}: has no column {condition.column!r}, which the filter names")
    if not condition.values:
        raise ConfigurationError("an empty list lets no row pass; name a constant, or drop the filter")
    if isinstance(side.table, FileSet):
        kind = _arrow_type(condition.column, side)
        if kind is not None:
            _check_constants(condition, data_type_of(kind), _ARROW)
            _check_mask(condition, kind)
        return
    suiting = _GOOGLESQL if isinstance(side.table, WarehouseTable) else _DATABASES.get(side.table.kind)
    if suiting is not None and side.schema is not None:
        _check_constants(condition, side.schema[condition.column], suiting)


def _arrow_type(column: str, side: Filtered) -> pa.DataType | None:
    """Return what a column of files is filtered as; None where it is read as whatever the constants are."""
    if side.arrow is not None:
        return side.arrow.field(column).type
    compared = {found.name: found.data_type for found in side.columns if found.origin is None}
    return ARROW[compared[column]] if column in compared else None


def _check_mask(condition: Condition, kind: pa.DataType) -> None:
    """Refuse constants that are of the column's kind, but no values of its type: too large, or of too many digits."""
    try:
        condition.mask(pa.array([], kind))
    except UnreadableError as error:
        raise ConfigurationError(str(error)) from error


def _check_constants(condition: Condition, kind: DataType | None, suiting: Mapping[DataType, tuple[type, ...]]) -> None:
    if kind is None:
        # Of a type that nothing of ours knows, whoever reads it decides.
        return
    for value in condition.values:
        # The type itself: to Python, true is 1 and a point in time is a date.
        if value is not None and type(value) not in suiting.get(kind, ()):
            raise ConfigurationError(
                f"{condition.column} is {kind}, and {_shown(value)} is {_WORDS[type(value)]}; "
                "quote texts, and nothing else"
            )


def _shown(value: Scalar) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
