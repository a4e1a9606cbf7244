"""Texts, as CSV and JSON spell values, in the type of their column: strictly, digit for digit, or not at all."""

import base64
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from reconcile.read.faults import converted

ARROW: Final[dict[DataType, pa.DataType]] = {
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
"""The Arrow type that texts of each type become."""

_ANY_DAY: Final = "1970-01-01T"
_LEAST_BOOL: Final = len("true")
_LISTS: Final[dict[DataType, Any]] = {"array<string>": list[str | None], "array<int64>": list[int | None]}


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


def from_text(texts: pa.Array, kind: DataType) -> pa.Array:
    """Return texts in the type of their column.

    Args:
        texts: strings and nulls: numbers in decimal, dates and times as ISO 8601 (a timestamp with its zone), bytes as
            base64, arrays as JSON.
        kind: the type.

    Returns:
        An array of `ARROW[kind]`.

    Raises:
        ValueFaultError: when a text does not spell a value of the type, or one that it cannot hold; the error tells
            which by its place, and not what it is.
    """
    return converted(texts, lambda part: _from_text(part, kind))


def _from_text(texts: pa.Array, kind: DataType) -> pa.Array:
    if kind in _PARSED:
        parse = _PARSED[kind]
        return pa.array([None if text is None else parse(text) for text in texts.to_pylist()], ARROW[kind])
    if kind == "time":
        # Arrow parses points in time, but not times of day; on any day they are the same.
        return pc.binary_join_element_wise(_ANY_DAY, texts, "").cast(pa.timestamp("us")).cast(pa.time64("us"))
    found = texts.cast(ARROW[kind])
    if kind in _LAX:
        _refuse(_LAX[kind](texts, found), kind)
    return found


def _hexadecimal(texts: pa.Array, _: pa.Array) -> pa.Array:
    return pc.or_(pc.match_substring(texts, "x"), pc.match_substring(texts, "X"))


def _overflown(texts: pa.Array, values: pa.Array) -> pa.Array:
    infinite = pc.is_inf(values)
    # Most often there is none, and its texts need no look.
    return pc.and_(infinite, pc.match_substring_regex(texts, r"\d")) if pc.any(infinite).as_py() else infinite


def _digit(texts: pa.Array, _: pa.Array) -> pa.Array:
    return pc.less(pc.binary_length(texts), _LEAST_BOOL)


_LAX: Final[dict[DataType, Callable[[pa.Array, pa.Array], pa.Array]]] = {
    "int64": _hexadecimal,
    "float64": _overflown,
    "bool": _digit,
}
"""What Arrow takes for a value and we do not: hexadecimal numbers, numbers too great for a double, 1 for true."""


def _refuse(wrong: pa.Array, kind: DataType) -> None:
    if pc.any(wrong).as_py():
        raise ValueError(f"a text does not spell a value of {kind}")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _list(kind: DataType) -> Callable[[str], Any]:
    return msgspec.json.Decoder(_LISTS[kind]).decode


_PARSED: Final[dict[DataType, Callable[[str], Any]]] = {
    "bytes": _bytes,
    "array<string>": _list("array<string>"),
    "array<int64>": _list("array<int64>"),
}
