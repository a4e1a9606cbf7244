"""Debezium's change events by the batch: the usual event in two passes of a typed parser, any other as it always was.

The first pass reads the envelope, and leaves the row images as the text they are landed as; the second reads the
images with the parser of their shape, which checks every value and holds it against the contract. Whatever is out of
the ordinary raises something in one of them, and is then decoded by the dialect itself. A message is parsed on its
own: joining a batch into one JSON array costs a copy, is slower, and lets a broken message reach into the next.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from core.contracts import TableContract
from core.debezium import UNAVAILABLE_VALUE, DebeziumHandling
from core.errors import DecodeError
from ingest.decode.cloudevents import VERSION_ATTRIBUTES
from ingest.decode.debezium.envelope import NULL, OPERATIONS, Source, table_name
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.payload import trace_id
from ingest.decode.shapes import UNREADABLE, Shapes
from ingest.decode.usual_events import UsualEvent, UsualEvents
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import Landing, RawRow

_NULL: Final = Raw(NULL)
_MARKER_IN_HEX: Final = UNAVAILABLE_VALUE.encode().hex().encode()
_CLOUDEVENT: Final = frozenset({"content-type", "Content-Type", *VERSION_ATTRIBUTES})

_OF_SCHEMA: Final = ord("s")
"""The first letter of a wrapped event's first field, `{"schema":`; no field of an event itself comes first with it."""

_LETTER: Final = 2

UNUSUAL: Final = (DecodeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError)
"""What reading an event that is not the usual one may raise."""

QuickDecoder = Callable[[Sequence[Message], Callable[[Landing], None], Callable[[Message], None]], None]
"""Takes messages in order; what takes the row, and its message, of each usual one; and what takes every other message.

The row of a usual message is the one that its dialect's decoder would give.
"""


def quick_decoder(contract: TableContract, load_id: str, watch: DriftWatch) -> QuickDecoder:
    """Return what decodes the usual change events of a table.

    Args:
        contract: the table.
        load_id: the run.
        watch: told of rows whose fields are not the contract's.

    Returns:
        The decoder.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    shapes, former_shapes = Shapes(contract, with_keys=True), Shapes(contract, with_keys=True)
    images = RowImages(contract)
    may_rewrite = _holds_marker if _is_plain(contract) else _images_may_be_rewritten(images)
    events = UsualEvents(contract, images)
    source_tables: dict[str | None, str] = {}

    def source_table(schema: str | None, source: Source) -> str:
        return source_tables.setdefault(schema, table_name(schema, source.table or ""))

    # A hundred thousand messages a second pass here: what would be functions of their own elsewhere stands in one.
    def read_row(message: Message, event: UsualEvent) -> RawRow:
        source, op = event.source, OPERATIONS[event.op]
        before = None if event.before == _NULL else bytes(event.before)
        if op == "DELETE":
            if event.after != _NULL or before is None:
                raise LookupError
            after, schema_fingerprint = None, None
            shape, image = former_shapes.read(before)
        else:
            after = bytes(event.after)
            shape = shapes.recent
            try:
                image = shape.decode(after)
            except UNREADABLE:
                shape, image = shapes.read(after)
            schema_fingerprint = shape.fingerprint
            if not (shape.is_declared or watch.is_settled(op, schema_fingerprint)):
                raise LookupError
            if before is not None:
                former_shapes.check(before)
        if may_rewrite(message.data, before, after):
            raise LookupError
        schema, timestamp, lsn = source.schema or source.db, source.ts_us, source.lsn
        return RawRow(
            op,
            False,
            source.name,
            source_tables.get(schema) or source_table(schema, source),
            message.event_id,
            load_id,
            message.publish_ts,
            shape.key(image),
            after,
            before,
            timestamp if timestamp is not None else source_timestamp(source),
            # What `position` says of PostgreSQL, in a third of its time.
            str(lsn).zfill(20) if lsn is not None and source.connector == "postgresql" else position(source),
            event.transaction.total_order if event.transaction is not None else 0,
            schema_fingerprint,
            _trace(message.attributes) if message.attributes else None,
        )

    return _each(events, read_row)


def _each(events: UsualEvents, read_row: Callable[[Message, UsualEvent], RawRow]) -> QuickDecoder:
    """Return what parses events one after the other, and makes their rows."""

    def decode(
        messages: Sequence[Message], land: Callable[[Landing], None], otherwise: Callable[[Message], None]
    ) -> None:
        for message in messages:
            try:
                data = message.data
                if data[_LETTER] == _OF_SCHEMA:
                    event = events.read_wrapped(data)
                else:
                    try:
                        event = events.known(data)
                    except UNREADABLE:
                        event = events.read(data)
                row = read_row(message, event)
            except UNUSUAL:
                otherwise(message)
            else:
                land(Landing(message, row))

    return decode


def _is_plain(contract: TableContract) -> bool:
    """Whether nothing is rewritten in images of the usual forms but the marker of a value not sent, in hexadecimal."""
    return contract.debezium == DebeziumHandling() and not any(
        column.is_unsigned or column.data_type.startswith("array") for column in contract.columns
    )


def _holds_marker(data: bytes, _before: bytes | None, _after: bytes | None) -> bool:
    # `in` would first try whether the marker is a number, which takes longer than the search.
    return data.find(_MARKER_IN_HEX) >= 0


def _images_may_be_rewritten(images: RowImages) -> Callable[[bytes, bytes | None, bytes | None], bool]:
    def may_rewrite(_data: bytes, before: bytes | None, after: bytes | None) -> bool:
        return any(image is not None and images.may_rewrite(image) for image in (before, after))

    return may_rewrite


def _trace(attributes: Mapping[str, str]) -> str | None:
    if not _CLOUDEVENT.isdisjoint(attributes):
        # It may be a CloudEvent, whose body is another one's.
        raise LookupError
    return trace_id(attributes)
