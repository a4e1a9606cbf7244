"""Values whose meaning stands elsewhere, rewritten so that the row image alone says what they are.

What the casts of the structure zone read as it came stays as it came: whole numbers as days since 1970 for a date,
and microseconds for a time or timestamp; decimals as text or number; bytes in base64. All else that connectors write
is rewritten:

| as it came | rewritten |
| --- | --- |
| decimal as base64 of its unscaled number, or with its scale beside it | text, every digit kept |
| milliseconds or nanoseconds since 1970, or since midnight | ISO 8601 text, every digit kept |
| bytes in hexadecimal, or in the base64 of URLs | base64 |
| `bigint unsigned` as a negative number | text, 2^64 higher |

Modes and types: https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-temporal-types
and "Data type mappings" of the other connectors.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Final

from core.clock import from_micros
from core.contracts import Column
from core.debezium import DebeziumHandling
from core.errors import DecodeError
from ingest.decode.connect import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema

Convert = Callable[[object], object]
"""From a value as it came to what is landed; the very same object when nothing is to be rewritten."""

_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "io.debezium.time.Timestamp": ("timestamp", 3),
    "io.debezium.time.NanoTimestamp": ("timestamp", 9),
    "org.apache.kafka.connect.data.Timestamp": ("timestamp", 3),
    "io.debezium.time.Time": ("time", 3),
    "io.debezium.time.NanoTime": ("time", 9),
    "org.apache.kafka.connect.data.Time": ("time", 3),
}
"""What counts in another unit than microseconds: whether since 1970 or midnight, and how many digits a second has."""

_MICROSECONDS: Final = 6
_NUMBERS: Final = frozenset({"numeric", "bignumeric", "int64", "float64"})
_DECIMALS: Final = frozenset({"numeric", "bignumeric"})
_UNSIGNED: Final = 2**64
_DAY_S: Final = 86_400
_VARIABLE: Final = frozenset({"scale", "value"})
_MAX_SCALE: Final = 10_000
_EVERY_DIGIT: Final = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)


def conversion(column: Column | None, schema: Schema | None, handling: DebeziumHandling) -> Convert | None:
    """Return what rewrites the values of a field.

    Args:
        column: the field's column in the contract; None when it declares none.
        schema: the field's schema, when the event carries one.
        handling: what to go by without one.

    Returns:
        The function, which raises `DecodeError` for what cannot be rewritten; None when no value ever needs it.
    """
    return _by_schema(column, schema, handling) if schema is not None else _by_contract(column, handling)


def _by_schema(column: Column | None, schema: Schema, handling: DebeziumHandling) -> Convert | None:
    if schema.name == DECIMAL:
        return _decimal(_scale_of(schema))
    if schema.name == VARIABLE_SCALE_DECIMAL:
        return _variable_scale
    if schema.type == "array" and schema.items is not None:
        return _elements(_by_schema(None, schema.items, handling))
    data_type = column.data_type if column else None
    if unit := _UNITS.get(schema.name or ""):
        kind, digits = unit
        convert = _timestamp(digits, data_type) if kind == "timestamp" else _time(digits)
        # A contract that declares a number wants the count.
        return None if data_type in _NUMBERS else convert
    if data_type == "bytes" and schema.type == "string":
        return _binary(handling)
    return _unsigned if column is not None and column.is_unsigned else None


def _by_contract(column: Column | None, handling: DebeziumHandling) -> Convert | None:
    if column is None:
        return None
    if column.data_type in _NUMBERS:
        return _number(column, handling)
    if column.data_type == "bytes":
        return _binary(handling)
    if column.data_type in ("timestamp", "datetime"):
        digits = _digits(column, handling.time_precision)
        return None if digits == _MICROSECONDS else _timestamp(digits, column.data_type)
    if column.data_type == "time":
        mode = handling.time_precision
        digits = _digits(column, "microseconds" if mode == "adaptive_time_microseconds" else mode)
        return None if digits == _MICROSECONDS else _time(digits)
    return None


def _digits(column: Column, mode: str | None) -> int:
    """Return how many digits after the second a whole number counts, in a mode of `time.precision.mode`."""
    if mode == "connect":
        return 3
    if mode == "nanoseconds":
        return 9
    if mode in ("adaptive", "adaptive_time_microseconds"):
        precision = _MICROSECONDS if column.precision is None else column.precision
        return next(digits for digits in (3, _MICROSECONDS, 9) if precision <= digits)
    return _MICROSECONDS


def _number(column: Column, handling: DebeziumHandling) -> Convert:
    is_precise = handling.decimal_handling == "precise" and (column.data_type in _DECIMALS or column.scale is not None)

    def convert(value: object) -> object:
        if isinstance(value, dict):
            return _variable_scale(value)
        if column.is_unsigned and type(value) is int:
            return _unsigned(value)
        if is_precise and isinstance(value, str):
            if column.scale is None:
                raise DecodeError(
                    "unknown_scale",
                    f"column {column.name!r} came without its scale: declare `config: meta: scale:`, send schemas, "
                    "or set decimal.handling.mode=string",
                )
            return _unscaled(value, column.scale)
        return value

    return convert


def _unsigned(value: object) -> object:
    return str(value + _UNSIGNED) if type(value) is int and value < 0 else value


def _scale_of(schema: Schema) -> int:
    scale = schema.parameters.get("scale", "")
    if not scale.lstrip("-").isdecimal() or abs(int(scale)) > _MAX_SCALE:
        raise DecodeError("invalid_schema", f"the schema of field {schema.field!r} states no scale of its decimal")
    return int(scale)


def _decimal(scale: int) -> Convert:
    # With decimal.handling.mode=string or double there would be no such schema: a number here is none of ours.
    return lambda value: _unscaled(value, scale) if isinstance(value, str) else value


def _variable_scale(value: object) -> object:
    if not isinstance(value, dict) or value.keys() != _VARIABLE:
        return value
    scale, unscaled = value["scale"], value["value"]
    if type(scale) is not int or abs(scale) > _MAX_SCALE or not isinstance(unscaled, str):
        raise DecodeError("invalid_decimal", "a decimal of variable scale is not of Debezium's form")
    return _unscaled(unscaled, scale)


def _unscaled(text: str, scale: int) -> str:
    """Return the number whose unscaled value stands in base64, as text: two's complement, the highest byte first."""
    try:
        unscaled = int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("invalid_decimal", "a decimal is not the base64 of its unscaled value") from error
    return format(Decimal(unscaled).scaleb(-scale, _EVERY_DIGIT), "f")


def _timestamp(digits: int, data_type: str | None) -> Convert:
    """Return what writes a count since 1970 as ISO 8601; with a zone only where the contract says it is an instant."""
    per_second = 10**digits
    zone = "Z" if data_type == "timestamp" else ""

    def convert(value: object) -> object:
        if type(value) is not int:
            return value
        seconds, fraction = divmod(value, per_second)
        try:
            text = from_micros(seconds * 10**_MICROSECONDS).strftime("%Y-%m-%dT%H:%M:%S")
        except OverflowError:
            # Outside the years 1 to 9999, where there is no text; the casts give null for it in either form.
            return value * 10**_MICROSECONDS // per_second
        return f"{text.rjust(19, '0')}.{fraction:0{digits}d}{zone}"

    return convert


def _time(digits: int) -> Convert:
    per_second = 10**digits

    def convert(value: object) -> object:
        if type(value) is not int:
            return value
        seconds, fraction = divmod(value, per_second)
        if not 0 <= seconds < _DAY_S:
            # MySQL's TIME is a span of up to 838 hours, either way: no time of a day.
            return value * 10**_MICROSECONDS // per_second
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"

    return convert


def _binary(handling: DebeziumHandling) -> Convert | None:
    if handling.binary_handling == "hex":
        return _rewrite_binary(bytes.fromhex)
    if handling.binary_handling == "base64-url-safe":
        return _rewrite_binary(_from_url_safe)
    return None


def _from_url_safe(text: str) -> bytes:
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _rewrite_binary(read: Callable[[str], bytes]) -> Convert:
    def convert(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return base64.b64encode(read(value)).decode()
        except ValueError as error:
            raise DecodeError(
                "invalid_bytes", "bytes are not written as the contract's binary_handling says"
            ) from error

    return convert


def _elements(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None

    def convert_all(value: object) -> object:
        return [None if each is None else convert(each) for each in value] if isinstance(value, list) else value

    return convert_all
