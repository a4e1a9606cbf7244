"""Debezium change events in JSON, with and without the schema wrapper.

The envelope is described in https://debezium.io/documentation/reference/stable/connectors/postgresql.html; Debezium
Server publishes a table's events to the topic `<prefix>.<schema>.<table>` with the record's key as ordering key.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.payload import check_timestamp, explain, fingerprint, read_row, trace_id
from ingest.keys import INT64_MAX, KeyEncoder, key_encoder
from ingest.message import Message
from ingest.row import RawRow

OPERATIONS: Final[Mapping[str, str]] = {
    "c": "INSERT",
    "u": "UPDATE",
    "d": "DELETE",
    "r": "SNAPSHOT",
    "t": "TRUNCATE",
}
_LOGICAL_MESSAGE: Final = "m"
_NULL: Final = b"null"
_INSTANTS: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_HEARTBEAT: Final = _INSTANTS
_BOUNDARY: Final = _INSTANTS | {"status", "id", "event_count", "data_collections"}

_Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]


class _Source(msgspec.Struct, gc=False):
    name: str
    table: str
    schema: str | None = None
    db: str | None = None
    connector: str = "postgresql"
    lsn: Annotated[int, Meta(ge=0)] | None = None
    ts_us: int | None = None
    ts_ns: int | None = None
    ts_ms: int | None = None


class _Transaction(msgspec.Struct, gc=False):
    total_order: _Count = 0


class _Envelope(msgspec.Struct, gc=False):
    payload: Raw | UnsetType = UNSET
    op: str | None = None
    before: Raw | UnsetType = UNSET
    after: Raw | UnsetType = UNSET
    source: _Source | None = None
    transaction: _Transaction | None = None
    status: str | None = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)


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
        read = _read_envelope(message.data)
        if read is None:
            return _tombstone(message, contract, encode_key, load_id)
        envelope, text = read
        if _is_control(envelope, text):
            return None
        return _change(message, envelope, contract, encode_key, load_id)

    return decode


def _read_envelope(data: bytes) -> tuple[_Envelope, bytes] | None:
    """Read the event, out of its schema wrapper when it has one; None for a tombstone."""
    if not data or data == _NULL:
        return None
    try:
        envelope = _envelope_decoder.decode(data)
        if envelope.payload is UNSET:
            return envelope, data
        inner = bytes(envelope.payload)
        return None if inner == _NULL else (_envelope_decoder.decode(inner), inner)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise _explain_envelope(error, data) from error


def _explain_envelope(error: Exception, data: bytes) -> DecodeError:
    if isinstance(error, msgspec.ValidationError) and "out of range" not in str(error):
        return DecodeError("invalid_envelope", f"not a Debezium event: {error}")
    return explain(error, data)


def _is_control(envelope: _Envelope, text: bytes) -> bool:
    if envelope.op is not None:
        # pg_logical_emit_message: a message of the application, not a change of a row.
        return envelope.op == _LOGICAL_MESSAGE
    # Dropping is final, so a control message must be nothing else: an unwrapped row may well have a column ts_ms.
    names = read_row(text).keys()
    if envelope.status in ("BEGIN", "END"):
        return "id" in names and names <= _BOUNDARY
    return "ts_ms" in names and names <= _HEARTBEAT


def _change(
    message: Message, envelope: _Envelope, contract: TableContract, encode_key: KeyEncoder, load_id: str
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
        source_table=_table_name(source.schema or source.db, source.table),
        event_id=message.event_id,
        load_id=load_id,
        publish_ts=message.publish_ts,
        key=None if operation == "TRUNCATE" else _key(after_row, before_row, message.ordering_key, encode_key),
        payload=after,
        before=before,
        source_ts=_source_timestamp(source),
        source_position=_position(source),
        source_sequence=envelope.transaction.total_order if envelope.transaction else 0,
        schema_fingerprint=fingerprint(after_row) if after_row is not None else None,
        trace_id=trace_id(message.attributes) if message.attributes else None,
    )


def _tombstone(message: Message, contract: TableContract, encode_key: KeyEncoder, load_id: str) -> RawRow:
    """Land the null that follows a delete: evidence, without a position, so that no merge applies it."""
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
        key=encode_key(_record_key(message.ordering_key)),
        trace_id=trace_id(message.attributes),
    )


def _image(raw: Raw | UnsetType) -> tuple[bytes | None, dict[str, object] | None]:
    if raw is UNSET:
        return None, None
    text = bytes(raw)
    return (None, None) if text == _NULL else (text, read_row(text))


def _key(
    after: Mapping[str, object] | None, before: Mapping[str, object] | None, ordering_key: str, encode_key: KeyEncoder
) -> bytes:
    """Make the key from the row image; a delete without one has only the record's key."""
    if after is not None:
        return encode_key(after)
    return encode_key(before if before is not None else _record_key(ordering_key))


def _record_key(ordering_key: str) -> Mapping[str, object]:
    text = ordering_key.encode()
    try:
        key = read_row(text)
    except DecodeError as error:
        raise DecodeError("missing_key", "neither the row nor the ordering key holds the key") from error
    if "payload" in key and "schema" in key:
        wrapped = key["payload"]
        key = wrapped if isinstance(wrapped, dict) else {}
    return key


def _table_name(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table


def _source_timestamp(source: _Source) -> int | None:
    if source.ts_us is not None:
        return check_timestamp(source.ts_us)
    if source.ts_ns is not None:
        return check_timestamp(source.ts_ns // 1_000)
    return None if source.ts_ms is None else check_timestamp(source.ts_ms * 1_000)


def _position(source: _Source) -> str:
    read = POSITIONS.get(source.connector)
    if read is None:
        raise DecodeError("unknown_connector", f"positions of connector {source.connector!r} cannot be ordered yet")
    return read(source)


def _postgresql_position(source: _Source) -> str:
    if source.lsn is None:
        raise DecodeError("missing_position", "the event has no source.lsn: its place in the log is unknown")
    return f"{source.lsn:020d}"


POSITIONS: Final[Mapping[str, Callable[[_Source], str]]] = {
    "postgresql": _postgresql_position,
}
"""How each connector's position becomes text whose order is the log's order."""
