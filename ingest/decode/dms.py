"""Records of AWS Database Migration Service in JSON.

Two forms: that of its Kinesis and Kafka targets, with `data` and `metadata`
(https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.Kinesis.html,
https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.Kafka.html), and that of its S3 target, a row with the
column `Op` (https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.S3.html), a row a message.

The order of changes is in the log only when the endpoint has `IncludeTransactionDetails`; without it the instants at
which the service wrote the records have to do.
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
    RowMaker,
    check_table,
    moving_row_maker,
    overlay,
    qualified,
    read_envelope,
    read_image,
    system_of,
    without,
)
from ingest.decode.instants import read_instant
from ingest.keys import INT64_MAX
from ingest.message import Message
from ingest.row import RawRow

OPERATIONS: Final[Mapping[str, str]] = {
    "load": "SNAPSHOT",
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
}
TRUNCATES: Final = ("truncate-table", "truncate")
"""Control operations that empty a table; every other one tells of no row. The documentation names none of them."""
ROW_OPERATIONS: Final[Mapping[str, str]] = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}
OPERATION_COLUMN: Final = "Op"
SEQUENCE_COLUMNS: Final = ("transact_id", "AR_H_CHANGE_SEQ")
"""Names under which a mapping rule adds the header `$AR_H_CHANGE_SEQ`: the documentation's, and its own."""
TIMESTAMP_COLUMNS: Final = ("dms_timestamp", "cdc_timestamp", "timestamp")
"""Usual values of the endpoint setting `TimestampColumnName`."""

_POSTGRESQL: Final = re.compile(r"([0-9A-Fa-f]+/[0-9A-Fa-f]+)\.[0-9]+\.([0-9A-Fa-f]+/[0-9A-Fa-f]+)")
_BINLOG: Final = re.compile(r"([^:]+\.[0-9]+):([0-9]{1,18})(?::.*)?", re.DOTALL)
_NUMBERS: Final = re.compile(r"[0-9]{1,20}(?:[.:][0-9]{1,20}){0,4}")
_CHANGE_SEQUENCE: Final = re.compile(r"[0-9]{1,40}")


class _Metadata(msgspec.Struct, gc=False, rename="kebab"):
    record_type: str
    operation: str
    schema_name: str | None = None
    table_name: str | None = None
    timestamp: str | None = None
    commit_timestamp: str | None = None
    stream_position: str | None = None
    transaction_record_id: Annotated[int, Meta(ge=0, le=INT64_MAX)] | None = None


class _Record(msgspec.Struct, gc=False):
    metadata: _Metadata
    data: Raw | UnsetType = UNSET
    before_image: Raw | UnsetType = msgspec.field(default=UNSET, name="before-image")


class _Form(msgspec.Struct, gc=False):
    operation: Raw | UnsetType = msgspec.field(default=UNSET, name=OPERATION_COLUMN)


_form_decoder = msgspec.json.Decoder(_Form)
_record_decoder = msgspec.json.Decoder(_Record)


def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
    """Return the decoder of a table's topic.

    Args:
        contract: the table.
        load_id: the run, for `_load_id`.

    Returns:
        A function from a message to its raw row, None for control records but truncates of the table. It raises
        `DecodeError` with a reason code for what cannot be understood.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    make = moving_row_maker(contract, load_id)
    system = system_of(contract)
    columns = frozenset(column.name for column in contract.columns)

    def decode(message: Message) -> RawRow | None:
        form = read_envelope(_form_decoder, message.data, "a DMS record")
        if form.operation is not UNSET:
            return make(message, _row_change(message.data, contract, system, columns))
        return _record(message, contract, system, make)

    return decode


def _record(message: Message, contract: TableContract, system: str, make: RowMaker) -> RawRow | None:
    record = read_envelope(_record_decoder, message.data, "a DMS record")
    metadata = record.metadata
    if metadata.record_type == "control":
        is_truncate = metadata.operation in TRUNCATES and metadata.table_name == contract.name
        return make(message, _truncate(metadata, system)) if is_truncate else None
    operation = OPERATIONS.get(metadata.operation) if metadata.record_type == "data" else None
    if operation is None:
        raise DecodeError("unknown_operation", f"the operation is not one of {', '.join(OPERATIONS)}")
    check_table(metadata.table_name, contract)
    data = read_image(record.data)
    if data is None:
        raise DecodeError("missing_payload", "the record has no data")
    deleted = operation == "DELETE"
    written = None if metadata.timestamp is None else read_instant(metadata.timestamp)
    change = Change(
        op=operation,
        system=system,
        table=qualified(metadata.schema_name, contract.name),
        position=_position(metadata, operation, written),
        sequence=(written or 0) if operation == "SNAPSHOT" else metadata.transaction_record_id or 0,
        source_ts=written if metadata.commit_timestamp is None else read_instant(metadata.commit_timestamp),
        after=None if deleted else data,
        before=data if deleted else _before(record, data),
        shares_place=metadata.transaction_record_id is None,
    )
    return make(message, change)


def _truncate(metadata: _Metadata, system: str) -> Change:
    if metadata.stream_position is None:
        # The instant would do for a table in the order of instants; in any other it would delete whatever comes later.
        raise DecodeError("missing_position", "the truncate has no stream-position; empty the table by hand")
    written = None if metadata.timestamp is None else read_instant(metadata.timestamp)
    return Change(
        op="TRUNCATE",
        system=system,
        table=qualified(metadata.schema_name, metadata.table_name or ""),
        position=stream_position(metadata.stream_position),
        sequence=metadata.transaction_record_id or 0,
        source_ts=written if metadata.commit_timestamp is None else read_instant(metadata.commit_timestamp),
    )


def _before(record: _Record, data: Image) -> Image | None:
    # It holds the old values of some columns only, by the setting ColumnFilter.
    old = read_image(record.before_image)
    return overlay(data, old) if old and old.row else None


def _position(metadata: _Metadata, operation: str, written: int | None) -> str:
    if operation == "SNAPSHOT":
        return positions.LOWEST
    if metadata.stream_position is not None:
        return stream_position(metadata.stream_position)
    if written is None:
        raise DecodeError("missing_position", "the record has neither a stream-position nor a timestamp")
    return positions.instant(written)


def stream_position(text: str) -> str:
    """Return a stream position as text whose order is the log's order.

    Args:
        text: what DMS writes of a source: two PostgreSQL log sequence numbers around a count, a MySQL binary log file
            and offset, a SQL Server log sequence number, or numbers with dots or colons between them.

    Returns:
        The same, every part padded to a fixed width.

    Raises:
        DecodeError: `invalid_position`.
    """
    if match := _POSTGRESQL.fullmatch(text):
        return ".".join(positions.postgresql(lsn) for lsn in match.groups())
    if match := _BINLOG.fullmatch(text):
        return positions.mysql(match[1], int(match[2]))
    # That of SQL Server comes first: its hexadecimal parts may hold decimal digits only.
    if positions.is_sql_server(text):
        return positions.sql_server(text)
    if _NUMBERS.fullmatch(text):
        return ".".join(part.zfill(20) for part in re.split("[.:]", text))
    raise DecodeError("invalid_position", "the stream-position has no form that is known to be in order")


def _row_change(data: bytes, contract: TableContract, system: str, columns: frozenset[str]) -> Change:
    image = read_image(Raw(data))
    if image is None:
        raise DecodeError("missing_payload", "the record is null")
    operation = ROW_OPERATIONS.get(str(image.row[OPERATION_COLUMN]))
    if operation is None:
        raise DecodeError("unknown_operation", f"Op is not one of {', '.join(ROW_OPERATIONS)}")
    added = [name for name in (*SEQUENCE_COLUMNS, *TIMESTAMP_COLUMNS) if name not in columns and name in image.row]
    row = without(image, [OPERATION_COLUMN, *added])
    written = _timestamp(image, added)
    deleted = operation == "DELETE"
    return Change(
        op=operation,
        system=system,
        table=contract.name,
        position=_row_position(image, added, written),
        source_ts=written,
        after=None if deleted else row,
        before=row if deleted else None,
    )


def _timestamp(image: Image, added: list[str]) -> int | None:
    for name in TIMESTAMP_COLUMNS:
        value = image.row.get(name)
        if name in added and isinstance(value, str):
            return read_instant(value)
    return None


def _row_position(image: Image, added: list[str], written: int | None) -> str:
    for name in SEQUENCE_COLUMNS:
        if name in added:
            text = str(image.row[name])
            if not _CHANGE_SEQUENCE.fullmatch(text):
                raise DecodeError("invalid_position", f"{name} is not a number of up to 40 digits")
            return text.zfill(40)
    if written is None:
        names = ", ".join((*SEQUENCE_COLUMNS, *TIMESTAMP_COLUMNS))
        raise DecodeError("missing_position", f"the row has none of {names}: its place in the log is unknown")
    return positions.instant(written)
