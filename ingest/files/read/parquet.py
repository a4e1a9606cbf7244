"""Parquet files (https://parquet.apache.org/docs/file-format/)."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile
from ingest.files.read.row import RowBatch, batched, json_text, without_non_finite

_ROWS: Final = 1_000
_BUFFER_BYTES: Final = 1024 * 1024
_DAY_MS: Final = 86_400_000
_MICROS_IN: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}


def read_parquet(store: ObjectStore, ref: ObjectRef) -> Iterator[RowBatch]:
    """Yield the rows of an object; see `read_rows`.

    Columns are read in parts, so memory grows with neither the file nor its row groups; page checksums are verified
    where the writer left them. Nanoseconds are cut to microseconds, which is what BigQuery holds. Instants are told in
    UTC; outside the years 1 to 9999, which no text and no cast knows, they are told as microseconds since 1970, and
    dates as days.
    """
    yield from batched(enumerate(_rows(store, ref), 1))


def _rows(store: ObjectStore, ref: ObjectRef) -> Iterator[bytes]:
    try:
        file = pq.ParquetFile(
            pa.PythonFile(PinnedFile(store, ref), mode="r"),
            page_checksum_verification=True,
            # INT96 of years outside 1677 to 2262 would wrap around as nanoseconds.
            coerce_int96_timestamp_unit="us",
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
        )
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise UnreadableError(f"{ref.uri}: two of its columns have one name; write them under names of their own")
        for batch in file.iter_batches(_ROWS):
            for row in _python_rows(batch):
                yield json_text(row)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(f"{ref.uri}: is not a whole Parquet file: {error}") from error
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        # What the library cannot make a value of. Its words may quote the value.
        raise UnreadableError(f"{ref.uri}: holds a value that cannot be read: {type(error).__name__}") from error


def _python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    names = batch.schema.names
    columns = [_python_values(column) for column in batch.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _python_values(column: pa.Array) -> list[Any]:
    narrow = _narrow(column.type)
    cast = column if narrow == column.type else column.cast(narrow, safe=False)
    try:
        values: list[Any] = cast.to_pylist()
    except (OverflowError, ValueError):
        if not (pt.is_timestamp(narrow) or pt.is_date(narrow)):
            raise
        values = [_instant(scalar) for scalar in cast]
    return [without_non_finite(value) for value in values] if _has_floats(column.type) else values


def _instant(scalar: Any) -> Any:
    """Return an instant or a date; outside the years that Python knows, the count that it is."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        if pt.is_date(scalar.type):
            return scalar.value // (_DAY_MS if pt.is_date64(scalar.type) else 1)
        return scalar.value * _MICROS_IN[scalar.type.unit]


def _narrow(kind: pa.DataType) -> pa.DataType:
    """Return the type with microseconds for nanoseconds, which Python cannot hold, and UTC for any zone.

    An instant is the same in every zone, and Python may not know the file's, or not as it was back then.
    """
    if pt.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, kind.tz and "UTC")
    if pt.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if pt.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pt.is_struct(kind):
        return pa.struct([field.with_type(_narrow(field.type)) for field in kind])
    if pt.is_list(kind):
        return pa.list_(kind.value_field.with_type(_narrow(kind.value_type)))
    return kind


def _has_floats(kind: pa.DataType) -> bool:
    if pt.is_floating(kind):
        return True
    return any(_has_floats(kind.field(number).type) for number in range(kind.num_fields))
