"""Raw rows as protocol buffers, quickly.

Concatenated messages merge when they are read (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a
row is put together of parts: what many rows share is serialised once, and what is each row's own is copied as it is,
after a prefix that was worked out beforehand. Not one row is made an object of the protocol-buffer library.
"""

from collections.abc import Sequence
from typing import Final

from ingest.encode.batch import ProtoRows
from ingest.row import RAW_ROW_TYPE, RawRow, encode_rows

_NUMBERS: Final = {field.name: field.number for field in RAW_ROW_TYPE.descriptor.field}
_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
"""The wire types used here: https://protobuf.dev/programming-guides/encoding/#structure."""

_CONTINUED: Final = 0x80
"""The bit of a varint's byte which says that more bytes follow; seven bits of the number stand beside it."""

_UNSIGNED: Final = 2**64 - 1
"""A negative number is written as the unsigned one that has the same 64 bits."""

_LONG: Final = 16_384
_SHORT: Final = 128


def _varint(number: int) -> bytes:
    """Return a number as a varint (https://protobuf.dev/programming-guides/encoding/#varints)."""
    encoded = bytearray()
    while number >= _CONTINUED:
        encoded.append(number % _CONTINUED | _CONTINUED)
        number //= _CONTINUED
    encoded.append(number)
    return bytes(encoded)


def _prefix(column: str, length: int) -> bytes:
    """Return what stands before a text of a column: its tag and its length."""
    return bytes([_NUMBERS[column] << 3 | _LENGTH_DELIMITED]) + _varint(length)


_PAYLOADS: Final = [_prefix("payload", length) for length in range(_LONG)]
_BEFORES: Final = [_prefix("before", length) for length in range(_LONG)]
_KEYS: Final = [_prefix("_key", length) for length in range(_SHORT)]
_EVENT_IDS: Final = [_prefix("_event_id", length) for length in range(_SHORT)]
_POSITIONS: Final = [_prefix("_source_position", length) for length in range(_SHORT)]

_LOW_BITS: Final = 14
_LOW_MASK: Final = (1 << _LOW_BITS) - 1


def _low_bits(column: str) -> list[bytes]:
    """Return the lowest bits of a column's numbers, as its tag and the first two bytes of the varint."""
    tag = _NUMBERS[column] << 3 | _VARINT
    return [bytes([tag, low % _CONTINUED | _CONTINUED, low >> 7 | _CONTINUED]) for low in range(1 << _LOW_BITS)]


_SOURCE_TS: Final = _low_bits("_source_ts")
_PUBLISH_TS: Final = _low_bits("_publish_ts")


class _HighBits(dict[int, bytes]):
    """The other bits of numbers, as the rest of the varint; instants of the same 16 ms have the same."""

    def __missing__(self, high: int) -> bytes:
        rest = self[high] = _varint(high & _UNSIGNED >> _LOW_BITS)
        return rest


def encode_proto(rows: Sequence[RawRow], ingestion_ts: int) -> ProtoRows:
    """Encode rows; what a reader finds is what `ingest.row.encode_rows` would have written.

    Args:
        rows: what to append; their texts are valid UTF-8.
        ingestion_ts: the instant of the append, in microseconds since 1970 UTC.

    Returns:
        The rows.
    """
    shared: dict[tuple[object, ...], bytes] = {}
    high_bits = _HighBits()
    published = happened = None
    publish_ts = source_ts = b""
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
        # Rows that came together often have these in common with the row before.
        if row.publish_ts != published:
            published = row.publish_ts
            publish_ts = _PUBLISH_TS[published & _LOW_MASK] + high_bits[published >> _LOW_BITS]
        if row.source_ts != happened:
            happened = row.source_ts
            source_ts = _SOURCE_TS[happened & _LOW_MASK] + high_bits[happened >> _LOW_BITS]
        event_id, position = row.event_id.encode(), row.source_position.encode()
        parts = [
            head,
            publish_ts,
            source_ts,
            _EVENT_IDS[size] if (size := len(event_id)) < _SHORT else _prefix("_event_id", size),
            event_id,
            _POSITIONS[size] if (size := len(position)) < _SHORT else _prefix("_source_position", size),
            position,
            _KEYS[size] if (size := len(key)) < _SHORT else _prefix("_key", size),
            key,
        ]
        if payload is not None:
            parts += _PAYLOADS[size] if (size := len(payload)) < _LONG else _prefix("payload", size), payload
        if before is not None:
            parts += _BEFORES[size] if (size := len(before)) < _LONG else _prefix("before", size), before
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
