"""The raw row on its way to the table, and its encoding as protocol buffers."""

from collections.abc import Sequence

import msgspec

from core.raw_row import RAW_COLUMNS
from ingest.message import Message
from ingest.proto import RowType, row_type


class RawRow(msgspec.Struct, gc=False):
    """A row of a raw table, but for the instant of its append.

    The attributes are the columns of `core.raw_row.RAW_COLUMNS` without the leading underscore; timestamps
    are microseconds since 1970 UTC, texts are UTF-8.

    `moved_from` is no column: where one message tells that a row moved to another key, it is the deletion under the
    old one, a row of its own, to be landed as well.
    """

    op: str
    op_inferred: bool
    source_system: str
    source_table: str
    event_id: str
    load_id: str
    publish_ts: int
    key: bytes | None = None
    payload: bytes | None = None
    before: bytes | None = None
    source_ts: int | None = None
    source_position: str | None = None
    source_sequence: int | None = None
    schema_fingerprint: str | None = None
    trace_id: str | None = None
    moved_from: "RawRow | None" = None


class Landing(msgspec.Struct, gc=False):
    """A row on its way to its table, with the message it settles.

    Attributes:
        message: acknowledged once the row is confirmed, and with it every other row of the message.
        row: the row.
    """

    message: Message
    row: RawRow


RAW_ROW_TYPE: RowType = row_type("RawRow", RAW_COLUMNS)


def encode_rows(rows: Sequence[RawRow], ingestion_ts: int) -> list[bytes]:
    """Encode rows for the Storage Write API.

    Args:
        rows: what to append.
        ingestion_ts: the instant of the append, in microseconds since 1970 UTC.

    Returns:
        One serialised protocol-buffer message a row, in the same order.
    """
    proto = RAW_ROW_TYPE.message_class
    return [
        proto(
            payload=row.payload,
            before=row.before,
            _op=row.op,
            _op_inferred=row.op_inferred,
            _key=row.key,
            _source_system=row.source_system,
            _source_table=row.source_table,
            _source_ts=row.source_ts,
            _source_position=row.source_position,
            _source_sequence=row.source_sequence,
            _event_id=row.event_id,
            _publish_ts=row.publish_ts,
            _ingestion_ts=ingestion_ts,
            _load_id=row.load_id,
            _schema_fingerprint=row.schema_fingerprint,
            _trace_id=row.trace_id,
        ).SerializeToString()
        for row in rows
    ]
