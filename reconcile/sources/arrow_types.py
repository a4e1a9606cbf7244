"""The compared type that an Arrow type stands for, where nobody declares one."""

from collections.abc import Callable
from typing import Final

import pyarrow as pa
from pyarrow import types

from core.contracts import DataType

_NUMERIC_SCALE: Final = 9
_NUMERIC_WHOLE: Final = 29
_BIGNUMERIC_SCALE: Final = 38


def data_type_of(kind: pa.DataType) -> DataType | None:
    """Return the compared type of an Arrow type.

    Args:
        kind: the Arrow type.

    Returns:
        The type; None for one that cannot be compared, such as a struct.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return "json" if kind.extension_name == "arrow.json" else data_type_of(kind.storage_type)
    if types.is_dictionary(kind):
        return data_type_of(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return _ARRAYS.get(data_type_of(kind.value_type) or "")
    if types.is_decimal(kind):
        return _decimal(kind)
    if types.is_timestamp(kind):
        return "datetime" if kind.tz is None else "timestamp"
    return next((found for test, found in _SCALARS if test(kind)), None)


def _decimal(kind: pa.DataType) -> DataType | None:
    if kind.scale <= _NUMERIC_SCALE and kind.precision - kind.scale <= _NUMERIC_WHOLE:
        return "numeric"
    return "bignumeric" if kind.scale <= _BIGNUMERIC_SCALE else None


_ARRAYS: Final[dict[str, DataType]] = {"string": "array<string>", "int64": "array<int64>"}
_SCALARS: Final[tuple[tuple[Callable[[pa.DataType], bool], DataType], ...]] = (
    (types.is_integer, "int64"),
    (types.is_floating, "float64"),
    (types.is_boolean, "bool"),
    (types.is_string, "string"),
    (types.is_large_string, "string"),
    (types.is_string_view, "string"),
    (types.is_binary, "bytes"),
    (types.is_large_binary, "bytes"),
    (types.is_fixed_size_binary, "bytes"),
    (types.is_date, "date"),
    (types.is_time, "time"),
)
