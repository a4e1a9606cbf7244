"""Batches hold everything once, in order, and fit a request each; none is smaller than it must be."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.batches import MOST_BYTES, MOST_MESSAGES, batches


@given(st.lists(st.integers(0, 40)), st.integers(1, 5), st.integers(1, 60))
def test_batches_are_full_and_never_too_full(sizes: list[int], most: int, most_bytes: int) -> None:
    cut = list(batches(sizes, int, most=most, most_bytes=most_bytes))
    assert [size for batch in cut for size in batch] == sizes
    for batch in cut:
        assert 0 < len(batch) <= most
        assert sum(batch) <= most_bytes or len(batch) == 1
    for batch, after in pairwise(cut):
        assert len(batch) == most or sum(batch) + after[0] > most_bytes


def test_they_keep_to_the_limits_of_pubsub() -> None:
    assert [len(batch) for batch in batches([1] * 2_500, int)] == [MOST_MESSAGES, MOST_MESSAGES, 500]
    assert [len(batch) for batch in batches([MOST_BYTES] * 2, int)] == [1, 1]
