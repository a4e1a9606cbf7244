"""Events of Maxwell's daemon in JSON.

The format is described in https://maxwells-daemon.io/dataformat/ and, for bootstraps, in
https://maxwells-daemon.io/bootstrapping/. The daemon must run with `output_binlog_position=true`, which orders the
changes, and should run with `output_xoffset=true`, which orders the rows one statement changed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode import positions
from ingest.decode.change import (
    Change,
    Image,
    check_table,
    moving_row_maker,
    overlay,
    qualified,
    read_envelope,
    read_image,
    system_of,
)
from ingest.decode.payload import check_timestamp
from ingest.keys import INT64_MAX
from ingest.message import Message
from ingest.row import RawRow

OPERATIONS: Final[Mapping[str, str]] = {
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
    "bootstrap-insert": "SNAPSHOT",
}
CONTROL: Final = frozenset(
    {
        "bootstrap-start", "bootstrap-complete", "heartbeat",
        "database-create", "database-alter", "database-drop", "table-create", "table-alter", "table-drop",
    }
)  # fmt: skip
"""Types that tell of no row: the frame of a bootstrap, and statements that change a schema."""

_POSITION: Final = re.compile(r"(.+):([0-9]{1,18})", re.DOTALL)
_MICROS_PER_SECOND: Final = 1_000_000


class _Event(msgspec.Struct, gc=False):
    type: str
    database: str | None = None
    table: str | None = None
    ts: int | None = None
    position: str | None = None
    xoffset: Annotated[int, Meta(ge=0, le=INT64_MAX)] | None = None
    commit: bool = False
    data: Raw | UnsetType = UNSET
    old: Raw | UnsetType = UNSET


_event_decoder = msgspec.json.Decoder(_Event)


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    `old` holds only what an update changed; `before` is the row with those values put back.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, None for what tells of no row. It raises `DecodeError` with a reason
        code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = moving_row_maker(contract, load_id)
    system = system_of(contract)

    def decode(message: Message) -> RawRow | None:
        event = read_envelope(_event_decoder, message.data, "a Maxwell event")
        if event.type in CONTROL:
            return None
        operation = OPERATIONS.get(event.type)
        if operation is None:
            raise DecodeError("unknown_operation", f"type is {event.type[:40]!r}, not one of {', '.join(OPERATIONS)}")
        check_table(event.table, contract)
        data = read_image(event.data)
        if data is None:
            raise DecodeError("missing_payload", "the event has no data; encrypted events cannot be read")
        deleted = operation == "DELETE"
        change = Change(
            op=operation,
            system=system,
            table=qualified(event.database, contract.name),
            position=_position(event, operation),
            sequence=_sequence(event, operation),
            source_ts=None if event.ts is None else check_timestamp(event.ts * _MICROS_PER_SECOND),
            after=None if deleted else data,
            before=data if deleted else _before(event, data),
            shares_place=event.xoffset is None and not event.commit,
        )
        return make(message, change)

    return decode


def _before(event: _Event, data: Image) -> Image | None:
    old = read_image(event.old)
    return overlay(data, old) if old else None


def _position(event: _Event, operation: str) -> str:
    if event.position is None:
        if operation == "SNAPSHOT":
            return positions.LOWEST
        raise DecodeError("missing_position", "the event has no position; run Maxwell with output_binlog_position=true")
    place = _POSITION.fullmatch(event.position)
    if place is None:
        raise DecodeError("invalid_position", "the position is not of Maxwell's form, such as mysql-bin.000004:123")
    return positions.mysql(place[1], int(place[2]))


def _sequence(event: _Event, operation: str) -> int:
    if operation == "SNAPSHOT":
        # The rows of one bootstrap share its position; of two bootstraps without any, the later wins.
        return max(0, event.ts or 0)
    if event.xoffset is not None:
        return event.xoffset
    # Maxwell leaves xoffset out of the row that ends its transaction.
    return INT64_MAX if event.commit else 0
