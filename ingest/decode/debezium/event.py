"""Debezium change events in JSON, with and without the schema wrapper.

Debezium Server publishes a table's events to the topic `<prefix>.<schema>.<table>` with the record's key as
ordering key.
"""

from collections.abc import Callable, Mapping

from msgspec import UNSET, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.debezium.control import is_control
from ingest.decode.debezium.envelope import NULL, OPERATIONS, Envelope, read_envelope, table_name
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.debezium.tombstones import record_key, tombstone
from ingest.decode.payload import fingerprint, read_row, trace_id
from ingest.keys import KeyEncoder, key_encoder
from ingest.message import Message
from ingest.row import RawRow


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, None for heartbeats and transaction boundaries. It raises
        `DecodeError` with a reason code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    encode_key = key_encoder(contract)

    def decode(message: Message) -> RawRow | None:
        read = read_envelope(message.data)
        if read is None:
            return tombstone(message, contract, encode_key, load_id)
        envelope, text = read
        if is_control(envelope, text):
            return None
        return _change(message, envelope, contract, encode_key, load_id)

    return decode


def _change(
    message: Message, envelope: Envelope, contract: TableContract, encode_key: KeyEncoder, load_id: str
) -> RawRow:
    operation = OPERATIONS.get(envelope.op or "")
    if operation is None:
        raise DecodeError("unknown_operation", f"op is {envelope.op!r}, not one of {', '.join(OPERATIONS)}")
    source = envelope.source
    if source is None:
        raise DecodeError("invalid_envelope", "the event has no source block")
    if source.table != contract.name:
        raise DecodeError("wrong_table", f"an event of table {source.table!r} on the topic of {contract.name!r}")
    after, after_row = _image(envelope.after)
    before, before_row = _image(envelope.before)
    if after is None and operation in ("INSERT", "UPDATE", "SNAPSHOT"):
        raise DecodeError("missing_payload", f"an {operation} without the row after it")
    return RawRow(
        op=operation,
        op_inferred=False,
        source_system=source.name,
        source_table=table_name(source.schema or source.db, source.table),
        event_id=message.event_id,
        load_id=load_id,
        publish_ts=message.publish_ts,
        key=None if operation == "TRUNCATE" else _key(after_row, before_row, message.ordering_key, encode_key),
        payload=after,
        before=before,
        source_ts=source_timestamp(source),
        source_position=position(source),
        source_sequence=envelope.transaction.total_order if envelope.transaction else 0,
        schema_fingerprint=fingerprint(after_row) if after_row is not None else None,
        trace_id=trace_id(message.attributes) if message.attributes else None,
    )


def _image(raw: Raw | UnsetType) -> tuple[bytes | None, dict[str, object] | None]:
    if raw is UNSET:
        return None, None
    text = bytes(raw)
    return (None, None) if text == NULL else (text, read_row(text))


def _key(
    after: Mapping[str, object] | None, before: Mapping[str, object] | None, ordering_key: str, encode_key: KeyEncoder
) -> bytes:
    """Make the key from the row image; a delete without one has only the record's key."""
    if after is not None:
        return encode_key(after)
    return encode_key(before if before is not None else record_key(ordering_key))
