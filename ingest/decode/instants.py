"""Instants as change events spell them: ISO 8601 text, with or without a zone, or a count since 1970."""

from datetime import UTC, datetime

from core.clock import to_micros
from core.errors import DecodeError
from ingest.decode.payload import check_timestamp

_MICROS_PER_MILLI = 1_000


def read_instant(text: str) -> int:
    """Return the instant a text names.

    Args:
        text: ISO 8601 (https://www.rfc-editor.org/rfc/rfc3339), a space allowed for the `T`; without a zone it is UTC,
            and digits after the sixth of a second are dropped.

    Returns:
        Microseconds since 1970 UTC.

    Raises:
        DecodeError: `invalid_timestamp`, or `timestamp_out_of_range` for what BigQuery cannot hold.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        # The text is not quoted: it may stand where a value of a row should be.
        raise DecodeError("invalid_timestamp", "a timestamp of the event is not ISO 8601") from error
    return check_timestamp(to_micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC)))


def read_millis(value: int | str) -> int:
    """Return the instant of a field that producers write as text or as a count.

    Args:
        value: milliseconds since 1970 UTC, or ISO 8601 text.

    Returns:
        Microseconds since 1970 UTC.

    Raises:
        DecodeError: as `read_instant`.
    """
    return check_timestamp(value * _MICROS_PER_MILLI) if isinstance(value, int) else read_instant(value)
