"""An independent writer of Debezium's values: what each handling mode of a connector makes of a value.

Written from the tables of "Data type mappings" at
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types and
https://debezium.io/documentation/reference/stable/connectors/mysql.html#mysql-data-types, and the reader of such values
from what `macros/cdc/cast.sql` accepts. Neither knows the decoder. Instants are whole nanoseconds since 1970 here,
times those since midnight.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

DATE_0 = date(1970, 1, 1)
DEBEZIUM = "io.debezium.time."
CONNECT = "org.apache.kafka.connect.data."


@dataclass(frozen=True)
class Modes:
    """The connector's properties, by short names; `variable` decimals are precise ones of columns without a scale."""

    decimal: str = "string"
    time: str = "adaptive_time_microseconds"
    binary: str = "bytes"
    unsigned: str = "long"


@dataclass(frozen=True)
class Kind:
    """A column of the source: its contract type, digits after the point or the second, and whether it is unsigned."""

    data_type: str
    digits: int = 6
    is_unsigned: bool = False


def write(value: Any, kind: Kind, modes: Modes) -> tuple[Any, dict[str, Any]]:
    """Return a value's JSON form, and the schema that Kafka Connect would send beside it."""
    if kind.is_unsigned:
        return _write_unsigned(value, modes)
    match kind.data_type:
        case "numeric" | "bignumeric":
            written = _write_decimal(value, kind.digits, modes.decimal)
        case "array<string>":
            written = _write_array(value, kind, modes)
        case "date":
            written = _write_date(value, modes.time)
        case "timestamp" | "datetime":
            written = _write_count(value, kind.digits, modes.time, "Timestamp")
        case "time":
            mode = "microseconds" if modes.time == "adaptive_time_microseconds" else modes.time
            written = _write_count(value, kind.digits, mode, "Time")
        case "bytes":
            written = _write_bytes(value, modes.binary)
        case other:
            written = value, {"type": {"int64": "int64", "float64": "double", "bool": "boolean"}.get(other, "string")}
    return written


def _write_date(value: date | None, mode: str) -> tuple[Any, dict[str, Any]]:
    if mode == "isostring":
        return value and f"{value.isoformat()}Z", {"type": "string", "name": f"{DEBEZIUM}IsoDate"}
    prefix = CONNECT if mode == "connect" else DEBEZIUM
    return None if value is None else (value - DATE_0).days, {"type": "int32", "name": f"{prefix}Date"}


def _write_array(value: list[Any] | None, kind: Kind, modes: Modes) -> tuple[Any, dict[str, Any]]:
    if kind.digits == Kind.digits:
        return value, {"type": "array", "items": {"type": "string"}}
    written = [_write_decimal(each, kind.digits, modes.decimal) for each in value or [Decimal(0)]]
    return value and [each for each, _ in written], {"type": "array", "items": written[0][1]}


def _unscaled(value: Decimal, scale: int) -> str:
    number = int(value.scaleb(scale))
    length = 1
    while not -(1 << (8 * length - 1)) <= number < 1 << (8 * length - 1):
        length += 1
    return base64.b64encode(number.to_bytes(length, "big", signed=True)).decode()


def _write_decimal(value: Decimal | None, scale: int, mode: str) -> tuple[Any, dict[str, Any]]:
    if mode == "precise":
        schema = {"type": "bytes", "name": f"{CONNECT}Decimal", "parameters": {"scale": str(scale)}}
        return None if value is None else _unscaled(value, scale), schema
    if mode == "variable":
        schema = {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal"}
        schema["fields"] = [{"type": "int32", "field": "scale"}, {"type": "bytes", "field": "value"}]
        return None if value is None else {"scale": scale, "value": _unscaled(value, scale)}, schema
    if mode == "double":
        return None if value is None else float(value), {"type": "double"}
    return None if value is None else format(value, "f"), {"type": "string"}


def _write_unsigned(value: Decimal | None, modes: Modes) -> tuple[Any, dict[str, Any]]:
    if modes.unsigned == "precise":
        return _write_decimal(value, 0, "precise")
    number = None if value is None else int(value)
    return number if number is None or number < 2**63 else number - 2**64, {"type": "int64"}


def unit_of(mode: str, digits: int) -> int:
    """Return the digits after the second that a count has."""
    if mode.startswith("adaptive"):
        return 3 if digits <= 3 else 6 if digits <= 6 else 9
    return {"connect": 3, "microseconds": 6, "nanoseconds": 9, "isostring": 9}[mode]


def _write_count(nanos: int | None, digits: int, mode: str, what: str) -> tuple[Any, dict[str, Any]]:
    if mode == "isostring":
        return None if nanos is None else iso(nanos, what), {"type": "string", "name": f"{DEBEZIUM}Iso{what}"}
    unit = unit_of(mode, digits)
    prefix = CONNECT if mode == "connect" else DEBEZIUM
    name = f"{prefix}{ {3: '', 6: 'Micro', 9: 'Nano'}[unit] }{what}"
    return None if nanos is None else nanos // 10 ** (9 - unit), {"type": "int64", "name": name}


def iso(nanos: int, what: str) -> str:
    """Return a count of nanoseconds as ISO 8601."""
    seconds, fraction = divmod(nanos, 10**9)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:09d}Z"
    return clock if what == "Time" else f"{date.fromordinal(DATE_0.toordinal() + seconds // 86400).isoformat()}T{clock}"


def _write_bytes(value: bytes | None, mode: str) -> tuple[Any, dict[str, Any]]:
    write_mode = {
        "bytes": lambda raw: base64.b64encode(raw).decode(),
        "base64": lambda raw: base64.b64encode(raw).decode(),
        "base64-url-safe": lambda raw: base64.urlsafe_b64encode(raw).decode(),
        "hex": bytes.hex,
    }[mode]
    return None if value is None else write_mode(value), {"type": "bytes" if mode == "bytes" else "string"}


def cast(value: Any, data_type: str) -> Any:
    """Return what the structure zone's cast makes of a landed value; instants in whole microseconds."""
    if value is None or data_type not in _CASTS:
        return value
    return _CASTS[data_type](value)


def _date(value: int | str) -> date:
    return date.fromordinal(DATE_0.toordinal() + value) if isinstance(value, int) else date.fromisoformat(value[:10])


def _instant(text: str) -> int:
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})T([\d:.]+)Z?", text)
    assert match, text
    day, clock = match.groups()
    return (date.fromisoformat(day) - DATE_0).days * 86_400_000_000 + _clock(clock)


def _clock(text: str) -> int:
    hours, minutes, seconds = text.rstrip("Z").split(":")
    whole, _, fraction = seconds.partition(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 10**6 + int(fraction[:6].ljust(6, "0") or 0)


_CASTS: dict[str, Callable[[Any], Any]] = {
    "numeric": lambda value: Decimal(str(value)),
    "bignumeric": lambda value: Decimal(str(value)),
    "bytes": lambda value: base64.b64decode(value, validate=True),
    "date": _date,
    "timestamp": lambda value: value if isinstance(value, int) else _instant(value),
    "datetime": lambda value: value if isinstance(value, int) else _instant(value),
    "time": lambda value: value if isinstance(value, int) else _clock(value),
}
