"""Notifications that a row changed, for a consumer that fetches the row from the API."""

from datetime import datetime
from typing import Final

import msgspec

from core.contracts import TableContract
from core.errors import ContractError
from devstack.world.changes import Key, Message

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
    if contract.notification_topic is None:
        raise ContractError(f"{contract.name} has no notification_topic, so nobody can be notified of its changes")
    named = dict(zip((column.name for column in contract.key), key, strict=True))
    body = {
        "table": contract.name,
        "key": named,
        "event": "changed",
        "occurred_at": iso_micros(occurred_at),
        "version": version,
    }
    return Message(
        topic=contract.notification_topic,
        data=_json.encode(body),
        ordering_key=_json.encode({"table": contract.name, **named}).decode(),
        event_time=occurred_at,
        kind="notification",
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
