"""Corrections as change events of Debezium: a row read anew (`r`), or a row deleted (`d`).

A row of an ad-hoc snapshot is what Debezium itself sends to mend what was lost: an event of the operation `r` with the
row whole ("Incremental snapshots", https://debezium.io/documentation/reference/stable/configuration/signalling.html).
The schema of Kafka Connect goes with each event (`schemas.enable=true`), so that its values are read the same whatever
the table's own connector was told about decimals, times and bytes.
"""

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec

from core.clock import to_micros
from core.contracts import Column, DataType, TableContract
from reconcile.repair.differences import Row
from reconcile.repair.place import Place, source_fields

REPAIR_OF: Final = "millrace_repair_of"
"""Attribute of a correction: the run that found the difference."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROS: Final = 1_000_000
_TOPIC_PARTS: Final = 3


@dataclass(frozen=True)
class Correction:
    """A message that mends one row.

    Attributes:
        topic: its topic, by name.
        ordering_key: the record's key, as the source's own changes of the row have it.
        data: the event.
        attributes: of the message.
        place: where the event stands in the source's log.
        kind: the difference that it mends.
    """

    topic: str
    ordering_key: str
    data: bytes
    attributes: Mapping[str, str]
    place: Place
    kind: str


@dataclass(frozen=True)
class _Wire:
    """How Kafka Connect describes a type, and how its JSON converter writes a value of it."""

    type: str
    name: str | None
    write: Callable[[Any], Any]
    items: str | None = None


def _float(value: float) -> Any:
    # JSON has no such numbers; Java writes their names.
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _instant(value: datetime) -> str:
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _since_midnight(value: time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * _MICROS + value.microsecond


_WIRES: Final[Mapping[DataType, _Wire]] = {
    "int64": _Wire("int64", None, int),
    "numeric": _Wire("string", None, lambda value: format(Decimal(value), "f")),
    "bignumeric": _Wire("string", None, lambda value: format(Decimal(value), "f")),
    "float64": _Wire("double", None, _float),
    "bool": _Wire("boolean", None, bool),
    "string": _Wire("string", None, str),
    "bytes": _Wire("bytes", None, lambda value: base64.b64encode(value).decode("ascii")),
    "date": _Wire("int32", "io.debezium.time.Date", lambda value: value.toordinal() - _EPOCH_DAY),
    "datetime": _Wire("int64", "io.debezium.time.MicroTimestamp", lambda value: to_micros(value.replace(tzinfo=UTC))),
    "time": _Wire("int64", "io.debezium.time.MicroTime", _since_midnight),
    "timestamp": _Wire("string", "io.debezium.time.ZonedTimestamp", _instant),
    "json": _Wire("string", "io.debezium.data.Json", str),
    "array<string>": _Wire("array", None, list, "string"),
    "array<int64>": _Wire("array", None, list, "int64"),
}


def correction(contract: TableContract, row: Row, place: Place, *, run_id: str, taken_at: datetime) -> Correction:
    """Return the message that makes a row what the snapshot says.

    Args:
        contract: the table.
        row: a key that differs, with both sides' values of every column of the contract.
        place: where the event stands in the source's log.
        run_id: the run that found the difference.
        taken_at: when the snapshot was taken (UTC): when the event says that it happened.

    Returns:
        The message.

    Raises:
        ConfigurationError: when the place is in the log of a connector that nothing can be written for.
    """
    is_deletion = row.snapshot is None
    micros = to_micros(taken_at)
    system, schema, table = _names(contract)
    payload = {
        "before": _image(contract, row.warehouse) if is_deletion and row.warehouse else None,
        "after": _image(contract, row.snapshot) if row.snapshot else None,
        "source": {
            "version": "millrace",
            "name": system,
            "ts_ms": micros // 1_000,
            "ts_us": micros,
            "snapshot": "false" if is_deletion else "incremental",
            "db": system,
            "schema": schema,
            "table": table,
            **source_fields(place.position),
        },
        "transaction": {"id": f"repair:{run_id}", "total_order": place.sequence, "data_collection_order": 1},
        "op": "d" if is_deletion else "r",
        "ts_ms": micros // 1_000,
    }
    key = {column.name: _WIRES[column.data_type].write(row.known[column.name]) for column in contract.key}
    return Correction(
        topic=contract.topic,
        ordering_key=msgspec.json.encode(key).decode(),
        data=msgspec.json.encode({"schema": _schema(contract), "payload": payload}),
        attributes={REPAIR_OF: run_id},
        place=place,
        kind=row.kind,
    )


def _names(contract: TableContract) -> tuple[str, str, str]:
    """Return the connector's logical name, and the table's schema and name: what its topic is made of."""
    parts = contract.topic.rsplit(".", 2)
    system, schema = parts[:2] if len(parts) == _TOPIC_PARTS else (contract.source, contract.source)
    return system, schema, contract.name


def _image(contract: TableContract, row: Mapping[str, Any]) -> dict[str, Any]:
    return {column.name: _written(column, row[column.name]) for column in contract.columns}


def _written(column: Column, value: Any) -> Any:
    return None if value is None else _WIRES[column.data_type].write(value)


def _schema(contract: TableContract) -> dict[str, Any]:
    fields = [_field(column) for column in contract.columns]
    image = {"type": "struct", "fields": fields, "optional": True}
    return {
        "type": "struct",
        "fields": [{**image, "field": "before"}, {**image, "field": "after"}],
        "optional": False,
        "name": f"{contract.topic}.Envelope",
    }


def _field(column: Column) -> dict[str, Any]:
    wire = _WIRES[column.data_type]
    described: dict[str, Any] = {"type": wire.type, "optional": True, "field": column.name}
    if wire.items is not None:
        described["items"] = {"type": wire.items, "optional": True}
    if wire.name is not None:
        described |= {"name": wire.name, "version": 1}
    return described
