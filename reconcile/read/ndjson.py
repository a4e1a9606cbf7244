"""Newline-delimited JSON of a snapshot, gzipped or plain, with the types of the contract.

No number ever passes through a binary double unless its column is one: decimals are taken digit for digit,
and documents keep their text. The form of each type is that of the API's rows: decimals as strings (or as
numbers), dates and times as ISO 8601, bytes as base64, JSON as JSON, arrays as arrays. See
https://github.com/ndjson/ndjson-spec and RFC 1952 for gzip.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile

_BATCH_ROWS: Final = 8_192
_READ_BYTES: Final = 4 * 1024 * 1024
_LONGEST_LINE: Final = 64 * 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"

_PYTHON_TYPES: Final[dict[DataType, Any]] = {
    "int64": int,
    "numeric": Decimal,
    "bignumeric": Decimal,
    "float64": float | str,
    "bool": bool,
    "string": str,
    "bytes": bytes,
    "date": str,
    "datetime": str,
    "time": str,
    "timestamp": str,
    "json": msgspec.Raw,
    "array<string>": list[str | None],
    "array<int64>": list[int | None],
}
_ARROW_TYPES: Final[dict[DataType, pa.DataType]] = {
    "int64": pa.int64(),
    "numeric": pa.decimal128(38, 9),
    "bignumeric": pa.decimal256(76, 38),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us", "UTC"),
    "json": pa.string(),
    "array<string>": pa.list_(pa.string()),
    "array<int64>": pa.list_(pa.int64()),
}
_PARSED_BY_ARROW: Final[frozenset[DataType]] = frozenset({"date", "datetime", "timestamp"})
_ANY_DAY: Final = "1970-01-01T"


def read_ndjson(store: ObjectStore, ref: ObjectRef, columns: dict[str, DataType]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    Args:
        store: where the file lies.
        ref: the file; gzipped when it begins as gzip does.
        columns: the columns wanted, with their types. A row must have every one, if only as null, and may have
            others.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is truncated, replaced or gone, or a row does not fit, with its line.
    """
    decoder = msgspec.json.Decoder(_row_type(columns))
    with io.BufferedReader(PinnedFile(store, ref), _READ_BYTES) as raw:
        lines = _lines(ref, raw)
        first = 1
        while block := list(islice(lines, _BATCH_ROWS)):
            rows = [_decode(decoder, ref, first + number, line) for number, line in enumerate(block)]
            yield _batch(ref, first, rows, columns)
            first += len(block)


def _row_type(columns: dict[str, DataType]) -> type[msgspec.Struct]:
    # Fields are numbered: a column may be called what a struct's own attribute is called.
    fields = [(f"c{number}", _field_type(kind)) for number, kind in enumerate(columns.values())]
    names = {f"c{number}": name for number, name in enumerate(columns)}
    return msgspec.defstruct("Row", fields, rename=names, gc=False)


def _field_type(kind: DataType) -> Any:
    # Raw text is taken whole, null included, and may not stand in a union.
    return _PYTHON_TYPES[kind] if kind == "json" else _PYTHON_TYPES[kind] | None


def _lines(ref: ObjectRef, raw: "io.BufferedReader[PinnedFile]") -> Iterator[bytes]:
    zipped = raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC
    if ref.path.endswith(".gz") and not zipped:
        raise UnreadableError(f"{ref.uri}: is truncated or corrupt: it does not begin as gzip does")
    source = gzip.GzipFile(fileobj=raw) if zipped else raw
    try:
        while line := source.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise UnreadableError(f"{ref.uri}: has a line of more than {_LONGEST_LINE} bytes")
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableError(f"{ref.uri}: is truncated or corrupt: {error}") from error


def _decode(decoder: msgspec.json.Decoder[Any], ref: ObjectRef, number: int, line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{ref.uri}: line {number}: {error}") from error


def _batch(ref: ObjectRef, first: int, rows: list[Any], columns: dict[str, DataType]) -> pa.RecordBatch:
    arrays = []
    for number, (name, kind) in enumerate(columns.items()):
        values = [getattr(row, f"c{number}") for row in rows]
        try:
            arrays.append(_array(values, kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError) as error:
            lines = f"lines {first} to {first + len(rows) - 1}"
            raise UnreadableError(f"{ref.uri}: {lines}: {name} is not {kind}: {error}") from error
    return batch_of(arrays, tuple(columns), len(rows))


def batch_of(arrays: list[pa.Array], names: tuple[str, ...], rows: int) -> pa.RecordBatch:
    """Return a batch that knows its rows even when it has no column.

    Args:
        arrays: the columns.
        names: their names.
        rows: its rows.
    """
    if arrays:
        return pa.record_batch(arrays, names=list(names))
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _array(values: list[Any], kind: DataType) -> pa.Array:
    if kind == "time":
        # Arrow parses points in time, but not times of day; on any day they are the same.
        dated = pc.binary_join_element_wise(_ANY_DAY, pa.array(values, pa.string()), "")
        return dated.cast(pa.timestamp("us")).cast(pa.time64("us"))
    if kind in _PARSED_BY_ARROW:
        return pa.array(values, pa.string()).cast(_ARROW_TYPES[kind])
    if kind in _PREPARED:
        prepare = _PREPARED[kind]
        values = [None if value is None else prepare(value) for value in values]
    return pa.array(values, _ARROW_TYPES[kind])


def _document(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else text


_PREPARED: Final[dict[DataType, Callable[[Any], Any]]] = {"json": _document, "float64": float}
