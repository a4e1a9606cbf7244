"""Rows as plain JSON: the row itself, with little or nothing about what happened to it.

There is no specification to name but that of JSON, https://www.rfc-editor.org/rfc/rfc8259. The operation is stated by
the attribute `operation` (or `op`), by a field of the row that is no column of the table (`_op` or `operation`;
`_deleted` or `deleted` as a flag; the contract may name others), or, for every pattern but `event`, not at all: then
the message holds the row's present state, and what changed is worked out later. An empty message with the key as its
ordering key says that the row is gone, as in a compacted log.

The order is that of the table's cursor; without one it is that of the CloudEvents' `time`, else that of the first
publication: a dead letter that is published again keeps its place.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from msgspec import Raw

from core.contracts import Column, TableContract
from core.errors import DecodeError
from ingest.decode import positions
from ingest.decode.change import UPSERT, Change, Image, read_image, row_maker, system_of, without
from ingest.decode.instants import read_instant
from ingest.decode.payload import check_timestamp
from ingest.first_publication import Publication, first_publication
from ingest.keys import INT64_MAX
from ingest.message import Message
from ingest.row import RawRow

OPERATIONS: Final[Mapping[str, str]] = {
    "c": "INSERT", "i": "INSERT", "insert": "INSERT", "create": "INSERT", "created": "INSERT",
    "u": "UPDATE", "update": "UPDATE", "updated": "UPDATE",
    "d": "DELETE", "delete": "DELETE", "deleted": "DELETE",
    "r": "SNAPSHOT", "read": "SNAPSHOT", "load": "SNAPSHOT", "snapshot": "SNAPSHOT",
    "upsert": UPSERT,
}  # fmt: skip
"""What the word for an operation says, whatever its case."""

OPERATION_ATTRIBUTES: Final = ("operation", "op")
OPERATION_FIELDS: Final = ("_op", "operation")
DELETED_FIELDS: Final = ("_deleted", "deleted")

_INTEGER: Final = re.compile(r"[0-9]{1,19}")
_MAX_DIGITS: Final = 38
_TRUE: Final = frozenset({"true", "t", "1"})
_FALSE: Final = frozenset({"false", "f", "0", "none"})


@dataclass(frozen=True)
class Markers:
    """The fields of a row that say what happened to it.

    Attributes:
        operation: those that name the operation.
        deleted: those that say whether the row is gone.
        dropped: those of both that are no columns, and are not landed.
    """

    operation: tuple[str, ...]
    deleted: tuple[str, ...]
    dropped: tuple[str, ...]

    @staticmethod
    def of(contract: TableContract) -> "Markers":
        """Return those of a table: what its contract names, else the usual ones, unless they are columns.

        Args:
            contract: the table.
        """
        columns = frozenset(column.name for column in contract.columns)

        def fields(named: str | None, usual: Iterable[str]) -> tuple[str, ...]:
            return (named,) if named else tuple(name for name in usual if name not in columns)

        operation = fields(contract.operation_field, OPERATION_FIELDS)
        deleted = fields(contract.deleted_field, DELETED_FIELDS)
        return Markers(operation, deleted, tuple(name for name in (*operation, *deleted) if name not in columns))


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table; its pattern says whether the operation may be left out, its cursor what orders the rows.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, whose operation may be `UPSERT`. It raises `DecodeError` with a
        reason code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = row_maker(contract, load_id)
    system = system_of(contract)
    markers = Markers.of(contract)
    cursor = contract.column(contract.cursor) if contract.cursor else None

    def decode(message: Message) -> RawRow | None:
        image = _read(message.data)
        attributes = message.attributes
        operation, stated = _operation(image, attributes, markers, contract)
        row = without(image, markers.dropped) if image else None
        deleted = operation == "DELETE"
        made = _source_timestamp(row, cursor, attributes)
        published = first_publication(message)
        change = Change(
            op=operation,
            op_inferred=not stated,
            system=attributes.get("ce-source") or system,
            table=contract.name,
            position=_cursor_position(row, cursor) if cursor else _clock_position(published, made),
            sequence=_tie_breaker(published, cursor),
            source_ts=made,
            after=None if deleted else row,
            before=row if deleted else None,
        )
        return make(message, change)

    return decode


def _read(data: bytes) -> Image | None:
    if data.lstrip()[:1] == b"[":
        raise DecodeError("batch_of_rows", "a JSON array; publish one row a message")
    return read_image(Raw(data)) if data else None


def _operation(
    image: Image | None, attributes: Mapping[str, str], markers: Markers, contract: TableContract
) -> tuple[str, bool]:
    """Return the operation, and whether the message states it."""
    word = next((attributes[name] for name in OPERATION_ATTRIBUTES if name in attributes), None)
    if word is None and image is None:
        return "DELETE", False
    fields = image.row if image else {}
    if word is None:
        word = next((str(fields[name]) for name in markers.operation if name in fields), None)
    if word is None and any(_flag(fields[name]) for name in markers.deleted if name in fields):
        return "DELETE", True
    operation = UPSERT if word is None else OPERATIONS.get(word.lower())
    if operation is None:
        raise DecodeError("unknown_operation", "the operation is none of " + ", ".join(sorted(OPERATIONS)))
    if operation == UPSERT and contract.pattern == "event":
        raise DecodeError(
            "missing_operation",
            "the message does not say what happened to the row; set the table's `pattern`, or send an operation",
        )
    return operation, operation != UPSERT


def _flag(value: object) -> bool:
    text = str(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise DecodeError("unknown_operation", "the flag for deleted rows is neither true nor false")


def _cursor_position(row: Image | None, cursor: Column) -> str:
    value = row.row.get(cursor.name) if row else None
    if value is None:
        raise DecodeError("missing_position", f"the cursor {cursor.name!r} is missing or null")
    position = _place(value, cursor.data_type)
    if position is None:
        raise DecodeError(
            "invalid_position", f"the cursor {cursor.name!r} holds a {type(value).__name__} that cannot be put in order"
        )
    return position


def _clock_position(published: Publication, made: int | None) -> str:
    return f"{published.micros if made is None or made < 0 else made:020d}"


def _place(value: object, data_type: str) -> str | None:
    """Return a cursor's value as text whose order is that of the values."""
    if data_type in ("timestamp", "datetime", "date"):
        micros = _instant(value, data_type)
        return None if micros is None else positions.instant(micros)
    if data_type == "int64":
        text = str(value) if type(value) is int else value
        return text.zfill(20) if isinstance(text, str) and _INTEGER.fullmatch(text) else None
    if data_type in ("numeric", "bignumeric"):
        return _number(value)
    return value if data_type == "string" and isinstance(value, str) and value else None


def _instant(value: object, data_type: str) -> int | None:
    if type(value) is int:
        return check_timestamp(value * 86_400_000_000 if data_type == "date" else value)
    return read_instant(value) if isinstance(value, str) else None


def _number(value: object) -> str | None:
    try:
        number = Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None
    if number is None or not number.is_finite() or number < 0 or abs(number.adjusted()) > _MAX_DIGITS:
        return None
    whole, _, fraction = format(number, "f").partition(".")
    return f"{whole.zfill(_MAX_DIGITS + 1)}.{fraction.rstrip('0')}"


def _tie_breaker(published: Publication, cursor: Column | None) -> int:
    """Return what orders messages of one position: when they were published, or else their ids."""
    if cursor:
        return max(0, published.micros)
    # Pub/Sub numbers messages upwards; what is published in one request shares its instant.
    number = int(published.message_id) if _INTEGER.fullmatch(published.message_id) else 0
    return min(number, INT64_MAX)


def _source_timestamp(row: Image | None, cursor: Column | None, attributes: Mapping[str, str]) -> int | None:
    if cursor and row and cursor.data_type in ("timestamp", "datetime"):
        return _instant(row.row.get(cursor.name), cursor.data_type)
    time = attributes.get("ce-time")
    return read_instant(time) if time else None
