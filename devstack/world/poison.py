"""Messages that nobody can decode: each kind is a fault that a real stream has shown somebody.

All of them must end in the dead letters, each for itself, without harm to their neighbours.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from core.contracts import TableContract
from devstack.world.changes import Message

Spoil = Callable[[dict[str, Any], TableContract], object]


def _without(*names: str) -> Spoil:
    return lambda event, _: {name: value for name, value in event.items() if name not in names}


def _with(values: Mapping[str, Any]) -> Spoil:
    return lambda event, _: {**event, **values}


def _in_source(name: str, value: object) -> Spoil:
    return lambda event, _: {**event, "source": {**event["source"], name: value}}


def _without_key(event: dict[str, Any], contract: TableContract) -> object:
    keys = {column.name for column in contract.key}
    image = {name: value for name, value in event["after"].items() if name not in keys}
    return {**event, "before": None, "after": image}


def _null_key(event: dict[str, Any], contract: TableContract) -> object:
    return {**event, "before": None, "after": event["after"] | {column.name: None for column in contract.key}}


def _in_after(data: bytes, value: bytes) -> bytes:
    return data.replace(b'"after":{', b'"after":{"spoiled":' + value + b",", 1)


_SPOILED_EVENTS: Final[Mapping[str, Spoil]] = {
    "array": lambda *_: [1, 2, 3],
    "text": lambda *_: "neither row nor event",
    "no_envelope": lambda *_: {"hello": "world"},
    "missing_op": _without("op"),
    "unknown_op": _with({"op": "x"}),
    "missing_source": _without("source"),
    "other_table": _in_source("table", "no_such_table"),
    "missing_position": _in_source("lsn", None),
    "missing_images": _with({"op": "c", "before": None, "after": None}),
    "image_is_text": _with({"op": "c", "before": None, "after": "text"}),
    "missing_key": _without_key,
    "null_key": _null_key,
}
_SPOILED_BYTES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "cut_off": lambda data: data[: len(data) // 2],
    "two_documents": lambda data: data + data,
    "invalid_utf8": lambda data: _in_after(data, b'"\xff\xfe"'),
    "not_a_number": lambda data: _in_after(data, b"NaN"),
    "number_out_of_range": lambda data: _in_after(data, b"1e999"),
}
_SPOILED_KEYS: Final = {"tombstone_without_key": "", "tombstone_with_broken_key": "{not json"}
_SPOILED_NOTIFICATIONS: Final[Mapping[str, Spoil]] = {
    "notification_is_array": lambda *_: [],
    "notification_of_unknown_table": _with({"table": "no_such_table"}),
    "notification_without_table": _without("table"),
    "notification_without_key": _without("key"),
    "notification_with_partial_key": _with({"key": {}}),
    "notification_with_path_in_key": lambda note, contract: (
        note | {"key": {column.name: "../../admin" for column in contract.key}}
    ),
}

EVENT_POISON: Final = (*_SPOILED_EVENTS, *_SPOILED_BYTES, *_SPOILED_KEYS)
"""Kinds made from a change event that holds a row after."""

NOTIFICATION_POISON: Final = (*_SPOILED_NOTIFICATIONS, "notification_cut_off")
"""Kinds made from a notification of a table whose key is one integer."""

TOMBSTONE_ATTRIBUTES: Final = {"millrace-kind": "tombstone"}
"""Pub/Sub takes an empty body only with an attribute."""


def spoil_event(kind: str, event: Message, contract: TableContract) -> Message:
    """Spoil a change event.

    Args:
        kind: one of `EVENT_POISON`.
        event: a good event, without schema wrapper, that holds a row after.
        contract: the event's table.

    Returns:
        The poison.
    """
    if kind in _SPOILED_KEYS:
        broken = replace(event, data=b"", ordering_key=_SPOILED_KEYS[kind], attributes=TOMBSTONE_ATTRIBUTES)
        return _as_poison(kind, broken)
    if kind in _SPOILED_BYTES:
        return _as_poison(kind, replace(event, data=_SPOILED_BYTES[kind](event.data)))
    spoiled = _SPOILED_EVENTS[kind](msgspec.json.decode(event.data), contract)
    return _as_poison(kind, replace(event, data=msgspec.json.encode(spoiled)))


def spoil_notification(kind: str, notification: Message, contract: TableContract) -> Message:
    """Spoil a notification.

    Args:
        kind: one of `NOTIFICATION_POISON`.
        notification: a good notification.
        contract: the table it tells of.

    Returns:
        The poison.
    """
    if kind == "notification_cut_off":
        return _as_poison(kind, replace(notification, data=notification.data[:-2]))
    spoiled = _SPOILED_NOTIFICATIONS[kind](msgspec.json.decode(notification.data), contract)
    return _as_poison(kind, replace(notification, data=msgspec.json.encode(spoiled)))


def _as_poison(kind: str, message: Message) -> Message:
    return replace(message, kind="poison", detail=kind, is_duplicate=False)
