"""What a report shows of many differences: something of everything that is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_tables import LIMITS, column, compared, planned

from reconcile.compare.ranges import ranges_of
from reconcile.examples import EXAMPLES, examples
from reconcile.read.footers import KeyGroup
from reconcile.read.spill import Spill
from reconcile.result import KINDS, Difference

NAMES = ("a", "b", "c")
PLAN = planned(column("id", "int64", is_key=True), *(column(name, "int64") for name in NAMES))

_flags = st.lists(st.tuples(*(st.booleans() for _ in NAMES)), max_size=30)


def _sides(flags: Sequence[tuple[bool, ...]]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return rows of which the columns that are flagged differ."""
    warehouse: list[tuple[int, ...]] = [(number, 0, 0, 0) for number, _ in enumerate(flags)]
    return warehouse, [(number, *map(int, changed)) for number, changed in enumerate(flags)]


def _columns(found: Difference) -> set[str]:
    return {change.column for change in found.changes}


@settings(max_examples=40, deadline=None)
@given(_flags, st.integers(0, 8))
def test_the_statement_chooses_as_the_definition_does_among_all(flags: list[tuple[bool, ...]], most: int) -> None:
    every = compared(PLAN, *_sides(flags)).sample
    some = compared(PLAN, *_sides(flags), limits=replace(LIMITS, sample=most)).sample
    assert some == examples(every, most)


@settings(max_examples=200, deadline=None)
@given(_flags, st.integers(1, 8))
def test_every_changed_column_is_shown_and_no_more_than_is_asked_or_needed(
    flags: list[tuple[bool, ...]], most: int
) -> None:
    every = [_difference(n, changed) for n, changed in enumerate(flags) if any(changed)]
    shown = examples(every, most)
    assert set().union(*map(_columns, shown)) == set().union(*map(_columns, every))
    assert len(shown) <= max(most, len(NAMES))
    assert len(shown) >= min(most, len(every))
    assert [found for found in every if found in shown] == list(shown)


def _difference(number: int, changed: tuple[bool, ...]) -> Difference:
    [found] = _changed(changed)
    return replace(found, key=(replace(found.key[0], value=str(number)),))


@cache
def _changed(changed: tuple[bool, ...]) -> tuple[Difference, ...]:
    return compared(PLAN, *_sides([changed])).sample


def test_a_fault_of_every_row_hides_no_other() -> None:
    flags = [(True, number == 150, number >= 190) for number in range(200)]
    shown = compared(PLAN, *_sides(flags), limits=replace(LIMITS, sample=10)).sample
    keys = [int(found.key[0].value or "") for found in shown]
    # Up to three of each column, then the first keys; all in the order of the key.
    assert keys == [0, 1, 2, 3, 4, 5, 150, 190, 191, 192]
    assert EXAMPLES == 3


def test_every_kind_is_shown() -> None:
    both = [(n, 0, 0, 0) for n in range(100)]
    warehouse = [*both, (1_000, 0, 0, 0), (1_001, 0, 0, 0), (1_001, 0, 0, 0)]
    snapshot = [(n, 1, 0, 0) for n in range(100)] + [(1_001, 0, 0, 0), (1_002, 0, 0, 0)]
    shown = compared(PLAN, warehouse, snapshot, limits=replace(LIMITS, sample=2)).sample
    assert {found.kind for found in shown} == set(KINDS) - {"in_flight"}
    assert len([found for found in shown if found.kind == "changed"]) == 2


def test_none_is_shown_when_none_is_asked_for() -> None:
    assert compared(PLAN, *_sides([(True, True, True)]), limits=replace(LIMITS, sample=0)).sample == ()


_groups = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(_groups, _groups, st.sets(st.integers(0, 220), min_size=1))
def test_ranges_to_look_up_hold_each_key_once_and_read_little_else(left: Any, right: Any, keys: set[int]) -> None:
    sides = [
        Spill((Path("a.parquet"),), 1, (tuple(KeyGroup(low, low + width, rows) for low, width, rows in side),))
        for side in (left, right)
    ]
    ordered = sorted(keys)
    ranges = ranges_of(PLAN, ordered, sides[0], sides[1])
    assert all(sum(part.low <= key <= part.high for part in ranges) == 1 for key in ordered)
    groups = [group for side in sides for group in side.groups[0] or ()]
    read = sum(part.holds(group) for part in ranges for group in groups)
    needed = sum(group.low <= key <= group.high for key in ordered for group in groups)
    assert len(ranges) == 1 or read <= min(needed, len(groups) / 2)


@pytest.mark.parametrize("key", [1.5, b"x", None])
def test_keys_without_bounds_are_looked_up_among_all(key: Any) -> None:
    [everything] = ranges_of(PLAN, [key], Spill((), 0), Spill((), 0))
    assert (everything.low, everything.high) == (None, None)
