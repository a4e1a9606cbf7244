"""The forms in which a value of a contract's type may stand in JSON, and the type a value looks like.

The forms are those that the casts of the structure zone read (`macros/cdc/cast.sql`): what Debezium writes
(https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types) and what any
writer of ISO 8601 writes.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from core.contracts import DataType
from core.debezium import UNAVAILABLE_VALUE

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_WHOLE: Final = r"^[+-]?[0-9]{1,19}$"
_REAL: Final = r"^([+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?|NaN|[+-]?Infinity)$"

Int64 = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
_WholeText = Annotated[str, Meta(pattern=_WHOLE)]

FORMS: Final[Mapping[DataType, Any]] = {
    "int64": Int64 | _WholeText | None,
    # A number is read as a double: a Decimal would let 1e999 pass, which BigQuery refuses.
    "numeric": int | float | Decimal | None,
    "bignumeric": int | float | Decimal | None,
    "float64": float | Annotated[str, Meta(pattern=_REAL)] | None,
    "bool": bool | Annotated[int, Meta(ge=0, le=1)] | Annotated[str, Meta(pattern=r"^([tf01]|true|false)$")] | None,
    "string": str | None,
    "bytes": str | None,
    "date": Int64 | date | None,
    "datetime": Int64 | datetime | None,
    "time": Int64 | time | None,
    "timestamp": Int64 | datetime | None,
    "json": Any,
    # Not beside a pattern for text: the garbage collector crashes on a parser for both (msgspec 0.22).
    "array<string>": list[str | None] | None,
    "array<int64>": list[Int64 | _WholeText | Literal["__debezium_unavailable_value"] | None] | None,
}
"""The usual forms, as msgspec reads and checks them while it parses."""


def fits(data_type: DataType, value: object) -> bool:
    """Whether a value of a payload can be read as a contract's type.

    Args:
        data_type: the contract's type.
        value: what the JSON text held.

    Returns:
        True for every value that `FORMS` accepts, for rarer spellings of it, and for null.
    """
    if value is None:
        return True
    try:
        msgspec.convert(value, FORMS[data_type])
    except (msgspec.ValidationError, ArithmeticError):
        rare = _RARE.get(data_type)
        return rare is not None and isinstance(value, str) and _reads(rare, value)
    return True


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text))


def _array(text: str) -> object:
    return text == UNAVAILABLE_VALUE or text.lstrip().index("[", 0, 1)


_RARE: Final[Mapping[DataType, Callable[[str], object]]] = {
    "array<string>": _array,
    "array<int64>": _array,
    "float64": float,
    "date": lambda text: date.fromisoformat(text[:10]),
    "datetime": _instant,
    "timestamp": _instant,
    "time": time.fromisoformat,
    "bool": lambda text: ("true", "false", "t", "f").index(text.lower()),
}

_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,28})[.][0-9]{1,9}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{8,18}(Z|[+-][0-9:]{2,5})?")
_SINCE_1970_US: Final = range(10**14, 10**16)
_SINCE_1970_DAYS: Final = range(-30_000, 60_000)


def seen_type(name: str, value: object) -> str:
    """Say which type a value looks like.

    Debezium writes a timestamp as microseconds and a date as days, so for whole numbers the field's name decides.

    Args:
        name: the field.
        value: what the JSON text held.

    Returns:
        A type of a contract, in lower case, or `null`, of which nothing can be told.
    """
    match value:
        case None:
            seen = "null"
        case bool():
            seen = "bool"
        case int():
            seen = _seen_integer(name, value)
        case float():
            seen = "float64"
        case str():
            seen = _seen_text(value)
        case list():
            seen = _seen_array(value)
        case _:
            seen = "json"
    return seen


def _seen_integer(name: str, value: int) -> str:
    if name.endswith(("_at", "_ts", "_time", "_timestamp")) and value in _SINCE_1970_US:
        return "timestamp"
    if name.endswith(("_on", "_date", "_day")) and value in _SINCE_1970_DAYS:
        return "date"
    return "int64" if INT64_MIN <= value <= INT64_MAX else "numeric"


def _seen_text(text: str) -> str:
    if text == UNAVAILABLE_VALUE:
        return "null"
    if _DECIMAL.fullmatch(text):
        return "numeric"
    if _DATE.fullmatch(text) and fits("date", text):
        return "date"
    if (match := _TIMESTAMP.fullmatch(text)) and fits("timestamp", text):
        return "timestamp" if match[1] else "datetime"
    return "json" if text.startswith(("{", "[")) and _is_json(text) else "string"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _seen_array(values: list[Any]) -> str:
    held = [value for value in values if value is not None]
    if not held:
        return "null"
    if all(type(value) is int and INT64_MIN <= value <= INT64_MAX for value in held):
        return "array<int64>"
    return "array<string>" if all(isinstance(value, str) for value in held) else "json"
