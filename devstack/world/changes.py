"""What happens in the world: rows, changes of rows, and the messages that tell of them.

Rows hold plain Python values, one kind per GoogleSQL type: `int` (int64), `Decimal` (numeric), `float`
(float64), `bool`, `str` (string; also json, as PostgreSQL prints a jsonb), `bytes`, `date`, aware UTC
`datetime` (timestamp) and a tuple of `str` (array<string>). A row is never changed in place: an update makes
a new one, so that a change may keep both images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from core.contracts import TableContract

Value = int | Decimal | float | bool | str | bytes | date | datetime | tuple[str, ...] | None
Row = Mapping[str, Value]
Key = tuple[int | str, ...]
Truth = Mapping[str, Mapping[Key, Row]]
"""The rows of every table that exist at one moment, by primary key."""

Op = Literal["c", "u", "d", "r", "t"]
"""Debezium's codes: create, update, delete, snapshot read, truncate."""

SnapshotMarker = Literal["false", "true", "first", "first_in_data_collection", "last_in_data_collection", "last"]
MessageKind = Literal["event", "tombstone", "notification", "set_notification", "control", "poison"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row, or the truncation of a table.

    Attributes:
        table: name of the table.
        op: what happened.
        key: primary key of the row; empty for a truncate.
        before: the row before; None for creates and snapshot reads.
        after: the row after; None for deletes and truncates.
        position: place in the write-ahead log: the LSN of an event, the version at the API.
        sequence: place within the transaction, from 1; 0 for snapshot reads.
        table_sequence: place among the transaction's changes of this table, from 1; 0 for snapshot reads.
        transaction_id: PostgreSQL transaction.
        event_time: when the transaction was committed (UTC).
        snapshot: what `source.snapshot` says.
        by_notification: whether the change is told by a notification and the API instead of an event.
    """

    table: str
    op: Op
    key: Key
    before: Row | None
    after: Row | None
    position: int
    sequence: int
    table_sequence: int
    transaction_id: int
    event_time: datetime
    snapshot: SnapshotMarker = "false"
    by_notification: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A Pub/Sub message, ready to publish.

    Attributes:
        topic: short name of the topic.
        data: the body; empty for a tombstone.
        ordering_key: the record's key as JSON text.
        event_time: when the change it tells of was made (UTC).
        kind: what the message is.
        table: table it tells of; None where it tells of none.
        position: place in the log of the change it tells of; None where it tells of none.
        detail: what kind of poison or control it is; empty for all others.
        is_duplicate: whether the same bytes were sent before.
        attributes: Pub/Sub attributes.
    """

    topic: str
    data: bytes
    ordering_key: str
    event_time: datetime
    kind: MessageKind
    table: str | None = None
    position: int | None = None
    detail: str = ""
    is_duplicate: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


def key_of(contract: TableContract, row: Row) -> Key:
    """Return the primary key of a row.

    Args:
        contract: the row's table.
        row: the row.

    Returns:
        The values of the key columns, in the contract's order.

    Raises:
        TypeError: when a key column holds neither an integer nor text.
    """
    return tuple(_key_part(contract, row[column.name]) for column in contract.key)


def _key_part(contract: TableContract, value: Value) -> int | str:
    if isinstance(value, int | str):
        return value
    raise TypeError(f"a key of {contract.name} holds {value!r}, which is neither an integer nor text")
