"""The null value that follows a delete, so that a compacted topic forgets the key."""

from collections.abc import Mapping

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.payload import read_row, trace_id
from ingest.keys import KeyEncoder
from ingest.message import Message
from ingest.row import RawRow


def tombstone(message: Message, contract: TableContract, encode_key: KeyEncoder, load_id: str) -> RawRow:
    """Land a tombstone: evidence, without a position, so that no merge applies it.

    Args:
        message: the message; its ordering key is the record's key.
        contract: the table.
        encode_key: makes the table's key.
        load_id: the run.

    Returns:
        The row.

    Raises:
        DecodeError: `missing_key` or `invalid_key`.
    """
    # The event holds nothing but its key; Debezium Server named the topic after the rest.
    system, _, table = contract.topic.partition(".")
    return RawRow(
        op="DELETE",
        op_inferred=True,
        source_system=system,
        source_table=table or contract.name,
        event_id=message.event_id,
        load_id=load_id,
        publish_ts=message.publish_ts,
        key=encode_key(record_key(message.ordering_key)),
        trace_id=trace_id(message.attributes),
    )


def record_key(ordering_key: str) -> Mapping[str, object]:
    """Read the record's key, which Debezium Server sends as ordering key.

    Args:
        ordering_key: the key as JSON, with or without its schema wrapper.

    Returns:
        The key's columns.

    Raises:
        DecodeError: `missing_key` when it is no JSON object.
    """
    try:
        key = read_row(ordering_key.encode())
    except DecodeError as error:
        raise DecodeError("missing_key", "neither the row nor the ordering key holds the key") from error
    if "payload" in key and "schema" in key:
        wrapped = key["payload"]
        key = wrapped if isinstance(wrapped, dict) else {}
    return key
