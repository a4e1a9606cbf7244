"""Places in a database's log as text whose order is the log's order.

Every part is padded to a fixed width, so that comparing two texts of one source compares the places. A text says
nothing about another kind of source: a table keeps to one.
"""

import re
from typing import Final

from core.clock import from_micros
from core.errors import DecodeError

_LSN: Final = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}")
_BINLOG_FILE: Final = re.compile(r".*\.([0-9]{1,10})", re.DOTALL)
_SQL_SERVER_LSN: Final = re.compile(r"([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{4})")
_SQL_SERVER_BINARY: Final = re.compile(r"(?:0x)?([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})([0-9A-Fa-f]{4})")
_REDO_RECORD: Final = re.compile(r"\s*(?:0x)?([0-9A-Fa-f]{1,8})\.([0-9A-Fa-f]{1,8})\.([0-9A-Fa-f]{1,4})\s*")

LOWEST: Final = f"{0:020d}"
"""Before every place in a log: what a snapshot without a place of its own gets, so that every logged change wins."""


def postgresql(lsn: str) -> str:
    """Return the position of a PostgreSQL log sequence number, the same text as that of a Debezium event.

    Args:
        lsn: as `pg_lsn` prints it, such as `16/B374D848`, or as a plain number
            (https://www.postgresql.org/docs/current/datatype-pg-lsn.html).

    Returns:
        20 digits.

    Raises:
        DecodeError: `invalid_position`.
    """
    if halves := _LSN.fullmatch(lsn):
        return f"{(int(halves[1], 16) << 32) + int(halves[2], 16):020d}"
    if _DECIMAL.fullmatch(lsn):
        return f"{int(lsn):020d}"
    raise DecodeError("invalid_position", "the log sequence number is not of PostgreSQL's form, such as 16/B374D848")


def mysql(file: str, offset: int) -> str:
    """Return the position of a place in the MySQL binary log.

    The name of the file is left out but for its number, which the server counts up.

    Args:
        file: name of the binary log file, such as `mysql-bin.000004`
            (https://dev.mysql.com/doc/refman/8.4/en/binary-log.html).
        offset: place in the file, in bytes.

    Returns:
        The number of the file in 10 digits, a colon, the offset in 20.

    Raises:
        DecodeError: `invalid_position`.
    """
    number = _BINLOG_FILE.fullmatch(file)
    if number is None or not 0 <= offset < 10**20:
        raise DecodeError("invalid_position", "the binary log file has no number, such as mysql-bin.000004")
    return f"{int(number[1]):010d}:{offset:020d}"


def sql_server(lsn: str) -> str:
    """Return the position of a SQL Server log sequence number.

    Args:
        lsn: three hexadecimal parts, such as `00000027:00000758:0005`, or the same ten bytes in one piece
            (https://learn.microsoft.com/sql/relational-databases/sql-server-transaction-log-architecture-and-management-guide).

    Returns:
        The three parts in lower case, with colons.

    Raises:
        DecodeError: `invalid_position`.
    """
    parts = _SQL_SERVER_LSN.fullmatch(lsn) or _SQL_SERVER_BINARY.fullmatch(lsn)
    if parts is None:
        raise DecodeError(
            "invalid_position", "the log sequence number is not of SQL Server's form, such as 00000027:00000758:0005"
        )
    return ":".join(parts.groups()).lower()


def is_sql_server(text: str) -> bool:
    """Return whether a text is a SQL Server log sequence number in three parts.

    Args:
        text: a position of unknown kind.
    """
    return _SQL_SERVER_LSN.fullmatch(text) is not None


def oracle(scn: int, record: str) -> str:
    """Return the position of a change in the Oracle redo log.

    Args:
        scn: system change number.
        record: `RS_ID` of the redo record, such as ` 0x000073.00000a1c.0010`: log sequence, block and offset; empty
            for a row that was selected as of the SCN
            (https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/V-LOGMNR_CONTENTS.html).

    Returns:
        The SCN in 20 digits, a colon, the three parts of the record in hexadecimal, with dots.

    Raises:
        DecodeError: `invalid_position`.
    """
    parts = _REDO_RECORD.fullmatch(record or "0x0.0.0")
    if parts is None or not 0 <= scn < 10**20:
        raise DecodeError("invalid_position", "the redo record is not of Oracle's form, such as 0x000073.00000a1c.0010")
    log, block, offset = (int(part, 16) for part in parts.groups())
    return f"{scn:020d}:{log:08x}.{block:08x}.{offset:04x}"


def instant(micros: int) -> str:
    """Return the position of what only its instant puts in order.

    Args:
        micros: microseconds since 1970 UTC, in the years 1 to 9999.

    Returns:
        `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    """
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
