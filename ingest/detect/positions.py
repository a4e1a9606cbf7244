"""The position of rows whose messages carry none: from the dump they belong to, or from a clock.

Structure applies changes by their position and leaves out what has none, so every row gets one, and one that stays
the same when the message is delivered again.
"""

import re
from collections.abc import Callable
from typing import Final

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.first_publication import first_publication
from ingest.message import Message
from ingest.row import RawRow

Positioner = Callable[[Message, RawRow], None]
"""Gives a row its position; raises `DecodeError` when the message does not hold what that needs."""

DUMP_ID: Final = "millrace_dump_id"
"""The attribute that says to which full dump a row or a marker belongs."""

_DUMP_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:+-]{0,127}")


def positioner(contract: TableContract) -> Positioner:
    """Return what gives a table's rows their positions.

    Args:
        contract: the table; its pattern decides.

    Returns:
        A function that completes a row in place. A row of a `full_dump` gets the dump's position. Any other that has
        none gets the time at the source, else that of its first publication, in microseconds.
    """
    return _by_dump if contract.pattern == "full_dump" else _by_clock


def dump_position(dump_id: str) -> str:
    """Return the position of a dump's rows.

    Args:
        dump_id: id of the dump; ids rise from dump to dump, numbers as numbers and anything else as text.

    Returns:
        The id; a number zero-padded to 20 digits.

    Raises:
        DecodeError: `invalid_dump_id`.
    """
    if not _DUMP_ID.fullmatch(dump_id):
        raise DecodeError("invalid_dump_id", f"{DUMP_ID} must be 1 to 128 letters, digits or any of . _ : + -")
    return dump_id.zfill(20) if dump_id.isdecimal() else dump_id


def _by_clock(message: Message, row: RawRow) -> None:
    if row.source_position is None:
        published = first_publication(message).micros
        instant = published if row.source_ts is None or row.source_ts < 0 else row.source_ts
        row.source_position = f"{instant:020d}"


def _by_dump(message: Message, row: RawRow) -> None:
    dump_id = message.attributes.get(DUMP_ID)
    if dump_id is None:
        raise DecodeError("missing_dump_id", f"a row of a full dump needs the attribute {DUMP_ID}")
    row.source_position = dump_position(dump_id)
