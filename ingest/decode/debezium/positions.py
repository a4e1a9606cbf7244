"""Each connector's place in its log, as text whose order is the log's order.

| connector | position | the changes are in the order of |
| --- | --- | --- |
| `postgresql` | `lsn` | the log; the locks of a row make that the order of commits, row by row |
| `mysql`, `mariadb` | number of `file`, `pos`, `row` | the binary log, which is the order of commits |
| `sqlserver` | `commit_lsn`, `change_lsn`, `event_serial_no` | commits, and of changes within one |
| `oracle` | `commit_scn`, `scn`, `rs_id`, `ssn`, `txSeq`, `lcr_position` | commits, and of changes within one |
| `mongodb` | `ts_ms`, `ord` | the oplog |

Commits come first where the log interleaves transactions: a snapshot taken while a transaction was open has not seen
it, although its changes stand before the snapshot in the log. Every part has a fixed width. Where a snapshot has no
value, the lowest stands, so that it comes before whatever was streamed. The fields are described under "Data change
events" of each connector, https://debezium.io/documentation/reference/stable/connectors/index.html.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from core.errors import DecodeError
from ingest.decode import positions as logs
from ingest.decode.debezium.envelope import Source
from ingest.decode.payload import check_timestamp

_STREAMED: Final = frozenset({None, False, "false", "incremental"})
"""What `snapshot` says of changes that were read from the log, or between them."""

_UNKNOWN_PLACE: Final = "the event has no source.{}: its place in the log is unknown"
_LOWEST_LSN: Final = "00000000:00000000:0000"
_NO_LSN: Final = frozenset({None, "", "NULL"})
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]*")


def position(source: Source) -> str:
    """Return the place of a change in its source's log.

    Args:
        source: the event's source block.

    Returns:
        Text; comparing two of one connector compares their places.

    Raises:
        DecodeError: `unknown_connector`, `missing_position` or `invalid_position`.
    """
    read = POSITIONS.get(source.connector)
    if read is None:
        raise DecodeError(
            "unknown_connector",
            f"positions of connector {source.connector!r} cannot be ordered, only those of {', '.join(POSITIONS)}",
        )
    return read(source)


def source_timestamp(source: Source) -> int | None:
    """Return when the change was made at the source: the finest instant the block holds.

    Args:
        source: the event's source block.

    Returns:
        Microseconds since 1970 UTC; None when the block has no instant.

    Raises:
        DecodeError: `timestamp_out_of_range`.
    """
    if source.ts_us is not None:
        return check_timestamp(source.ts_us)
    if source.ts_ns is not None:
        return check_timestamp(source.ts_ns // 1_000)
    return None if source.ts_ms is None else check_timestamp(source.ts_ms * 1_000)


def _postgresql(source: Source) -> str:
    """https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-create-events.

    `sequence` holds the same number, and that of the last commit, which says nothing more of one row. Rows of a
    snapshot have the place of the snapshot: no event of this connector is without one.
    """
    if source.lsn is None:
        raise DecodeError("missing_position", _UNKNOWN_PLACE.format("lsn"))
    return f"{source.lsn:020d}"


def _binary_log(source: Source) -> str:
    """https://debezium.io/documentation/reference/stable/connectors/mysql.html#mysql-create-events.

    A GTID says which transaction it was, not its place: those of several servers are in no order.
    """
    if not source.file or source.pos is None:
        _require_snapshot(source, "file and pos")
        return f"{0:010d}:{0:020d}:{0:010d}"
    return f"{logs.mysql(source.file, source.pos)}:{source.row or 0:010d}"


def _sql_server(source: Source) -> str:
    """https://debezium.io/documentation/reference/stable/connectors/sqlserver.html#sqlserver-create-events."""
    commit, change = source.commit_lsn, source.change_lsn
    if commit in _NO_LSN or change in _NO_LSN:
        _require_snapshot(source, "commit_lsn and change_lsn")
    return f"{_lsn(commit)}/{_lsn(change)}/{source.event_serial_no or 0:010d}"


def _lsn(lsn: str | None) -> str:
    return _LOWEST_LSN if lsn is None or lsn in _NO_LSN else logs.sql_server(lsn)


def _oracle(source: Source) -> str:
    """https://debezium.io/documentation/reference/stable/connectors/oracle.html#oracle-create-events.

    A snapshot is taken as of one SCN: what was committed up to it is in it. XStream's changes have an LCR position,
    whose hexadecimal digits are in the order of the stream, instead of a place in the redo log.
    """
    scn = _scn(source.scn)
    if scn is None:
        _require_snapshot(source, "scn")
        scn = 0
    commit = _scn(source.commit_scn)
    place = logs.oracle(scn, source.rs_id or "")
    text = f"{scn if commit is None else commit:020d}:{place}:{source.ssn or 0:010d}:{source.txSeq or 0:010d}"
    if not source.lcr_position:
        return text
    if not _HEXADECIMAL.fullmatch(source.lcr_position):
        raise DecodeError("invalid_position", "source.lcr_position is not hexadecimal")
    return f"{text}:{source.lcr_position.lower()}"


def _scn(value: str | int | None) -> int | None:
    if value is None or value == "":
        return None
    if not _DIGITS.fullmatch(str(value)):
        raise DecodeError("invalid_position", "an SCN of the event is no whole number")
    return int(value)


def _mongodb(source: Source) -> str:
    """https://debezium.io/documentation/reference/stable/connectors/mongodb.html#mongodb-create-events.

    From MongoDB 6 on `ts_ms` is the wall clock of the primary when the change was made; before, and for snapshots,
    the seconds of the oplog's timestamp. `ord` counts within such a second.
    """
    if source.ts_ms is None or source.ord is None:
        _require_snapshot(source, "ts_ms and ord")
    return f"{max(source.ts_ms or 0, 0):015d}:{max(source.ord or 0, 0):010d}"


def _require_snapshot(source: Source, fields: str) -> None:
    if source.snapshot in _STREAMED:
        raise DecodeError("missing_position", _UNKNOWN_PLACE.format(fields))


POSITIONS: Final[Mapping[str, Callable[[Source], str]]] = {
    "postgresql": _postgresql,
    "mysql": _binary_log,
    "mariadb": _binary_log,
    "sqlserver": _sql_server,
    "oracle": _oracle,
    "mongodb": _mongodb,
}
"""How each connector's position becomes text, by the connector's name."""
