"""Events of Google Cloud Datastream, in JSON or Avro.

The format is described in https://cloud.google.com/datastream/docs/events-and-streams. The order of changes is that of
the source's log (MySQL: binary log file and position; Oracle: SCN, redo record and SSN; PostgreSQL and SQL Server: log
sequence number), never that of `source_timestamp`, which tells when a statement began.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode import positions
from ingest.decode.change import Change, check_table, qualified, read_envelope, read_image, row_maker
from ingest.decode.containers import read_container
from ingest.decode.instants import read_millis
from ingest.message import Message
from ingest.row import RawRow

OPERATIONS: Final[Mapping[str, str]] = {
    "INSERT": "INSERT",
    "UPDATE": "UPDATE",
    "UPDATE-INSERT": "UPDATE",
    "UPDATE-DELETE": "DELETE",
    "DELETE": "DELETE",
}
"""What `change_type` says; an update may come as two events, the row before it and the row after it."""

_OLD_ROW: Final = "UPDATE-DELETE"


class _Metadata(msgspec.Struct, gc=False):
    table: str | None = None
    object_name: str | None = None
    schema: str | None = None
    database: str | None = None
    change_type: str | None = None
    is_deleted: bool | None = None
    log_file: str | None = None
    log_position: Annotated[int, Meta(ge=0)] | None = None
    # The names in a stream that follows GTIDs.
    binlog_file: str | None = None
    binlog_position: Annotated[int, Meta(ge=0)] | None = None
    lsn: str | None = None
    scn: Annotated[int, Meta(ge=0)] | None = None
    rs_id: str | None = None
    ssn: Annotated[int, Meta(ge=0, lt=2**62)] | None = None


class _Event(msgspec.Struct, gc=False):
    read_method: str
    source_metadata: _Metadata
    stream_name: str = ""
    source_timestamp: int | str | None = None
    payload: Raw | UnsetType = UNSET


_event_decoder = msgspec.json.Decoder(_Event)


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table; by its encoding an event is JSON, or an Avro object container file of one event.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row. It raises `DecodeError` with a reason code for what cannot be
        understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = row_maker(contract, load_id)
    read = read_container if contract.encoding == "avro" else _as_it_is

    def decode(message: Message) -> RawRow | None:
        event = read_envelope(_event_decoder, read(message.data), "a Datastream event")
        return make(message, _change(event, contract))

    return decode


def _as_it_is(data: bytes) -> bytes:
    return data


def _change(event: _Event, contract: TableContract) -> Change:
    metadata = event.source_metadata
    check_table(metadata.table or metadata.object_name, contract)
    operation = _operation(event)
    payload = read_image(event.payload)
    if payload is None:
        raise DecodeError("missing_payload", "the event has no payload")
    deleted = operation == "DELETE"
    made = None if event.source_timestamp is None else read_millis(event.source_timestamp)
    return Change(
        op=operation,
        system=event.stream_name.rpartition("/")[2] or "datastream",
        table=qualified(metadata.schema or metadata.database, contract.name),
        position=_position(event, made),
        sequence=_sequence(metadata, operation, made),
        source_ts=made,
        after=None if deleted else payload,
        before=payload if deleted else None,
    )


def _is_backfill(event: _Event) -> bool:
    return "backfill" in event.read_method


def _operation(event: _Event) -> str:
    metadata = event.source_metadata
    if metadata.change_type is None:
        stated: str | None = "DELETE" if metadata.is_deleted else "SNAPSHOT" if _is_backfill(event) else None
    else:
        stated = OPERATIONS.get(metadata.change_type)
    if stated is None:
        raise DecodeError("unknown_operation", f"change_type is not one of {', '.join(OPERATIONS)}")
    return "SNAPSHOT" if _is_backfill(event) and stated != "DELETE" else stated


def _position(event: _Event, made: int | None) -> str:
    metadata = event.source_metadata
    if metadata.scn is not None:
        return positions.oracle(metadata.scn, metadata.rs_id or "")
    file = metadata.log_file or metadata.binlog_file
    offset = metadata.binlog_position if metadata.log_position is None else metadata.log_position
    if file and offset is not None:
        return positions.mysql(file, offset)
    if lsn := metadata.lsn:
        return positions.postgresql(lsn) if "/" in lsn or lsn.isdecimal() else positions.sql_server(lsn)
    if _is_backfill(event):
        return positions.LOWEST
    if event.read_method.startswith("salesforce") and made is not None:
        return positions.instant(made)
    raise DecodeError("missing_position", "source_metadata has no place in the source's log")


def _sequence(metadata: _Metadata, operation: str, made: int | None) -> int:
    if operation == "SNAPSHOT":
        # Of two backfills without a place in the log the later one wins.
        return max(0, made or 0)
    # Both events of one update have its position; the row after it must come last.
    return (metadata.ssn or 0) * 2 + (metadata.change_type != _OLD_ROW)
