"""What the dialects have in common: a change of one row, and how it becomes the raw row."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.payload import explain, fingerprint, read_row, trace_id
from ingest.keys import key_encoder
from ingest.message import Message
from ingest.row import RawRow

_T = TypeVar("_T")

UPSERT: Final = "UPSERT"
"""An operation the message does not state: the row as it is now. Resolved before it is landed."""

_NULL: Final = b"null"
_NEEDS_ROW: Final = frozenset({"INSERT", "UPDATE", "SNAPSHOT", UPSERT})
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


class Image(NamedTuple):
    """A row as the event holds it.

    Attributes:
        text: the JSON object, every value byte by byte as it came.
        row: its fields.
    """

    text: bytes
    row: Mapping[str, object]


class Change(msgspec.Struct, gc=False):
    """A change of one row, free of the dialect that told of it.

    Attributes:
        op: INSERT, UPDATE, DELETE, SNAPSHOT, TRUNCATE or `UPSERT`.
        system: the system it comes from.
        table: the table, with its schema.
        position: place in the source's log; None when it has none.
        sequence: order among changes of one position.
        source_ts: when it was made, in microseconds since 1970 UTC.
        after: the row after it.
        before: the row before it.
        op_inferred: whether `op` was worked out rather than stated.
        key: the key's columns, where neither image has them; None for those of the ordering key.
        shares_place: whether other changes may have its position and sequence.
    """

    op: str
    system: str
    table: str
    position: str | None
    sequence: int | None = 0
    source_ts: int | None = None
    after: Image | None = None
    before: Image | None = None
    op_inferred: bool = False
    key: Mapping[str, object] | None = None
    shares_place: bool = False


RowMaker = Callable[[Message, Change], RawRow]


def row_maker(contract: TableContract, load_id: str) -> RowMaker:
    """Return what makes raw rows of a table's changes.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message and its change to the raw row. The key is that of the row after the change, else of
        the row before it, else the record key in the message's ordering key. It raises `DecodeError`
        (`missing_payload`, `missing_key`, `invalid_key`).

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    encode_key = key_encoder(contract)

    def make(message: Message, change: Change) -> RawRow:
        after, before = change.after, change.before
        if after is None and change.op in _NEEDS_ROW:
            raise DecodeError("missing_payload", f"an {change.op} without the row after it")
        key = None
        if change.op != "TRUNCATE":
            image = after or before
            known = image.row if image else change.key
            key = encode_key(record_key(message.ordering_key) if known is None else known)
        return RawRow(
            op=change.op,
            op_inferred=change.op_inferred,
            source_system=change.system,
            source_table=change.table,
            event_id=message.event_id,
            load_id=load_id,
            publish_ts=message.publish_ts,
            key=key,
            payload=after.text if after else None,
            before=before.text if before else None,
            source_ts=change.source_ts,
            source_position=change.position,
            source_sequence=change.sequence,
            schema_fingerprint=fingerprint(after.row) if after else None,
            trace_id=trace_id(message.attributes) if message.attributes else None,
        )

    return make


def moving_row_maker(contract: TableContract, load_id: str) -> RowMaker:
    """Return what makes raw rows of the changes of a dialect that tells the move to another key as one update.

    Such an update becomes what Debezium makes of it: a DELETE of the old key, which holds the row before it, and an
    INSERT of the new one. The DELETE stands in `moved_from` of the INSERT.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function as of `row_maker`.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = row_maker(contract, load_id)
    encode_key = key_encoder(contract)

    def make_moving(message: Message, change: Change) -> RawRow:
        row = make(message, change)
        if change.op != "UPDATE" or change.before is None or encode_key(change.before.row) == row.key:
            return row
        gone = msgspec.structs.replace(change, op="DELETE", after=None, op_inferred=True)
        # One statement may move a row to the key that another one leaves at the same place: the newcomer stays.
        sequence = (change.sequence or 0) + 1 if change.shares_place else change.sequence
        come = msgspec.structs.replace(change, op="INSERT", before=None, op_inferred=True, sequence=sequence)
        return msgspec.structs.replace(make(message, come), moved_from=make(message, gone))

    return make_moving


def read_envelope(decoder: msgspec.json.Decoder[_T], data: bytes, kind: str) -> _T:
    """Read the outer form of an event.

    Args:
        decoder: of the form.
        data: the event.
        kind: what it should be, such as "a Maxwell event", for the message.

    Returns:
        The form; the values it holds as `Raw` are not read yet.

    Raises:
        DecodeError: `invalid_envelope` for JSON of another form, else as `payload.read_row`.
    """
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and "out of range" not in str(error):
            raise DecodeError("invalid_envelope", f"not {kind}: {error}") from error
        raise explain(error, data) from error


def read_image(raw: Raw | UnsetType) -> Image | None:
    """Read a row image in full.

    Args:
        raw: a JSON object, null, or nothing.

    Returns:
        The image; None when there is none.

    Raises:
        DecodeError: as `payload.read_row`.
    """
    if raw is UNSET:
        return None
    text = bytes(raw)
    return None if text == _NULL else Image(text, read_row(text))


def overlay(image: Image, changed: Image) -> Image:
    """Return an image with some fields replaced, all values byte by byte as they came.

    Args:
        image: the whole row.
        changed: the fields that differ.
    """
    text = msgspec.json.encode(_fields_decoder.decode(image.text) | _fields_decoder.decode(changed.text))
    return Image(text, {**image.row, **changed.row})


def without(image: Image, names: Iterable[str]) -> Image:
    """Return an image without some fields; when it has none of them, exactly as it came.

    Args:
        image: the row and what a producer wrote among its columns.
        names: the fields that are no columns.
    """
    dropped = {name for name in names if name in image.row}
    if not dropped:
        return image
    text = msgspec.json.encode({k: v for k, v in _fields_decoder.decode(image.text).items() if k not in dropped})
    return Image(text, {name: value for name, value in image.row.items() if name not in dropped})


def record_key(ordering_key: str) -> Mapping[str, object]:
    """Read the record's key from a message's ordering key.

    Args:
        ordering_key: a JSON object of the key columns, perhaps in a schema wrapper.

    Returns:
        The key columns.

    Raises:
        DecodeError: `missing_key`.
    """
    try:
        key = read_row(ordering_key.encode())
    except (DecodeError, UnicodeEncodeError) as error:
        raise DecodeError("missing_key", "neither the row nor the ordering key holds the key") from error
    wrapped = key.get("payload") if "schema" in key else None
    return wrapped if isinstance(wrapped, dict) else key


def check_table(table: str | None, contract: TableContract) -> None:
    """Refuse an event of another table.

    Args:
        table: the table the event names.
        contract: the table the topic belongs to.

    Raises:
        DecodeError: `wrong_table`.
    """
    if table != contract.name:
        raise DecodeError("wrong_table", f"an event of table {table!r} on the topic of {contract.name!r}")


def system_of(contract: TableContract) -> str:
    """Return what stands for the source system when the events do not name it.

    Args:
        contract: the table.

    Returns:
        The first part of its topic, as Debezium Server names topics.
    """
    return contract.topic.partition(".")[0]


def qualified(schema: str | None, table: str) -> str:
    """Return a table's name with its schema, when there is one.

    Args:
        schema: schema, or database where the source has no schemas.
        table: table name.
    """
    return f"{schema}.{table}" if schema else table
