"""Arrow arrays of either side, brought to the one type in which a column is compared.

Only conversions that lose nothing happen by themselves. Whatever else a side holds is a fault that names
the `cast` which would allow it, for a silent conversion (a decimal read as a double, say) hides differences.
"""

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.read.canonical_json import canonicaliser
from reconcile.read.faults import ValueFaultError, converted
from reconcile.rules import JsonNumbers

STORED: Final[dict[DataType, pa.DataType]] = {
    "int64": pa.int64(),
    "numeric": pa.decimal128(38, 9),
    # DuckDB's decimals end at 38 digits; at one scale, text is as exact and compares alike.
    "bignumeric": pa.string(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "time": pa.time64("us"),
    # Without its zone, which is always UTC: the engine then needs no zone rules to cut or print it.
    "timestamp": pa.timestamp("us"),
    "json": pa.string(),
    "array<string>": pa.list_(pa.string()),
    "array<int64>": pa.list_(pa.int64()),
}
"""Arrow type of each compared type in scratch space."""

_UTC_MICROS: Final = pa.timestamp("us", "UTC")
_BIG: Final = pa.decimal256(76, 38)


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_exact_number(kind: pa.DataType) -> bool:
    return bool(types.is_decimal(kind) or types.is_integer(kind))


def _is_zoned(kind: pa.DataType) -> bool:
    return types.is_timestamp(kind) and kind.tz is not None


def _is_unzoned(kind: pa.DataType) -> bool:
    return types.is_timestamp(kind) and kind.tz is None


def _is_list_of(inner: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    return lambda kind: (types.is_list(kind) or types.is_large_list(kind)) and inner(kind.value_type)


_LOSSLESS: Final[dict[DataType, Callable[[pa.DataType], bool]]] = {
    "int64": types.is_integer,
    "numeric": _is_exact_number,
    "bignumeric": _is_exact_number,
    "float64": types.is_floating,
    "bool": types.is_boolean,
    "string": _is_text,
    "bytes": _is_bytes,
    "date": types.is_date,
    "datetime": _is_unzoned,
    "time": types.is_time,
    "timestamp": _is_zoned,
    "json": _is_text,
    "array<string>": _is_list_of(_is_text),
    "array<int64>": _is_list_of(types.is_integer),
}


def check_type(kind: pa.DataType, data_type: DataType, *, cast: bool, where: str) -> None:
    """Refuse a type that cannot become the compared one without loss.

    Args:
        kind: type the side holds.
        data_type: type to compare in.
        cast: whether the configuration asked for the conversion by `cast`.
        where: the column and where it stands, for the message.

    Raises:
        UnreadableError: naming both types and the fix.
    """
    plain = _plain_type(kind)
    if not (cast or types.is_null(plain) or _LOSSLESS[data_type](plain)):
        raise UnreadableError(
            f"{where} is {plain}, which is not {data_type}; to convert it all the same, give the column "
            f"`cast: {data_type}`"
        )
    if cast:
        try:
            _convert(pa.array([], plain), data_type, "value")
        except pa.ArrowNotImplementedError:
            raise UnreadableError(
                f"{where} is {plain}, which no cast makes {data_type}; map it by an expression"
            ) from None


def to_stored(
    array: pa.Array,
    data_type: DataType,
    *,
    cast: bool,
    numbers: JsonNumbers,
    where: str,
    is_lazy: bool = False,
) -> pa.Array:
    """Return an array in the type in which a column is compared.

    Args:
        array: what a side holds.
        data_type: type to compare in.
        cast: whether the configuration asked for the conversion by `cast`.
        numbers: how numbers in JSON compare.
        where: the column and where it stands, for messages.
        is_lazy: whether JSON keeps its text, to be brought to its canonical form where the sides' texts differ.

    Returns:
        An array of `STORED[data_type]`, as long as the one given.

    Raises:
        UnreadableError: when a value would lose something, is out of range, or is text that is not UTF-8.
    """
    check_type(array.type, data_type, cast=cast, where=where)
    plain = _plain(array)
    kind: DataType = "string" if is_lazy else data_type
    try:
        return converted(plain, lambda part: _checked(part, kind, numbers))
    except ValueFaultError as error:
        raise UnreadableError(f"{where}: a value cannot become {data_type}: {error}") from None


def _checked(array: pa.Array, data_type: DataType, numbers: JsonNumbers) -> pa.Array:
    # Readers take any bytes for text; only a full validation looks at them.
    array.validate(full=True)
    return _convert(array, data_type, numbers)


def _convert(array: pa.Array, data_type: DataType, numbers: JsonNumbers) -> pa.Array:
    if types.is_null(array.type):
        return pa.nulls(len(array), STORED[data_type])
    if data_type == "timestamp":
        if not types.is_timestamp(array.type):
            array = array.cast(_UTC_MICROS)
        return array.cast(pa.timestamp("us", array.type.tz)).view(pa.timestamp("us"))
    if data_type == "bignumeric":
        return array.cast(_BIG).cast(pa.string())
    if data_type == "json":
        return canonical_documents(array.cast(pa.string()), numbers)
    if data_type == "numeric" and types.is_integer(array.type):
        # Arrow refuses an int64 straight into 9 decimals: its 19 digits could exceed 29.
        array = array.cast(pa.decimal128(20, 0))
    return array.cast(STORED[data_type])


def canonical_documents(array: pa.Array, numbers: JsonNumbers) -> pa.Array:
    """Return JSON documents in their canonical form.

    Args:
        array: their texts.
        numbers: how numbers in them compare.

    Returns:
        As many texts; see `reconcile.read.canonical_json`.
    """
    # Documents repeat (settings, small enumerations): each distinct one is parsed once.
    coded = pc.dictionary_encode(array)
    canonical = canonicaliser(numbers)
    spelled = pa.array([canonical(text) for text in coded.dictionary.to_pylist()], pa.string())
    return spelled.take(coded.indices)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return kind.value_type if types.is_dictionary(kind) else kind


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
