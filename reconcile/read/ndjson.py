"""Newline-delimited JSON of a snapshot, compressed or plain, with the types of the contract.

No number ever passes through a binary double unless its column is one: decimals are taken digit for digit,
and documents keep their text. The form of each type is that of the API's rows: decimals as strings (or as
numbers), dates and times as ISO 8601, bytes as base64, JSON as JSON, arrays as arrays. See
https://github.com/ndjson/ndjson-spec.
"""

import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec
import pyarrow as pa

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.read.compression import open_plain
from reconcile.read.faults import ValueFaultError, converted
from reconcile.read.text import ARROW, batch_of, from_text

_BATCH_ROWS: Final = 8_192
LONGEST_ROW: Final = 64 * 1024 * 1024

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
_PARSED_AS_TEXT: Final[frozenset[DataType]] = frozenset({"date", "datetime", "time", "timestamp"})


def read_ndjson(store: ObjectStore, ref: ObjectRef, columns: dict[str, DataType]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    Args:
        store: where the file lies.
        ref: the file; decompressed when it begins as gzip or Zstandard does.
        columns: the columns wanted, with their types. A row must have every one, if only as null, and may have
            others.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is truncated, replaced or gone, or a row does not fit, with its line.
    """
    with open_plain(store, ref) as plain:
        yield from read_records(ref, _lines(ref, plain), columns, "line")


def read_records(
    ref: ObjectRef, records: Iterator[bytes], columns: dict[str, DataType], unit: str
) -> Iterator[pa.RecordBatch]:
    """Yield rows of JSON objects.

    Args:
        ref: the file they are from, for messages.
        records: the text of each object.
        columns: the columns wanted, with their types.
        unit: what an object is in the file, for messages.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when a row does not fit, with its number.
    """
    decoder = msgspec.json.Decoder(_row_type(columns))
    first = 1
    while block := list(islice(records, _BATCH_ROWS)):
        rows = [_decode(decoder, f"{ref.uri}: {unit} {first + number}", text) for number, text in enumerate(block)]
        yield _batch(f"{ref.uri}: {unit}", first, rows, columns)
        first += len(block)


def _row_type(columns: dict[str, DataType]) -> type[msgspec.Struct]:
    # Fields are numbered: a column may be called what a struct's own attribute is called.
    fields = [(f"c{number}", _field_type(kind)) for number, kind in enumerate(columns.values())]
    names = {f"c{number}": name for number, name in enumerate(columns)}
    return msgspec.defstruct("Row", fields, rename=names, gc=False)


def _field_type(kind: DataType) -> Any:
    # Raw text is taken whole, null included, and may not stand in a union.
    return _PYTHON_TYPES[kind] if kind == "json" else _PYTHON_TYPES[kind] | None


def _lines(ref: ObjectRef, plain: "io.BufferedReader[Any]") -> Iterator[bytes]:
    while line := plain.readline(LONGEST_ROW):
        if len(line) == LONGEST_ROW:
            raise UnreadableError(f"{ref.uri}: has a line of more than {LONGEST_ROW} bytes")
        yield line


def _decode(decoder: msgspec.json.Decoder[Any], where: str, text: bytes) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{where}: {error}") from error


def _batch(where: str, first: int, rows: list[Any], columns: dict[str, DataType]) -> pa.RecordBatch:
    arrays = []
    for number, (name, kind) in enumerate(columns.items()):
        values = [getattr(row, f"c{number}") for row in rows]
        try:
            arrays.append(converted(values, partial(_array, kind=kind)))
        except ValueFaultError as error:
            raise UnreadableError(f"{where} {first + error.row}: {name} is not {kind}: {error}") from None
    return batch_of(arrays, tuple(columns), len(rows))


def _array(values: list[Any], kind: DataType) -> pa.Array:
    if kind in _PARSED_AS_TEXT:
        return from_text(pa.array(values, pa.string()), kind)
    if kind in _PREPARED:
        prepare = _PREPARED[kind]
        values = [None if value is None else prepare(value) for value in values]
    return pa.array(values, ARROW[kind])


def _document(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else text


_PREPARED: Final[dict[DataType, Callable[[Any], Any]]] = {"json": _document, "float64": float}
