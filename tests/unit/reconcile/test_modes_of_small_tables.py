"""What a sample and aggregates say of tables so small, or so plain, that they were once misjudged."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconcile_files import compared_files
from reconcile_tables import column, planned

from reconcile.compare.engine import How
from reconcile.compare.narrowing import widened

_PLAN = planned(column("id", "int64", is_key=True), column("v", "float64"))


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_sample_of_a_small_table_is_all_of_it(rows: int) -> None:
    left, right = ([(n, value) for n in range(rows)] for value in (1.0, 2.0))
    assert compared_files(_PLAN, left, right, how=How("sample", 0.01)).counts.changed == rows
    only_there = compared_files(_PLAN, [], right, how=How("sample", 0.01))
    assert only_there.counts.missing == rows


@given(st.floats(0, 1, exclude_min=True), st.integers(0, 10**12))
def test_a_sample_takes_what_was_asked_for_and_a_hundred_keys_at_least(share: float, rows: int) -> None:
    taken = widened(share, rows)
    assert share <= taken <= 1
    assert taken * rows >= min(rows, 100) * (1 - 1e-9)
    assert taken == share or taken * rows <= 100 * (1 + 1e-9) or rows < 100


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (math.nan, -math.nan)])
def test_aggregates_of_floats_that_are_equal_agree(one: float, other: float) -> None:
    for left, right in permutations(((one, other), (other, other), (one, one)), 2):
        sides = [list(enumerate(values)) for values in (left, right)]
        assert compared_files(_PLAN, *sides).counts.changed == 0
        told = compared_files(_PLAN, *sides, how=How("aggregate")).evidence
        assert told is not None
        assert [measure.name for measure in told.measures if not measure.agrees] == []
