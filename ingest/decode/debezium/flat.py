"""Debezium's change events flattened to rows, by `ExtractNewRecordState` or, for MongoDB, `ExtractNewDocumentState`.

https://debezium.io/documentation/reference/stable/transformations/event-flattening.html and
https://debezium.io/documentation/reference/stable/transformations/mongodb-event-flattening.html. What happened, and
where, is told only as far as `add.fields` or `add.headers` ask for it: as fields of the row, or attributes of the
message, that begin with a prefix. Ask for `op` and the connector's position (`lsn`; `file,pos,row`; `commit_lsn`,
`change_lsn`, `event_serial_no`; `scn,commit_scn,rs_id,ssn`; `source.ts_ms,ord`), and the rows are as good as whole
events. Without `op` the operation is worked out; without a position a row is landed, but cannot be put in order.

A delete is a row with `__op` or `__deleted`, a null with these as headers, or a null and no more, by
`delete.tombstone.handling.mode`. The fields that were added are landed with the row they came in.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.change import UPSERT, Change, Image, row_maker
from ingest.decode.debezium.body import Body
from ingest.decode.debezium.control import holds_only_control
from ingest.decode.debezium.envelope import OPERATIONS, Source, Transaction, table_name
from ingest.decode.debezium.event import check_table, tombstone
from ingest.decode.debezium.positions import position, source_timestamp
from ingest.decode.debezium.table import Table, body_reader
from ingest.message import Message
from ingest.row import RawRow

_OP: Final = "op"
_DELETED: Final = "deleted"
_SOURCE: Final = "source_"
_TOTAL_ORDER: Final = "transaction_total_order"
_ENVELOPE_INSTANTS: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
"""Without `source.` before them they say when the connector handled the event, which puts nothing in order."""

_CONNECTOR_OF: Final[Mapping[str, str]] = {
    "lsn": "postgresql", "file": "mysql", "commit_lsn": "sqlserver", "change_lsn": "sqlserver", "scn": "oracle",
    "ord": "mongodb",
}  # fmt: skip
"""Which connector a position is of, when `connector` was not asked for."""

_text_decoder = msgspec.json.Decoder()


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, None for a control message; its operation may be `UPSERT` unless the
        table's pattern is `event`. It raises `DecodeError` with a reason code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = row_maker(contract, load_id)
    table = Table.of(contract)
    read_body = body_reader(contract)
    prefix = contract.debezium.metadata_prefix

    def decode(message: Message) -> RawRow | None:
        told = _named(message.attributes, prefix)
        body = read_body(message.data)
        if body is None:
            return make(message, _gone(message, told, table))
        image = _read(body, table)
        if not any(column.name in image.row for column in contract.key) and holds_only_control(body.text):
            return None
        return make(message, _change(image, {**told, **_named(image.row, prefix)}, table))

    return decode


def _read(body: Body, table: Table) -> Image:
    image = table.images.read(Raw(body.text), body.schema)
    if image is None:
        raise DecodeError("missing_payload", "the message holds no row")
    return image


def _named(values: Mapping[str, object], prefix: str) -> dict[str, object]:
    """Return what begins with the prefix, by its name without it."""
    return {
        name.removeprefix(prefix): _unquoted(value)
        for name, value in values.items()
        if name.startswith(prefix) and value is not None
    }


def _unquoted(value: object) -> object:
    """Return a header's value out of the JSON that a header converter may have made of it."""
    if not isinstance(value, str) or not value.startswith(('"', "{")):
        return value
    try:
        parsed = _text_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
    return parsed.get("payload", value) if isinstance(parsed, dict) else parsed


def _change(image: Image, told: Mapping[str, object], table: Table) -> Change:
    operation, is_stated = _operation(told, table.contract)
    change = _placed(operation, is_stated, told, table)
    if operation == "DELETE":
        change.before = image
    else:
        change.after = image
    return change


def _gone(message: Message, told: Mapping[str, object], table: Table) -> Change:
    """Return the delete that a null stands for: with its place when headers tell it, else as evidence."""
    if not told:
        return tombstone(message, table)
    change = _placed("DELETE", told.get(_OP) == "d" or _is_true(told.get(_DELETED)), told, table)
    change.key = table.keys.read(message.ordering_key)
    return change


def _operation(told: Mapping[str, object], contract: TableContract) -> tuple[str, bool]:
    """Return the operation, and whether the message states it."""
    letter = told.get(_OP)
    if letter is not None:
        operation = OPERATIONS.get(str(letter))
        if operation is None:
            raise DecodeError("unknown_operation", f"op is {letter!r}, not one of {', '.join(OPERATIONS)}")
        return operation, True
    if _is_true(told.get(_DELETED)):
        return "DELETE", True
    return ("UPDATE" if contract.pattern == "event" else UPSERT), False


def _is_true(value: object) -> bool:
    return value is True or value == "true"


def _placed(operation: str, is_stated: bool, told: Mapping[str, object], table: Table) -> Change:
    source, place = _source(told, table)
    name = check_table(source, table.contract) if source.table or source.collection else None
    return Change(
        op=operation,
        op_inferred=not is_stated or place is None,
        system=source.name,
        table=table_name(source.schema or source.db, name) if name else table.qualified_name,
        position=place,
        sequence=_total_order(told) if place is not None else None,
        source_ts=source_timestamp(source),
    )


def _source(told: Mapping[str, object], table: Table) -> tuple[Source, str | None]:
    """Put the source block together again, and return it with the position, as far as it was asked for."""
    fields = {name: value for name, value in told.items() if name not in _ENVELOPE_INSTANTS}
    fields |= {name.removeprefix(_SOURCE): value for name, value in told.items() if name.startswith(_SOURCE)}
    known = [connector for name, connector in _CONNECTOR_OF.items() if name in fields]
    fields.setdefault("name", table.system)
    if known:
        fields.setdefault("connector", known[0])
    try:
        # What was a header is text, whatever it was before.
        source = msgspec.convert(fields, Source, strict=False)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid_envelope", f"the added fields are none of Debezium's: {error}") from error
    return source, position(source) if known else None


def _total_order(told: Mapping[str, object]) -> int:
    try:
        return msgspec.convert({"total_order": told.get(_TOTAL_ORDER, 0)}, Transaction, strict=False).total_order
    except msgspec.ValidationError as error:
        raise DecodeError("invalid_envelope", f"the order within the transaction is no number: {error}") from error
