"""Debezium's change events by the batch: the usual event in two passes of a typed parser, any other as it always was.

The first pass reads the envelope, and leaves the row images as the text they are landed as; the second reads the
images with the parser of their shape, which checks every value and holds it against the contract. Whatever is out of
the ordinary raises something in one of them, and is then decoded by the dialect itself. A message is parsed on its
own: joining a batch into one JSON array costs a copy, is slower, and lets a broken message reach into the next.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from core.contracts import TableContract
from core.debezium import UNAVAILABLE_VALUE, DebeziumHandling
from core.errors import DecodeError
from ingest.decode.cloudevents import PREFIX
from ingest.decode.debezium.envelope import NULL, OPERATIONS, Source, table_name
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.payload import trace_id
from ingest.decode.shapes import Shapes
from ingest.decode.usual_events import UsualEvents
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import RawRow

_NULL: Final = Raw(NULL)
_MARKER_IN_HEX: Final = UNAVAILABLE_VALUE.encode().hex().encode()
_CLOUDEVENT: Final = frozenset({"content-type", "Content-Type", f"{PREFIX}specversion"})

UNUSUAL: Final = (DecodeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError)
"""What reading an event that is not the usual one may raise."""


def quick_decoder(contract: TableContract, load_id: str, watch: DriftWatch) -> Callable[[Message], RawRow]:
    """Return what decodes the usual change event of a table.

    Args:
        contract: the table.
        load_id: the run.
        watch: told of rows whose fields are not the contract's.

    Returns:
        A function that gives the row the dialect's decoder would give, or raises one of `UNUSUAL`.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    shapes, former_shapes = Shapes(contract, with_keys=True), Shapes(contract, with_keys=True)
    images = RowImages(contract)
    may_rewrite = _holds_marker if _is_plain(contract) else images.may_rewrite
    read_event = UsualEvents(contract, images).read
    source_tables: dict[str | None, str] = {}

    def source_table(source: Source) -> str:
        schema = source.schema or source.db
        return source_tables.setdefault(schema, table_name(schema, source.table or ""))

    def decode(message: Message) -> RawRow:
        event = read_event(message.data)
        source, op = event.source, OPERATIONS[event.op]
        before = None if event.before == _NULL else bytes(event.before)
        if op == "DELETE":
            if event.after != _NULL or before is None:
                raise LookupError
            after = None
            shape, image = former_shapes.read(before)
        else:
            after = bytes(event.after)
            shape, image = shapes.read(after)
            if not (shape.is_declared or watch.is_settled(op, shape.fingerprint)):
                raise LookupError
            if before is not None:
                former_shapes.check(before)
        if (after is not None and may_rewrite(after)) or (before is not None and may_rewrite(before)):
            raise LookupError
        schema, timestamp, lsn = source.schema or source.db, source.ts_us, source.lsn
        return RawRow(
            op,
            False,
            source.name,
            source_tables.get(schema) or source_table(source),
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
            shape.fingerprint if after is not None else None,
            _trace(message.attributes) if message.attributes else None,
        )

    return decode


def _is_plain(contract: TableContract) -> bool:
    """Whether nothing is rewritten in images of the usual forms but the marker of a value not sent, in hexadecimal."""
    return contract.debezium == DebeziumHandling() and not any(
        column.is_unsigned or column.data_type.startswith("array") for column in contract.columns
    )


def _holds_marker(text: bytes) -> bool:
    # `in` would first try whether the marker is a number, which takes longer than the search.
    return text.find(_MARKER_IN_HEX) >= 0


def _trace(attributes: Mapping[str, str]) -> str | None:
    if not _CLOUDEVENT.isdisjoint(attributes):
        # It may be a CloudEvent, whose body is another one's.
        raise LookupError
    return trace_id(attributes)
