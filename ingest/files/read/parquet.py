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


def read_parquet(store: ObjectStore, ref: ObjectRef) -> Iterator[RowBatch]:
    """Yield the rows of an object; see `read_rows`.

    Columns are read in parts, so memory grows with neither the file nor its row groups; page checksums are verified
    where the writer left them. Nanoseconds are cut to microseconds, which is what BigQuery holds.
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
        for batch in file.iter_batches(_ROWS):
            for row in _python_rows(batch):
                yield json_text(row)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(f"{ref.uri}: is not a whole Parquet file: {error}") from error


def _python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    names = batch.schema.names
    columns = [_python_values(column) for column in batch.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _python_values(column: pa.Array) -> list[Any]:
    narrow = _narrow(column.type)
    values: list[Any] = (column if narrow == column.type else column.cast(narrow, safe=False)).to_pylist()
    return [without_non_finite(value) for value in values] if _has_floats(column.type) else values


def _narrow(kind: pa.DataType) -> pa.DataType:
    """Return the type with microseconds for nanoseconds, which Python cannot hold."""
    if pt.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
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
