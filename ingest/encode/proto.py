"""Raw rows as protocol buffers, quickly.

Concatenated messages merge when they are read (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a
row is put together of parts: what many rows share is serialised once, texts are copied as they are, and only the
scalars that are each row's own go through a message, one and the same for all rows.
"""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from ingest.encode.batch import ProtoRows
from ingest.row import RAW_ROW_TYPE, RawRow, encode_rows

_NUMBERS: Final = {field.name: field.number for field in RAW_ROW_TYPE.descriptor.field}
_OWN: Final = ("_event_id", "_publish_ts", "_source_ts", "_source_position")
_CONTINUED: Final = 0x80
"""The bit of a varint's byte which says that more bytes follow; seven bits of the number stand beside it."""
_SHORT: Final = 16_384
_LENGTH_DELIMITED: Final = 2


def _own_class() -> Any:
    """Make the type that holds a row's own scalars; on the wire it is the row's type without the other fields."""
    file = descriptor_pb2.FileDescriptorProto(name="millrace/own.proto", package="millrace")
    message = file.message_type.add(name="Own")
    for field in RAW_ROW_TYPE.descriptor.field:
        if field.name in _OWN:
            message.field.add().CopyFrom(field)
            message.field[-1].name = field.name.removeprefix("_")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("millrace.Own"))


def _prefix(column: str, length: int) -> bytes:
    """Return what stands before a text of a column: its tag and its length, a varint."""
    prefix = bytearray([_NUMBERS[column] << 3 | _LENGTH_DELIMITED])
    while length >= _CONTINUED:
        prefix.append(length % _CONTINUED | _CONTINUED)
        length //= _CONTINUED
    prefix.append(length)
    return bytes(prefix)


_OwnScalars: Final = _own_class()
_PAYLOADS: Final = [_prefix("payload", length) for length in range(_SHORT)]
_BEFORES: Final = [_prefix("before", length) for length in range(_SHORT)]
_KEYS: Final = [_prefix("_key", length) for length in range(_SHORT)]


def encode_proto(rows: Sequence[RawRow], ingestion_ts: int) -> ProtoRows:
    """Encode rows; what a reader finds is what `ingest.row.encode_rows` would have written.

    Args:
        rows: what to append; their texts are valid UTF-8.
        ingestion_ts: the instant of the append, in microseconds since 1970 UTC.

    Returns:
        The rows.
    """
    shared: dict[tuple[object, ...], bytes] = {}
    own = _OwnScalars()
    serialise = own.SerializeToString
    encoded = []
    for row in rows:
        payload, before, key = row.payload, row.before, row.key
        if row.source_ts is None or row.source_position is None or key is None:
            encoded += encode_rows((row,), ingestion_ts)
            continue
        alike = (
            row.op,
            row.op_inferred,
            row.source_system,
            row.source_table,
            row.load_id,
            row.source_sequence,
            row.schema_fingerprint,
            row.trace_id,
        )
        head = shared.get(alike)
        if head is None:
            head = shared[alike] = _head(row, ingestion_ts)
        own.event_id = row.event_id
        own.publish_ts = row.publish_ts
        own.source_ts = row.source_ts
        own.source_position = row.source_position
        size = len(key)
        parts = [head, serialise(), _KEYS[size] if size < _SHORT else _prefix("_key", size), key]
        if payload is not None:
            size = len(payload)
            parts += _PAYLOADS[size] if size < _SHORT else _prefix("payload", size), payload
        if before is not None:
            size = len(before)
            parts += _BEFORES[size] if size < _SHORT else _prefix("before", size), before
        encoded.append(b"".join(parts))
    return ProtoRows(encoded, RAW_ROW_TYPE)


def _head(row: RawRow, ingestion_ts: int) -> bytes:
    head: bytes = RAW_ROW_TYPE.message_class(
        _op=row.op,
        _op_inferred=row.op_inferred,
        _source_system=row.source_system,
        _source_table=row.source_table,
        _source_sequence=row.source_sequence,
        _ingestion_ts=ingestion_ts,
        _load_id=row.load_id,
        _schema_fingerprint=row.schema_fingerprint,
        _trace_id=row.trace_id,
    ).SerializeToString()
    return head
