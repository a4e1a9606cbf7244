"""The wait of a micro-batch: within its bounds, shorter as sending gets slower, longest while sending is behind."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.pace import Pace, PaceLimits

LIMITS = PaceLimits(most_s=0.1, least_s=0.02, goal_s=0.15)


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=1))
def test_the_wait_stays_within_its_bounds(notes: list[tuple[float, bool]]) -> None:
    pace = Pace(LIMITS)
    for seconds, is_behind in notes:
        pace.note(seconds, is_behind=is_behind)
        assert LIMITS.least_s <= pace.wait_s <= LIMITS.most_s
    assert pace.sending_s is not None
    assert min(s for s, _ in notes) - 1e-9 <= pace.sending_s <= max(s for s, _ in notes) + 1e-9


def test_quick_sending_leaves_the_longest_wait_and_slow_sending_the_shortest() -> None:
    waits = []
    for seconds in (0.001, 0.05, 0.08, 0.12, 0.5):
        pace = Pace(LIMITS)
        for _ in range(50):
            pace.note(seconds, is_behind=False)
        waits.append(round(pace.wait_s, 3))
    assert waits == [0.1, 0.1, 0.07, 0.03, 0.02]


def test_while_sending_is_behind_batches_grow() -> None:
    pace = Pace(LIMITS)
    pace.note(1.0, is_behind=False)
    assert pace.wait_s == LIMITS.least_s
    pace.note(1.0, is_behind=True)
    assert pace.wait_s == LIMITS.most_s
