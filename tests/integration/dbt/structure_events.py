"""Change events as raw rows hold them, in every form a source may send."""

import base64
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from core.contracts import Column, TableContract
from core.raw_row import RAW_COLUMNS

MARKER = "__debezium_unavailable_value"

Row = dict[str, Any]
Key = tuple[Any, ...]
Operation = Literal["INSERT", "UPDATE", "DELETE", "SNAPSHOT", "TRUNCATE"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One delivery of one change.

    Attributes:
        table: table that changed.
        op: kind of change.
        event_id: message that brought it; the same for a redelivery.
        landed_at: when the raw row was appended.
        key: primary key; None for a truncate.
        position: place in the source's log; None where the source tells none.
        sequence: order among changes of one position.
        happened_at: when the source made the change.
        after: the row after it.
        before: the row before it, whole or only its key; None when the source does not send it.
        omitted: columns sent as Debezium's marker instead of their value.
        uncast: values in `after` that do not cast to the type of their column, and stand there instead of null.
        broken: text that stands in the payload instead of `after`.
        inferred: whether the operation was worked out by the ingester.
    """

    table: str
    op: Operation
    event_id: str
    landed_at: datetime
    key: Key | None = None
    position: int | None = None
    sequence: int | None = None
    happened_at: datetime | None = None
    after: Row | None = None
    before: Row | None = None
    omitted: frozenset[str] = frozenset()
    uncast: Mapping[str, Any] = field(default_factory=dict)
    broken: str | None = None
    inferred: bool = False

    def raw(self, contract: TableContract) -> dict[str, Any]:
        """Return the raw row, by column; each event picks the forms of its values by its own id."""
        chooser = random.Random(self.event_id)
        payload = None if self.after is None else _image(contract, self.after, self.omitted, chooser, self.uncast)
        before = None if self.before is None else _image(contract, self.before, frozenset(), chooser)
        values: dict[str, Any] = {
            "payload": self.broken or payload,
            "before": before,
            "_op": self.op,
            "_op_inferred": self.inferred,
            "_key": None if self.key is None else _key_text(contract, self.key),
            "_source_system": "loyalty",
            "_source_table": f"loyalty.{self.table}",
            "_source_ts": self.happened_at,
            "_source_position": None if self.position is None else f"{self.position:020d}",
            "_source_sequence": self.sequence,
            "_event_id": self.event_id,
            "_ingestion_ts": self.landed_at,
        }
        return {column.name: values.get(column.name) for column in RAW_COLUMNS}


def _key_text(contract: TableContract, key: Key) -> str:
    names = [column.name for column in contract.key]
    return json.dumps(dict(zip(names, key, strict=True)), separators=(",", ":"))


def _image(
    contract: TableContract,
    row: Mapping[str, Any],
    omitted: frozenset[str],
    chooser: random.Random,
    uncast: Mapping[str, Any] | None = None,
) -> str:
    image = {
        name: _marker(contract.column(name)) if name in omitted else _wire(contract.column(name), value, chooser)
        for name, value in row.items()
    }
    image |= uncast or {}
    return json.dumps(image, ensure_ascii=chooser.random() < 0.5, indent=chooser.choice([None, 1]))


def _marker(column: Column) -> Any:
    match column.data_type:
        case "bytes":
            return base64.b64encode(MARKER.encode()).decode()
        case "array<string>":
            return [MARKER]
    return MARKER


def _wire(column: Column, value: Any, chooser: random.Random) -> Any:
    """Return a value in one of the forms in which it may come: Debezium's or the API's."""
    like_debezium = chooser.random() < 0.5
    if value is None:
        return None
    write = _FORMS.get(column.data_type)
    return value if write is None else write(value, like_debezium)


def _json(value: Any, like_debezium: bool) -> Any:
    return json.dumps(value) if like_debezium or not isinstance(value, dict | list) else value


def _timestamp(value: datetime, like_debezium: bool) -> Any:
    micros = (value - _EPOCH) // datetime.resolution
    return micros if like_debezium else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _date(value: date, like_debezium: bool) -> Any:
    return (value - _EPOCH.date()).days if like_debezium else value.isoformat()


def _float64(value: float, like_debezium: bool) -> Any:
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


_FORMS: dict[str, Callable[[Any, bool], Any]] = {
    "json": _json,
    "timestamp": _timestamp,
    "date": _date,
    "float64": _float64,
    "numeric": lambda value, _: format(value, "f"),
    "bytes": lambda value, _: base64.b64encode(value).decode(),
}
