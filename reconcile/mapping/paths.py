"""Paths into nested values: structs (Parquet, RECORD columns of BigQuery) and JSON documents, digit for digit."""

from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.read.text import from_text

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_WHOLE: Final[frozenset[DataType]] = frozenset({"json", "array<string>", "array<int64>"})
"""Types whose text is the JSON of the value."""
_BARE: Final[frozenset[DataType]] = frozenset({"int64", "numeric", "bignumeric", "float64", "bool"})
"""Types that JSON writes without quotes; all but truth values may also stand in quotes."""


def type_at(kind: pa.DataType, parts: tuple[str, ...], where: str) -> pa.DataType | None:
    """Return the Arrow type that a path leads to.

    Args:
        kind: type of the column that the path begins with.
        parts: the names that follow.
        where: the column and where it stands, for messages.

    Returns:
        The type; None within JSON, which says nothing of types.

    Raises:
        UnreadableError: when the path leads nowhere.
    """
    for number, part in enumerate(parts):
        kind = _stored(kind)
        if types.is_string(kind) or types.is_large_string(kind):
            return None
        if not types.is_struct(kind) or kind.get_field_index(part) < 0:
            held = ", ".join(field.name for field in kind) if types.is_struct(kind) else str(kind)
            raise UnreadableError(f"{where}: has no {'.'.join(parts[: number + 1])!r} in it; it holds {held}")
        kind = kind.field(part).type
    return kind


def value_at(array: pa.Array, parts: tuple[str, ...], data_type: DataType, *, cast: bool) -> pa.Array:
    """Return what a path leads to, for every row; null where the path breaks off.

    Args:
        array: the column that the path begins with.
        parts: the names that follow.
        data_type: type that texts within JSON are read as.
        cast: whether a number or a truth value in JSON may become a text.

    Raises:
        ValueError: when a document is no JSON, or a value in it does not spell one of the type.
    """
    for number, part in enumerate(parts):
        array = array.storage if isinstance(array, pa.ExtensionArray) else array
        if not types.is_struct(array.type):
            found = [_within(text, parts[number:], data_type, cast=cast) for text in array.to_pylist()]
            return from_text(pa.array(found, pa.string()), data_type)
        array = pc.struct_field(array, part)
    return array


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _within(text: str | None, parts: tuple[str, ...], data_type: DataType, *, cast: bool) -> str | None:
    """Return the text of a value in a document, as `reconcile.read.text` reads it."""
    if text is None:
        return None
    raw = text.encode()
    for part in parts:
        found = _decoded(raw)
        if found is None or part not in found:
            return None
        raw = bytes(found[part])
    if raw == b"null":
        return None
    return _spelled(raw, data_type, cast=cast)


def _decoded(raw: bytes) -> dict[str, Any] | None:
    if raw == b"null":
        return None
    try:
        return _OBJECT.decode(raw)
    except msgspec.DecodeError as error:
        raise ValueError(f"a document holds no object where the path leads on: {error}") from error


def _spelled(raw: bytes, data_type: DataType, *, cast: bool) -> str:
    if data_type in _WHOLE:
        return raw.decode()
    if raw.startswith(b'"') and data_type != "bool":
        return _TEXT.decode(raw)
    if raw.startswith((b'"', b"{", b"[")) or not (data_type in _BARE or cast):
        raise ValueError(f"a value in a document is not {data_type}")
    return raw.decode()
