"""Buckets of integer keys: how few rows are left to join, wherever the keys begin and whatever strays."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_files import compared_files
from reconcile_tables import column, planned

from reconcile.compare.checksum import BUCKETS, buckets_for
from reconcile.compare.engine import How

_PLAN = planned(column("id", "int64", is_key=True), column("v", "string"))
_KEYS = st.integers(-(2**63), 2**63 - 1)
_SIDE = st.tuples(_KEYS, _KEYS).map(lambda pair: (min(pair), max(pair)))


def _numbers(bounds: list[tuple[int, int]], keys: list[int | None]) -> list[int]:
    with duckdb.connect() as connection:
        connection.execute("create table t (n integer, c0 bigint)")
        connection.executemany("insert into t values (?, ?)", list(enumerate(keys)))
        statement = f"select {buckets_for(_PLAN, bounds).sql()} from t order by n"
        return [number for (number,) in connection.execute(statement).fetchall()]


@pytest.mark.parametrize("start", [1, 2**60, 2**60 - 100, -20, -(2**63), 2**63 - 300])
@pytest.mark.parametrize("stray", [None, 2**62, -(2**62), 0])
def test_one_changed_row_leaves_few_others_to_join(start: int, stray: int | None) -> None:
    left = [(start + n, "x") for n in range(300)]
    right = [(key, "y" if key == start + 150 else v) for key, v in left] + ([] if stray is None else [(stray, "z")])
    found = compared_files(_PLAN, left, sorted(set(right)), how=How("checksum"))
    assert found.counts.changed == 1
    assert found.evidence is not None
    differing, _, of, *_ = found.evidence.words.split()
    assert int(differing) <= 2
    assert int(of) >= 300


@settings(max_examples=60, deadline=None)
@given(st.lists(_SIDE, min_size=1, max_size=2), st.lists(st.none() | _KEYS, min_size=2, max_size=20))
def test_buckets_are_few_and_in_the_order_of_the_key(sides: list[tuple[int, int]], keys: list[int | None]) -> None:
    ends = [end for side in sides for end in side]
    known = sorted(key for key in [*keys, *ends] if key is not None)
    numbers = _numbers(sides, [None, *known])
    assert numbers[0] == -1
    assert numbers[1:] == sorted(numbers[1:])
    assert set(numbers[1:]) <= set(range(BUCKETS))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**62), st.integers(1, 2**40))
def test_keys_that_both_sides_hold_fill_a_fourth_of_the_buckets_at_least(start: int, length: int) -> None:
    first, last = _numbers([(start, start + length)] * 2, [start, start + length])
    assert last - first >= min(length, BUCKETS // 4) - 1


def test_checksums_can_be_kept_while_keys_are_added_at_the_end() -> None:
    daily = {buckets_for(_PLAN, [(2**60 + 7, 2**60 + 100_000 + day * 100)] * 2) for day in range(300)}
    assert len(daily) == 1
