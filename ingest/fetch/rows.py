"""From what the API answered to raw rows."""

from collections.abc import Mapping
from typing import Final

from core.contracts import TableContract
from ingest.decode.change import UPSERT
from ingest.decode.notification import Notification
from ingest.decode.payload import trace_id
from ingest.fetch.entity import Entity, EntitySet
from ingest.message import Message
from ingest.row import RawRow

SOURCE_SYSTEM: Final = "member-api"


def entity_row(notification: Notification, entity: Entity, load_id: str) -> RawRow:
    """Return the raw row of a notification.

    Args:
        notification: why the row was fetched.
        entity: what the API answered.
        load_id: the run.

    Returns:
        The row; the API does not say what happened, so its operation is inferred.
    """
    return _row(notification.contract, notification.message, notification.message.event_id, entity, load_id)


def set_rows(notification: Notification, found: EntitySet, known: Mapping[bytes, str], load_id: str) -> list[RawRow]:
    """Return the raw rows that bring a set up to date.

    Args:
        notification: why the set was fetched.
        found: the complete set.
        known: of the rows that stand in the set as far as has landed, the position of the last change.
        load_id: the run.

    Returns:
        A row for each one that is new or has another version, and a deletion for each one that is gone; their
        `_event_id` is the notification's, a colon and a number, for no message brought them.
    """
    present = [entity for key, entity in sorted(found.rows.items()) if known.get(key) != _position(entity.version)]
    # A row that changed after the set was read is none of its business.
    until = _position(found.version)
    gone = [
        Entity(None, found.version, None, None, key)
        for key, position in sorted(known.items())
        if key not in found.rows and position <= until
    ]
    message = notification.message
    return [
        _row(notification.contract, message, f"{message.event_id}:{number}", entity, load_id)
        for number, entity in enumerate([*present, *gone], start=1)
    ]


def _row(contract: TableContract, message: Message, event_id: str, entity: Entity, load_id: str) -> RawRow:
    written = "UPDATE" if contract.pattern == "event" else UPSERT
    return RawRow(
        op="DELETE" if entity.payload is None else written,
        op_inferred=True,
        source_system=SOURCE_SYSTEM,
        source_table=contract.name,
        event_id=event_id,
        load_id=load_id,
        publish_ts=message.publish_ts,
        key=entity.key,
        payload=entity.payload,
        source_ts=entity.changed_at,
        source_position=_position(entity.version),
        source_sequence=0,
        schema_fingerprint=entity.schema_fingerprint,
        trace_id=trace_id(message.attributes),
    )


def _position(version: int) -> str:
    return f"{version:020d}"
