"""Each connector's place in its log, as text whose order is the log's order."""

from collections.abc import Callable, Mapping
from typing import Final

from core.errors import DecodeError
from ingest.decode.debezium.envelope import Source
from ingest.decode.payload import check_timestamp


def position(source: Source) -> str:
    """Return the place of a change in its source's log.

    Args:
        source: the event's source block.

    Returns:
        Text; comparing two of one connector compares their places.

    Raises:
        DecodeError: `unknown_connector` or `missing_position`.
    """
    read = POSITIONS.get(source.connector)
    if read is None:
        raise DecodeError("unknown_connector", f"positions of connector {source.connector!r} cannot be ordered yet")
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
    if source.lsn is None:
        raise DecodeError("missing_position", "the event has no source.lsn: its place in the log is unknown")
    return f"{source.lsn:020d}"


POSITIONS: Final[Mapping[str, Callable[[Source], str]]] = {
    "postgresql": _postgresql,
}
"""How each connector's position becomes text, by the connector's name."""
