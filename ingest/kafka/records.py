"""From a Kafka record to a message, so that every dialect reads it as it reads Pub/Sub."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from confluent_kafka import Message as Record

from ingest.decode.payload import MAX_TIMESTAMP
from ingest.kafka.ledger import PartitionLedger
from ingest.message import NO_ATTRIBUTES, Message

KEY_ENCODING: Final = "millrace_key_encoding"
"""Attribute that says `base64` when the record's key is no text; it is missing otherwise."""


def message_of(name: str, record: Record, ledger: PartitionLedger, delivery: int, now_us: int) -> Message:
    """Return a record as a message.

    The event id is `<topic>-<partition>-<offset>`, the record's only name. A null value is an empty body, as Debezium
    Server sends tombstones to Pub/Sub.

    Args:
        name: of the transport.
        record: what was fetched.
        ledger: its partition's.
        delivery: which delivery of it this is, from 1.
        now_us: the present instant, for a record whose timestamp is none, in microseconds since 1970 UTC. Producers
            write what they like there: a count of another unit than milliseconds lies beyond the year 9999.

    Returns:
        The message.
    """
    offset = record.offset() or 0
    key, attributes = _key(record.key(), _attributes(record.headers()))
    kind, timestamp_ms = record.timestamp()
    is_told = kind != TIMESTAMP_NOT_AVAILABLE and 0 <= timestamp_ms <= MAX_TIMESTAMP // 1_000
    return Message(
        name,
        ledger.topic,
        f"{ledger.topic}-{ledger.partition}-{offset}",
        record.value() or b"",
        attributes,
        key,
        timestamp_ms * 1_000 if is_told else now_us,
        ack_token(ledger.slot, offset),
        delivery,
    )


def ack_token(slot: int, offset: int) -> str:
    """Return the token that settles a delivery.

    Args:
        slot: number of the partition's assignment.
        offset: offset of the record.
    """
    return f"{slot}:{offset}"


def read_token(token: str) -> tuple[int, int]:
    """Return slot and offset of a token.

    Args:
        token: as `ack_token` made it.
    """
    slot, _, offset = token.partition(":")
    return int(slot), int(offset)


def _attributes(headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Mapping[str, str]:
    """Return headers as attributes; of one name the last counts, as with Kafka's own `lastHeader`."""
    if not headers:
        return NO_ATTRIBUTES
    return {name: _text(value) for name, value in (headers.items() if isinstance(headers, Mapping) else headers)}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def _key(key: Any, attributes: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    if not key:
        return "", attributes
    try:
        return (key.decode() if isinstance(key, bytes) else str(key)), attributes
    except UnicodeDecodeError:
        return base64.b64encode(key).decode(), {**attributes, KEY_ENCODING: "base64"}
