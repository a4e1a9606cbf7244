"""Fixed (tumbling) event-time windows, as in the Beam model.

Windows are half-open, aligned to 1970-01-01 UTC and held as integers of microseconds inside, so that
membership is exact. See "The Dataflow Model" (Akidau et al., VLDB 2015).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.clock import from_micros, to_micros


@dataclass(frozen=True, order=True)
class Window:
    """A half-open interval of event time.

    Attributes:
        start: first instant inside (UTC).
        end: first instant after it (UTC).
    """

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def window_of(instant: datetime, size: timedelta) -> Window:
    """Return the window that `instant` falls into.

    Args:
        instant: an aware datetime.
        size: length of the windows; at least one microsecond.

    Returns:
        The only window of that size that contains `instant`.

    Raises:
        ValueError: when `size` is not positive, or `instant` has no time zone.
    """
    micros = _checked(size)
    start = to_micros(instant) // micros * micros
    return Window(from_micros(start), from_micros(start + micros))


def windows_between(start: datetime, end: datetime, size: timedelta) -> Iterator[Window]:
    """Yield, in order, every window that overlaps `[start, end)`.

    Args:
        start: first instant of interest.
        end: first instant of no interest; nothing is yielded when it is not after `start`.
        size: length of the windows; at least one microsecond.

    Yields:
        Adjacent windows without gaps.

    Raises:
        ValueError: when `size` is not positive, or an instant has no time zone.
    """
    if start >= end:
        return
    window = window_of(start, size)
    while window.start < end:
        yield window
        window = window_of(window.end, size)


def due(last_run: datetime | None, now: datetime, cadence: timedelta) -> bool:
    """Tell whether a stage that runs once a window has a new window to run in.

    Args:
        last_run: when the stage last began; None when it never did.
        now: the present instant.
        cadence: length of the stage's windows.

    Returns:
        True when `now` lies in a later window than `last_run`.

    Raises:
        ValueError: when `cadence` is not positive, or an instant has no time zone.
    """
    return last_run is None or window_of(now, cadence) > window_of(last_run, cadence)


def _checked(size: timedelta) -> int:
    micros = size // timedelta(microseconds=1)
    if micros <= 0:
        raise ValueError(f"a window must have a positive length, not {size}")
    return micros
