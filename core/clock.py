"""Time in UTC, as a value that comes in from outside.

Code that needs "now" takes a `Clock`, so that tests can say what time it is.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the present instant as an aware datetime in UTC."""
    return datetime.now(UTC)


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC, without the rounding of a float.

    Args:
        instant: an aware datetime.

    Returns:
        The exact count, negative before 1970.

    Raises:
        ValueError: when `instant` has no time zone, since its meaning would be a guess.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime that is `micros` microseconds after 1970-01-01.

    Args:
        micros: microseconds since the epoch; negative before 1970.

    Returns:
        An aware datetime in UTC.

    Raises:
        OverflowError: when the instant lies outside the years 1 to 9999.
    """
    return _EPOCH + timedelta(microseconds=micros)
