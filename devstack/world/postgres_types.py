"""How Debezium's PostgreSQL connector writes a value of each type, and how it describes the type.

Names and forms are those of "Data type mappings" in the Debezium documentation of the PostgreSQL connector,
with `decimal.handling.mode=string`, `time.precision.mode=adaptive` and the JSON converter.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from core.clock import to_micros
from core.contracts import Column, DataType
from core.errors import ContractError

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Debezium's default `unavailable.value.placeholder`, for TOAST values that did not change."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class WireType:
    """One column type as it travels.

    Attributes:
        connect_type: type of the Kafka Connect schema.
        semantic_name: name of Debezium's logical type; None for a plain type.
        write: turns a value that is not null into what JSON can hold.
        default: what a NOT NULL column holds in the `before` of a delete when the replica identity is
            DEFAULT and the log therefore has no value for it.
    """

    connect_type: str
    semantic_name: str | None
    write: Callable[[Any], Any]
    default: Any

    def schema(self, column: Column) -> dict[str, Any]:
        """Return the Kafka Connect schema of a field of this type.

        Args:
            column: the field's column.

        Returns:
            The schema, as the JSON converter writes it.
        """
        described: dict[str, Any] = {"type": self.connect_type}
        if self.connect_type == "array":
            described["items"] = {"type": "string", "optional": True}
        described["optional"] = column.is_nullable
        if self.semantic_name is not None:
            described |= {"name": self.semantic_name, "version": 1}
        return described | {"field": column.name}


def wire_type(column: Column, zoneless: bool) -> WireType:
    """Return how a column travels.

    Args:
        column: the column.
        zoneless: whether a timestamp column is a `timestamp without time zone` at the source.

    Returns:
        The type's description.

    Raises:
        ContractError: when the generator knows no PostgreSQL type for the column's type.
    """
    if column.data_type == "timestamp" and zoneless:
        return _MICRO_TIMESTAMP
    try:
        return _WIRE_TYPES[column.data_type]
    except KeyError:
        known = ", ".join(sorted(_WIRE_TYPES))
        raise ContractError(f"{column.name}: no source type for {column.data_type!r}; known are {known}") from None


def _as_is(value: Any) -> Any:
    return value


def _plain_decimal(value: Decimal) -> str:
    return format(value, "f")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _epoch_days(value: date) -> int:
    return value.toordinal() - _EPOCH_DAY


def _zoned(value: datetime) -> str:
    # Java's ISO_OFFSET_DATE_TIME writes as many digits of the fraction as it needs, and none for zero.
    text = value.isoformat()[:-6]
    return f"{text.rstrip('0')}Z" if value.microsecond else f"{text}Z"


_MICRO_TIMESTAMP: Final = WireType("int64", "io.debezium.time.MicroTimestamp", to_micros, 0)
_WIRE_TYPES: Final[Mapping[DataType, WireType]] = {
    "int64": WireType("int64", None, _as_is, 0),
    "numeric": WireType("string", None, _plain_decimal, "0"),
    "bignumeric": WireType("string", None, _plain_decimal, "0"),
    "float64": WireType("double", None, _as_is, 0.0),
    "bool": WireType("boolean", None, _as_is, False),
    "string": WireType("string", None, _as_is, ""),
    "bytes": WireType("bytes", None, _base64, ""),
    "date": WireType("int32", "io.debezium.time.Date", _epoch_days, 0),
    "timestamp": WireType("string", "io.debezium.time.ZonedTimestamp", _zoned, "1970-01-01T00:00:00Z"),
    "json": WireType("string", "io.debezium.data.Json", _as_is, "{}"),
    "array<string>": WireType("array", None, list, []),
}
