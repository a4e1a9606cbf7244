"""What all databases read through ADBC share: errors, and columns on their way to the compared types.

See https://arrow.apache.org/adbc/ for the interface.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.plans import DatabaseSpec
from reconcile.read.text import from_text
from reconcile.sources.model import Wanted
from reconcile.sources.uris import is_well_formed, without_secrets

_FIRST_DAY: Final = -719_162
_LAST_DAY: Final = 2_932_896
"""0001-01-01 and 9999-12-31 in days since 1970, the range of dates in GoogleSQL."""
_DAY_US: Final = 86_400_000_000
_FAMILIES: Final[tuple[frozenset[DataType], ...]] = (
    frozenset({"int64", "numeric", "bignumeric"}),
    frozenset({"array<string>", "array<int64>"}),
)
_DATA_EXCEPTION: Final = "22"
"""Class of the SQLSTATEs of values that cannot be converted (ISO/IEC 9075-2, "Status codes"), which messages quote."""


@dataclass(frozen=True)
class Held:
    """A column of a database.

    Attributes:
        name: its name.
        data_type: its type; None for one that can only be compared as text, with a cast.
        select: SQL that yields its value: texts for what Arrow would not carry as it is.
        is_text: whether the SQL yields texts that spell the type.
        is_bounded: whether every value fits the type, by the column's declaration.
    """

    name: str
    data_type: DataType | None
    select: str
    is_text: bool
    is_bounded: bool = True


def as_wanted(held: Held, column: Wanted) -> Held:
    """Return a column whose texts are read as what is wanted, where its type is only a narrower or wider one of a kind.

    Args:
        held: the column.
        column: what is wanted of it.
    """
    is_alike = any({held.data_type, column.data_type} <= family for family in _FAMILIES)
    return replace(held, data_type=column.data_type) if held.is_text and is_alike else held


def connection_uri(table: DatabaseSpec, environment: Mapping[str, str] = os.environ) -> str:
    """Return the URI of a table's connection.

    Args:
        table: the table.
        environment: where secrets are.

    Raises:
        UnreadableError: when the variable is not set, or holds no URI.
    """
    uri = environment.get(table.connection)
    if not uri:
        raise UnreadableError(f"{table}: the variable {table.connection} is not set; it holds the connection's URI")
    if not is_well_formed(uri):
        raise UnreadableError(
            f"{table}: {table.connection} is no URI of a connection, such as driver://user:password@host/database; "
            "percent-encode its password"
        )
    return uri


@contextmanager
def told(table: DatabaseSpec, module: Any, uri: str) -> Iterator[None]:
    """Turn a driver's errors into ours, without the secrets of the connection.

    Args:
        table: the table that is read.
        module: the driver's DBAPI.
        uri: the connection.

    Raises:
        UnreadableError: naming the table and the driver's reason.
    """
    try:
        yield
    except (module.Error, pa.ArrowException) as error:
        raise UnreadableError(f"{table}: cannot be read: {_words(error, uri)}") from None


def _words(error: Exception, uri: str) -> str:
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith(_DATA_EXCEPTION):
        return f"a value cannot be converted (SQLSTATE {state})"
    # What Arrow refuses is a value, too.
    return "a batch is not valid Arrow" if isinstance(error, pa.ArrowException) else without_secrets(str(error), uri)


def typed(batch: pa.RecordBatch, held: tuple[Held, ...], where: str) -> pa.RecordBatch:
    """Return what a database handed over in the types of its columns, by name.

    Args:
        batch: the columns, in order.
        held: what they are.
        where: the table, for messages.

    Raises:
        UnreadableError: when a value is none that GoogleSQL has: infinity, the year 10000, an array of arrays.
    """
    arrays = [_typed(array, column, where) for array, column in zip(batch.columns, held, strict=True)]
    return pa.record_batch(arrays, names=[column.name for column in held])


def _typed(array: pa.Array, column: Held, where: str) -> pa.Array:
    kind = column.data_type or "string"
    try:
        found = from_text(array, kind) if column.is_text else array
        _check_range(found)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"{where}: {column.name} holds what no {kind} can: {error}") from error
    return found


def _check_range(array: pa.Array) -> None:
    """Refuse points in time beyond GoogleSQL's; a driver that shifts an infinite one makes it something else."""
    if pa.types.is_date32(array.type):
        low, high, counts = _FIRST_DAY, _LAST_DAY, array.view(pa.int32())
    elif pa.types.is_timestamp(array.type) and array.type.unit == "us":
        low, high, counts = _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1, array.view(pa.int64())
    elif pa.types.is_time64(array.type) and array.type.unit == "us":
        low, high, counts = 0, _DAY_US - 1, array.view(pa.int64())
    else:
        return
    found = pc.min_max(counts).as_py()
    if found["min"] is not None and not low <= found["min"] <= found["max"] <= high:
        raise ValueError("a point in time out of range, such as infinity or 24:00")
