"""Debezium's change events by the batch: the usual event in two passes of a typed parser, any other as it always was.

The first pass reads the envelopes, of many messages by one call, and leaves the row images as the text they are landed
as; the second reads the images with the parser of their shape, which checks every value and holds it against the
contract. Whatever is out of the ordinary raises something in one of them, and is then decoded by the dialect itself.
Where joined messages cannot be read as they should, each of them is read on its own, so that only the broken ones are
refused. Of joined messages nothing is kept but copies: no row holds on to the others' text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from core.contracts import TableContract
from core.debezium import UNAVAILABLE_VALUE, DebeziumHandling
from core.errors import DecodeError
from ingest.decode.cloudevents import VERSION_ATTRIBUTES
from ingest.decode.debezium.envelope import NULL, OPERATIONS, Source, table_name
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.joined import CHUNK, LEFT_OUT, Backoff, join, new_separator, part
from ingest.decode.payload import trace_id
from ingest.decode.shapes import UNREADABLE, Shapes
from ingest.decode.usual_events import UsualEvent, UsualEvents
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import Landing, RawRow

_NULL: Final = Raw(NULL)
_COPY: Final = b""
"""What a text is added to: that copies it in half the time `bytes` takes, and lets go of the text it is a part of."""

_MARKER_IN_HEX: Final = UNAVAILABLE_VALUE.encode().hex().encode()
_CLOUDEVENT: Final = frozenset({"content-type", "Content-Type", *VERSION_ATTRIBUTES})

_OF_SCHEMA: Final = ord("s")
"""The first letter of a wrapped event's first field, `{"schema":`; no field of an event itself comes first with it."""

_LETTER: Final = 2

_ALONE: Final = [0]
"""What is read of a message that is to be read on its own."""

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
    is_plain = _is_plain(contract)
    may_rewrite = _holds_marker if is_plain else _images_may_be_rewritten(images)
    events = UsualEvents(contract, images)
    source_tables: dict[str | None, str] = {}

    def source_table(schema: str | None, source: Source) -> str:
        return source_tables.setdefault(schema, table_name(schema, source.table or ""))

    # A hundred thousand messages a second pass here: what would be functions of their own elsewhere stands in one.
    def read_row(message: Message, event: UsualEvent, is_unmarked: bool) -> RawRow:
        source, op = event.source, OPERATIONS[event.op]
        before = None if event.before == _NULL else _COPY + event.before
        if op == "DELETE":
            if event.after != _NULL or before is None:
                raise LookupError
            after, schema_fingerprint = None, None
            shape, image = former_shapes.read(before)
        else:
            after = _COPY + event.after
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
        if not is_unmarked and may_rewrite(message.data, before, after):
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

    return _by_chunks(_reader(events), _joined_reader(events, is_plain), read_row)


def _by_chunks(
    read: Callable[[Message], UsualEvent],
    read_joined: Callable[[Sequence[Message], int], tuple[list[Any], bool]],
    read_row: Callable[[Message, UsualEvent, bool], RawRow],
) -> QuickDecoder:
    """Return what decodes a batch chunk by chunk.

    Args:
        read: parses an event on its own.
        read_joined: parses the events of a chunk.
        read_row: makes the row of an event, which need not be searched for the marker of a value not sent, if so told.
    """

    def decode_chunk(
        messages: Sequence[Message],
        separator: int,
        land: Callable[[Landing], None],
        otherwise: Callable[[Message], None],
    ) -> None:
        parsed, is_unmarked = read_joined(messages, separator)
        for message, event in zip(messages, parsed, strict=True):
            try:
                if event.__class__ is int:
                    row = read_row(message, read(message), False)
                else:
                    row = read_row(message, event, is_unmarked)
            except UNUSUAL:
                otherwise(message)
            else:
                land(Landing(message, row))

    def decode(
        messages: Sequence[Message], land: Callable[[Landing], None], otherwise: Callable[[Message], None]
    ) -> None:
        separator = new_separator()
        for start in range(0, len(messages), CHUNK):
            # In a function of its own, so that what was parsed is freed before more is, and the same memory is used.
            decode_chunk(messages[start : start + CHUNK], separator, land, otherwise)

    return decode


def _reader(events: UsualEvents) -> Callable[[Message], UsualEvent]:
    """Return what parses an event on its own; it raises one of `UNUSUAL` for what is none."""

    def read(message: Message) -> UsualEvent:
        data = message.data
        if data[_LETTER] == _OF_SCHEMA:
            return events.read_wrapped(data)
        try:
            return events.known(data)
        except UNREADABLE:
            return events.read(data)

    return read


def _joined_reader(events: UsualEvents, is_plain: bool) -> Callable[[Sequence[Message], int], tuple[list[Any], bool]]:
    """Return what parses the events of many messages by one call.

    It takes a separator, too, and returns the event of every message, or a number for one to be read on its own; and
    whether it is certain that no message holds the marker of a value not sent.
    """

    def read_joined(messages: Sequence[Message], separator: int) -> tuple[list[Any], bool]:
        if len(messages) == 1 or not backoff.is_due():
            return _ALONE * len(messages), False
        # A topic's events are of one form, as a rule; where they are of both, most are not wrapped.
        is_wrapped = _is_wrapped(messages[0]) and _is_wrapped(messages[-1])
        try:
            bodies = [
                data if (data := message.data) and (data[_LETTER] == _OF_SCHEMA) is is_wrapped else LEFT_OUT
                for message in messages
            ]
            text = join(bodies, separator)
            parse = events.known_wrapped_joined if is_wrapped else events.known_joined
            parsed = part(parse(text), len(messages), separator)
        except (*UNREADABLE, LookupError):
            backoff.failed()
            return _ALONE * len(messages), False
        backoff.succeeded()
        if is_wrapped:
            parsed = events.unwrap(parsed)
        # Looked for in all of them at once, which gains more than joining costs.
        return parsed, is_plain and text.find(_MARKER_IN_HEX) < 0

    backoff = Backoff()
    return read_joined


def _is_wrapped(message: Message) -> bool:
    return len(message.data) > _LETTER and message.data[_LETTER] == _OF_SCHEMA


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
