"""Debezium's change events by the batch: the usual event in two passes of a typed parser, any other as it always was.

The first pass reads the envelope, and leaves the row images as the text they are landed as; the second reads the
images with the parser of their shape, which checks every value and holds it against the contract. Whatever is out of
the ordinary raises something in one of them, and is then decoded by the dialect itself. A message is parsed on its
own: joining a batch into one JSON array costs a copy, is slower, and lets a broken message reach into the next.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.debezium.envelope import NULL, OPERATIONS, Source, Transaction, table_name
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.payload import trace_id
from ingest.decode.shapes import Shapes
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import RawRow

_WRAPPER: Final = b'{"schema"'


class UsualEvent(msgspec.Struct, gc=False):
    """A change of a row. What makes an event anything else must not be there: `payload` is the schema wrapper's."""

    op: Literal["c", "u", "d", "r"]
    source: Source
    after: Raw
    before: Raw
    transaction: Transaction | None = None
    payload: UnsetType = UNSET
    status: UnsetType = UNSET


class _Wrapped(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    schema: Raw
    payload: UsualEvent


UNUSUAL: Final = (DecodeError, msgspec.MsgspecError, ValueError, LookupError, RecursionError)
"""What reading an event that is not the usual one may raise; `UnicodeDecodeError` is a `ValueError`."""


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
    read_event = msgspec.json.Decoder(UsualEvent).decode
    read_wrapped = msgspec.json.Decoder(_Wrapped).decode
    table = contract.name

    def decode(message: Message) -> RawRow:
        data = message.data
        event = read_wrapped(data).payload if data.startswith(_WRAPPER) else read_event(data)
        source, op = event.source, OPERATIONS[event.op]
        if source.table != table:
            raise ValueError
        after, before = bytes(event.after), bytes(event.before)
        is_delete = op == "DELETE"
        if is_delete and after != NULL:
            raise ValueError
        shape, image = former_shapes.read(before) if is_delete else shapes.read(after)
        if not (shape.is_declared or is_delete or watch.is_settled(op, shape.fingerprint)):
            raise ValueError
        if not is_delete and before != NULL:
            former_shapes.check(before)
        return RawRow(
            op,
            False,
            source.name,
            table_name(source.schema or source.db, table),
            message.event_id,
            load_id,
            message.publish_ts,
            shape.key(image),
            None if is_delete else after,
            None if before == NULL else before,
            source_timestamp(source),
            position(source),
            event.transaction.total_order if event.transaction is not None else 0,
            None if is_delete else shape.fingerprint,
            trace_id(message.attributes) if message.attributes else None,
        )

    return decode
