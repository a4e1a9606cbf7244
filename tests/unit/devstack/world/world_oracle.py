"""A reader and a merge of change events, written against the wire's documentation and not against our encoder."""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.contracts import Column, Contracts, TableContract
from devstack.world import Key, Message, Truth

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "numeric": Decimal,
    "bytes": base64.b64decode,
    "array<string>": tuple,
    "date": lambda v: date(1970, 1, 1) + timedelta(days=v) if isinstance(v, int) else date.fromisoformat(v),
    "timestamp": lambda v: _EPOCH + timedelta(microseconds=v) if isinstance(v, int) else datetime.fromisoformat(v),
}


def read_value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    return _DECODERS.get(column.data_type, lambda same: same)(value)


def read_row(contract: TableContract, image: dict[str, Any]) -> dict[str, Any]:
    assert list(image) == [column.name for column in contract.columns]
    return {column.name: read_value(column, image[column.name]) for column in contract.columns}


def read_event(message: Message) -> dict[str, Any]:
    event = json.loads(message.data)
    assert isinstance(event, dict)
    payload = event["payload"] if set(event) == {"schema", "payload"} else event
    assert isinstance(payload, dict)
    return payload


def replay(contracts: Contracts, messages: Iterable[Message]) -> dict[str, dict[Key, Any]]:
    """Apply every event in the order of the log, whatever the order of delivery.

    A create and a delete of one position are the two halves of a changed key, so the sequence decides.
    """
    by_topic = contracts.by_topic()
    events = [
        (event["source"]["lsn"], (event["transaction"] or {}).get("total_order", 0), by_topic[message.topic], event)
        for message in messages
        if message.kind == "event"
        for event in [read_event(message)]
    ]
    tables: dict[str, dict[Key, Any]] = {table: {} for table in contracts}
    for _, _, contract, event in sorted(events, key=lambda item: item[:2]):
        rows = tables[contract.name]
        if event["op"] == "t":
            rows.clear()
            continue
        image = event["after"] or event["before"]
        key = tuple(image[column.name] for column in contract.key)
        if event["op"] == "d":
            rows.pop(key, None)
        else:
            rows[key] = read_row(contract, event["after"])
    return tables


def without(truth: Truth, members: set[Any]) -> dict[str, dict[Key, Any]]:
    """The truth without the rows of some members."""
    return {
        table: {key: dict(row) for key, row in rows.items() if row["member_id"] not in members}
        for table, rows in truth.items()
    }
