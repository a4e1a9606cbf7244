"""Messages that share the stream with the changes and are none: heartbeats, transaction boundaries and the like."""

from typing import Final

from ingest.decode.debezium.envelope import Envelope
from ingest.decode.payload import read_row

_LOGICAL_MESSAGE: Final = "m"
_INSTANTS: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_HEARTBEAT: Final = _INSTANTS
_BOUNDARY: Final = _INSTANTS | {"status", "id", "event_count", "data_collections"}


def is_control(envelope: Envelope, text: bytes) -> bool:
    """Tell whether an event is no change of a row.

    Args:
        envelope: the event.
        text: what it was read from.

    Returns:
        True for heartbeats, transaction boundaries and messages that the application wrote into the log.

    Raises:
        DecodeError: when the text is no JSON.
    """
    if envelope.op is not None:
        # pg_logical_emit_message: a message of the application, not a change of a row.
        return envelope.op == _LOGICAL_MESSAGE
    # Dropping is final, so a control message must be nothing else: an unwrapped row may well have a column ts_ms.
    names = read_row(text).keys()
    if envelope.status in ("BEGIN", "END"):
        return "id" in names and names <= _BOUNDARY
    return "ts_ms" in names and names <= _HEARTBEAT
