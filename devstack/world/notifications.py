"""Notifications that a row or a set of rows changed, for a consumer that fetches them from the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from core.contracts import TableContract
from core.errors import ContractError
from devstack.world.changes import Key, Message, MessageKind, Row

_json: Final = msgspec.json.Encoder()


def notification(contract: TableContract, key: Key, version: int, occurred_at: datetime) -> Message:
    """Return the notification of a change.

    Args:
        contract: the row's table.
        key: the row's primary key.
        version: the row's version at the API after the change.
        occurred_at: when it changed (UTC).

    Returns:
        The message; its ordering key keeps the notifications of one row in order.

    Raises:
        ContractError: when the table has no notification topic.
    """
    named = dict(zip((column.name for column in contract.key), key, strict=True))
    return _message(contract, "notification", {"key": named}, version, occurred_at)


def set_notification(contract: TableContract, row: Row, version: int, occurred_at: datetime) -> Message:
    """Return the notification that something changed in a set of rows.

    Args:
        contract: the rows' table; the API must serve sets of it.
        row: any row of the set, as it is or was.
        version: version at the API of the change.
        occurred_at: when it happened (UTC).

    Returns:
        The message; its ordering key keeps the notifications of one set in order.

    Raises:
        ContractError: when the table has no notification topic.
    """
    shared = {column.name: row[column.name] for column in contract.set_columns}
    return _message(contract, "set_notification", {"set": shared}, version, occurred_at)


def _message(
    contract: TableContract, kind: MessageKind, what: Mapping[str, Mapping[str, Any]], version: int, at: datetime
) -> Message:
    if contract.notification_topic is None:
        raise ContractError(f"{contract.name} has no notification_topic, so nobody can be notified of its changes")
    [named] = what.values()
    body = {"table": contract.name, **what, "event": "changed", "occurred_at": iso_micros(at), "version": version}
    return Message(
        topic=contract.notification_topic,
        data=_json.encode(body),
        ordering_key=_json.encode({"table": contract.name, **named}).decode(),
        event_time=at,
        kind=kind,
        table=contract.name,
        position=version,
    )


def iso_micros(instant: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with six digits of the second, as in `2026-01-02T03:04:05.678901Z`.

    Args:
        instant: an aware datetime in UTC.

    Returns:
        The text.
    """
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"
