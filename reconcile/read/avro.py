"""Avro object container files (Apache Avro 1.12 specification, "Object Container Files"), in the types of their schema.

Every block ends with the file's sync marker, which is checked; a file that was cut right after a block is whole by its
format, and only a count stated elsewhere tells. Blocks have no checksum but for what their codec keeps.
"""

import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import fastavro
import pyarrow as pa

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile
from reconcile.read.compression import READ_BYTES
from reconcile.read.text import batch_of

_BATCH_ROWS: Final = 8_192
_INCOMPARABLE: Final = pa.struct([])
"""Stands for records, maps and unions of several types."""

_PLAIN: Final[dict[str, pa.DataType]] = {
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "enum": pa.string(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "null": pa.null(),
}
_LOGICAL: Final[dict[tuple[str, str], pa.DataType]] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time64("us"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "timestamp-millis"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("us"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
    ("string", "uuid"): pa.string(),
    ("fixed", "duration"): _INCOMPARABLE,
}
_MOST_DIGITS: Final = 38
_MOST_BIG_DIGITS: Final = 76
_FAULTS: Final = (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, zlib.error, lzma.LZMAError)
"""What the decoder raises on bytes that are no Avro; text that is not UTF-8 is a value error, too."""


def read_avro_schema(store: ObjectStore, ref: ObjectRef) -> pa.Schema:
    """Return the schema of a file from its header alone.

    Args:
        store: where the file lies.
        ref: the file.

    Returns:
        The Arrow types its values become.

    Raises:
        UnreadableError: when the file is not Avro, truncated, replaced or gone.
    """
    with _opened(store, ref) as reader:
        return _schema(ref, reader)


def read_avro(store: ObjectStore, ref: ObjectRef, columns: dict[str, DataType]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    Args:
        store: where the file lies.
        ref: the file.
        columns: the columns wanted; their types are the file's own.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is not Avro, truncated, corrupt, replaced or gone, or lacks a column.
    """
    with _opened(store, ref) as reader:
        schema = _schema(ref, reader)
        for name in columns:
            if name not in schema.names:
                raise UnreadableError(f"{ref.uri}: has no column {name!r}; it has {', '.join(schema.names)}")
        while rows := list(islice(reader, _BATCH_ROWS)):
            arrays = [_array([row[name] for row in rows], schema.field(name).type) for name in columns]
            yield batch_of(arrays, tuple(columns), len(rows))


@contextmanager
def _opened(store: ObjectStore, ref: ObjectRef) -> Iterator[Any]:
    with io.BufferedReader(PinnedFile(store, ref), READ_BYTES) as raw:
        try:
            yield fastavro.reader(raw)
        except (*_FAULTS, pa.ArrowException) as error:
            raise UnreadableError(f"{ref.uri}: is not a whole Avro file: {_words(error)}") from None


def _words(error: Exception) -> str:
    # Of bytes the decoder tells what is wrong with them; other errors may quote a value.
    is_of_bytes = isinstance(error, EOFError | zlib.error | lzma.LZMAError)
    return str(error) if is_of_bytes and str(error) else type(error).__name__


def _schema(ref: ObjectRef, reader: Any) -> pa.Schema:
    written: Any = reader.writer_schema
    if not isinstance(written, dict) or written.get("type") != "record":
        raise UnreadableError(f"{ref.uri}: holds no records, so it has no columns")
    return pa.schema([(field["name"], _arrow_type(field["type"])) for field in written["fields"]])


def _arrow_type(written: Any) -> pa.DataType:
    if isinstance(written, list):
        # A union with null is a nullable column.
        others = [branch for branch in written if branch != "null"]
        return _arrow_type(others[0]) if len(others) == 1 else _INCOMPARABLE
    if isinstance(written, str):
        return _PLAIN.get(written, _INCOMPARABLE)
    name, logical = written["type"], written.get("logicalType")
    if not isinstance(name, str):
        return _arrow_type(name)
    if name == "array":
        return pa.list_(_arrow_type(written["items"]))
    if logical == "decimal":
        return _decimal(written["precision"], written.get("scale", 0))
    return _LOGICAL.get((name, logical or ""), _PLAIN.get(name, _INCOMPARABLE))


def _decimal(precision: int, scale: int) -> pa.DataType:
    if precision > _MOST_BIG_DIGITS:
        return _INCOMPARABLE
    return pa.decimal128(precision, scale) if precision <= _MOST_DIGITS else pa.decimal256(precision, scale)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # The decoder leaves these as the number they are.
        return pa.array(values, pa.int64()).cast(kind)
    if kind == pa.string():
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    if kind == _INCOMPARABLE:
        return pa.array([None if value is None else {} for value in values], kind)
    return pa.array(values, kind)
