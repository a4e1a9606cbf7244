"""The canonical key: one text per row, whichever system tells of it.

A database's change event and the API's answer spell a value differently (a date as days or as text, a number
as text); `_key` must be the same for both, since the warehouse joins and merges by it. Canonical is compact
JSON, the columns in the contract's order, with

- int64 as a number, string and bytes (base64) as text, bool as true or false,
- numeric and bignumeric as text without exponent and trailing zeros,
- date as `YYYY-MM-DD`, timestamp as `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from core.clock import from_micros
from core.contracts import TableContract
from core.errors import ContractError, DecodeError

KeyEncoder = Callable[[Mapping[str, object]], bytes]

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_MAX_EXPONENT: Final = 76
"""More digits than a BIGNUMERIC has, on either side of the point."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_AFTER_A_DATE: Final = ("T", "Z", " ")
_UNIX_EPOCH: Final = date(1970, 1, 1)


def key_encoder(contract: TableContract) -> KeyEncoder:
    """Return the function that makes a table's `_key`.

    Args:
        contract: the table; its key columns decide what the key holds.

    Returns:
        A function from column values to canonical JSON; it raises `DecodeError` (`missing_key`,
        `invalid_key`) when a key column is missing, null or of another type.

    Raises:
        ContractError: when a key column's type cannot serve as a key.
    """
    parts = []
    for column in contract.key:
        canonical = _CANONICAL.get(column.data_type)
        if canonical is None:
            raise ContractError(
                f"{contract.name}.{column.name}: a key of type {column.data_type} has no canonical text; "
                f"use one of {', '.join(sorted(_CANONICAL))}"
            )
        parts.append((column.name, canonical))

    def encode(values: Mapping[str, object]) -> bytes:
        return msgspec.json.encode({name: _part(values, name, canonical) for name, canonical in parts})

    return encode


def _part(values: Mapping[str, object], name: str, canonical: Callable[[object], object]) -> object:
    value = values.get(name)
    if value is None:
        raise DecodeError("missing_key", f"key column {name!r} is missing or null")
    try:
        return canonical(value)
    except (TypeError, ValueError, OverflowError, InvalidOperation) as error:
        # The value itself may be personal data: its type has to do.
        raise DecodeError(
            "invalid_key", f"key column {name!r} holds a {type(value).__name__} that does not fit"
        ) from error


def _int64(value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        raise TypeError
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _numeric(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError
    number = Decimal(value)
    # A few letters of exponent would make a text of any length.
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _date(value: object) -> str:
    if type(value) is int:
        return (_UNIX_EPOCH + timedelta(days=value)).isoformat()
    text = _string(value)
    if text[10:11] in _AFTER_A_DATE:
        # A date with a zone (`io.debezium.time.IsoDate`), or the date of a timestamp.
        text = text[:10]
    return date.fromisoformat(text).isoformat()


def _timestamp(value: object) -> str:
    if type(value) is int:
        instant = from_micros(value)
    else:
        instant = datetime.fromisoformat(_string(value))
        if instant.tzinfo is None:
            raise ValueError
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


_CANONICAL: Final[Mapping[str, Callable[[object], object]]] = {
    "int64": _int64,
    "string": _string,
    "bytes": _string,
    "bool": _bool,
    "numeric": _numeric,
    "bignumeric": _numeric,
    "date": _date,
    "timestamp": _timestamp,
}
