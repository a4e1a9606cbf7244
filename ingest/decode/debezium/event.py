"""Debezium's change events as its connectors write them.

Debezium Server publishes a table's events to the topic `<prefix>.<schema>.<table>` with the record's key as
ordering key.
"""

from collections.abc import Callable

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.change import Change, Image, row_maker
from ingest.decode.debezium.body import Body
from ingest.decode.debezium.control import is_control
from ingest.decode.debezium.envelope import OPERATIONS, Envelope, Source, read_envelope, table_name
from ingest.decode.debezium.mongodb import CONNECTOR
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.debezium.table import Table, body_reader
from ingest.message import Message
from ingest.row import RawRow

_Images = tuple[Image | None, Image | None]
"""The row before and after the change."""


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, None for a control message. It raises `DecodeError` with a reason
        code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = row_maker(contract, load_id)
    table = Table.of(contract)
    read_body = body_reader(contract)

    def decode(message: Message) -> RawRow | None:
        body = read_body(message.data)
        if body is None:
            return make(message, tombstone(message, table))
        envelope = read_envelope(body.text)
        if is_control(envelope, body.text):
            return None
        return make(message, _change(message, envelope, body, table))

    return decode


def tombstone(message: Message, table: Table) -> Change:
    """Return the change that the null after a delete stands for: evidence, without a position, so never applied.

    Args:
        message: the message; its ordering key is the record's key.
        table: the table.

    Returns:
        The change.

    Raises:
        DecodeError: when the key cannot be read.
    """
    return Change(
        op="DELETE",
        op_inferred=True,
        system=table.system,
        table=table.qualified_name,
        position=None,
        sequence=None,
        key=table.keys.read(message.ordering_key),
    )


def _change(message: Message, envelope: Envelope, body: Body, table: Table) -> Change:
    operation = OPERATIONS.get(envelope.op or "")
    if operation is None:
        raise DecodeError("unknown_operation", f"op is {envelope.op!r}, not one of {', '.join(OPERATIONS)}")
    source = envelope.source
    if source is None:
        raise DecodeError("invalid_envelope", "the event has no source block")
    name = check_table(source, table.contract)
    read_images = _documents if source.connector == CONNECTOR else _rows
    before, after = read_images(message, envelope, body, table)
    needs_record_key = operation == "DELETE" and before is None and after is None
    return Change(
        op=operation,
        system=source.name,
        table=table_name(source.schema or source.db, name),
        position=position(source),
        sequence=envelope.transaction.total_order if envelope.transaction else 0,
        source_ts=source_timestamp(source),
        after=after,
        before=before,
        key=table.keys.read(message.ordering_key) if needs_record_key else None,
    )


def check_table(source: Source, contract: TableContract) -> str:
    """Refuse an event of another table.

    Args:
        source: where the event comes from.
        contract: the table the topic belongs to.

    Returns:
        The table as the source calls it; its case may differ, since some databases fold names.

    Raises:
        DecodeError: `wrong_table`.
    """
    table = source.table or source.collection or ""
    if table.casefold() != contract.name.casefold():
        raise DecodeError("wrong_table", f"an event of table {table!r} on the topic of {contract.name!r}")
    return table


def _rows(_: Message, envelope: Envelope, body: Body, table: Table) -> _Images:
    schema = body.schema
    before = table.images.read(envelope.before, schema and schema.child("before"))
    return before, table.images.read(envelope.after, schema and schema.child("after"))


def _documents(message: Message, envelope: Envelope, _: Body, table: Table) -> _Images:
    documents = table.documents
    before, after = documents.read(envelope.before), documents.read(envelope.after)
    if after is None and envelope.op == "u":
        is_keyed = envelope.filter is None and before is None
        key = table.keys.read(message.ordering_key) if is_keyed else before.row if before else {}
        after = documents.read_partial(envelope, key)
    return before, after
