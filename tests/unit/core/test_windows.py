"""Windows tile event time: each instant in exactly one, no gaps, no overlaps."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.clock import from_micros, to_micros, utc_now
from core.windows import due, window_of, windows_between

instants = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(2200, 1, 1),
    timezones=st.just(UTC),
)
sizes = st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=400))


@given(instants, sizes)
def test_an_instant_lies_in_its_window_and_not_in_the_neighbours(instant: datetime, size: timedelta) -> None:
    window = window_of(instant, size)
    assert instant in window
    assert window.end - window.start == size
    assert instant not in window_of(window.end, size)
    assert instant not in window_of(window.start - timedelta(microseconds=1), size)


@given(instants, st.integers(0, 50), st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=2)))
def test_windows_between_cover_the_span_without_gaps(start: datetime, steps: int, size: timedelta) -> None:
    end = start + size * steps / 7
    windows = list(windows_between(start, end, size))
    assume(windows)
    assert windows[0].start <= start
    assert windows[-1].end >= end
    assert all(left.end == right.start for left, right in pairwise(windows))
    assert windows[-1].start < end


def test_an_empty_span_has_no_window() -> None:
    now = utc_now()
    assert list(windows_between(now, now, timedelta(minutes=1))) == []


@given(instants, instants, sizes)
def test_a_stage_is_due_once_a_window(last: datetime, now: datetime, cadence: timedelta) -> None:
    assert due(None, now, cadence)
    assert not due(now, now, cadence)
    later = now >= window_of(last, cadence).end
    assert due(last, now, cadence) == later


@pytest.mark.parametrize("size", [timedelta(0), timedelta(seconds=-1)])
def test_a_window_needs_a_length(size: timedelta) -> None:
    with pytest.raises(ValueError, match="positive length"):
        window_of(utc_now(), size)


@given(instants)
def test_micros_are_exact(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_micros_know_zones_and_refuse_their_absence() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert to_micros(noon) == to_micros(datetime(2026, 1, 1, 10, tzinfo=UTC))
    with pytest.raises(ValueError, match="no time zone"):
        to_micros(datetime(2026, 1, 1))
