"""The arithmetic: ratios, courses, delays and percentiles, against plain definitions."""

from math import isclose

import pytest
from bench_work import burn, hoard
from hypothesis import given
from hypothesis import strategies as st

from bench.append import course
from bench.ingest import delays, percentile
from bench.measure import Contender, contest
from bench.result import Case, Figure, Result, Run, as_json, ratio

times = st.floats(min_value=1e-3, max_value=1e3)
runs = st.lists(st.builds(Run, st.integers(1, 10**6), times, times), min_size=1, max_size=9)


def case(name: str, *found: Run) -> Case:
    return Case(name, "ours", "", tuple(found))


@given(pairs=st.lists(st.tuples(times, times), min_size=1, max_size=9), factor=st.floats(0.1, 10))
def test_a_slower_machine_changes_no_ratio(pairs: list[tuple[float, float]], factor: float) -> None:
    def compared(slowness: float) -> float:
        one, other = (case("x", *(Run(100, pair[side] * slowness, 1) for pair in pairs)) for side in (0, 1))
        return ratio(one, other, "").value

    assert isclose(compared(1), compared(factor), rel_tol=1e-9)


@given(runs)
def test_a_case_is_as_fast_as_itself(found: list[Run]) -> None:
    one = case("one", *found)
    same = ratio(one, one, "")
    assert same.low == same.value == same.high == 1


@given(st.lists(st.tuples(times, times), min_size=1, max_size=9))
def test_a_ratio_turned_round_is_its_inverse_and_stays_within_its_range(pairs: list[tuple[float, float]]) -> None:
    one, other = (case("x", *(Run(10, pair[side], 1) for pair in pairs)) for side in (0, 1))
    found, turned = ratio(one, other, ""), ratio(other, one, "")
    assert found.low <= found.value <= found.high
    assert isclose(found.low, 1 / turned.high, rel_tol=1e-9)
    if len(pairs) % 2:
        assert isclose(found.value, 1 / turned.value, rel_tol=1e-9)


def test_rounds_are_paired_so_that_a_busy_round_weighs_on_both() -> None:
    ours = case("ours", Run(100, 1, 1), Run(100, 50, 1), Run(100, 1, 1))
    peer = case("peer", Run(100, 2, 1), Run(100, 100, 1), Run(100, 2, 1))
    found = ratio(ours, peer, "")
    assert (found.value, found.low, found.high) == (2, 2, 2)


def test_cases_of_different_rounds_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio(case("one", Run(1, 1, 1), Run(1, 1, 1)), case("other", Run(1, 1, 1)), "")


def test_a_rate_is_the_median_of_the_rounds() -> None:
    assert case("one", Run(100, 1, 9), Run(100, 4, 9), Run(100, 2, 9)).per_cpu_s == 50


@given(st.integers(1, 20), times)
def test_even_appends_have_an_even_course(fifth: int, lap: float) -> None:
    laps = (lap,) * (5 * fifth)
    first, last = course(case("ours", Run(50 * fifth, sum(laps), 1, laps)))
    assert ratio(first, last, "").value == pytest.approx(1)
    assert first.runs[0].items == last.runs[0].items == 10 * fifth


def test_appends_that_grow_dearer_show_in_the_course() -> None:
    laps = tuple(float(number) for number in range(1, 11))
    first, last = course(case("ours", Run(1_000, sum(laps), 1, laps)))
    assert ratio(first, last, "").value == pytest.approx((9 + 10) / (1 + 2))


def test_every_row_of_an_append_waits_for_its_confirmation() -> None:
    assert delays([[1_000, 2_000], [6_000]], [8_000, 20_000]) == [7, 6, 14]


def test_an_append_without_a_confirmation_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        delays([[1], [3]], [9])


@given(st.lists(st.integers(), min_size=1, max_size=300), st.integers(1, 100))
def test_a_percentile_has_that_share_of_the_values_at_or_below_it(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    at_or_below = sum(value <= found for value in values)
    below = sum(value < found for value in values)
    assert 100 * below < percent * len(values) <= 100 * at_or_below


def test_a_document_holds_every_number_of_the_result() -> None:
    one = Case("one", "ours", "does it", (Run(10, 2.0, 3.0), Run(10, 4.0, 5.0)), 64.04)
    other = Case("other", "peer", "does it too", (Run(10, 4.0, 3.0), Run(10, 4.0, 5.0)))
    result = Result("a", "t", "rows", (one, other), (ratio(one, other, "times"),), (Figure("f", 1.5, "ms"),), ("n",))
    found = as_json(result)
    assert found["cases"] == [
        {"name": "one", "kind": "ours", "about": "does it", "per_cpu_s": 3.8, "items": [10, 10],
         "cpu_s": [2.0, 4.0], "wall_s": [3.0, 5.0], "peak_rss_mib": 64.0},
        {"name": "other", "kind": "peer", "about": "does it too", "per_cpu_s": 2.5, "items": [10, 10],
         "cpu_s": [4.0, 4.0], "wall_s": [3.0, 5.0], "peak_rss_mib": None},
    ]  # fmt: skip
    assert found["ratios"] == [
        {"of": "one", "over": "other", "value": 1.5, "low": 1.0, "high": 2.0, "about": "times"},
    ]
    assert (found["figures"], found["notes"]) == ([{"name": "f", "value": 1.5, "unit": "ms"}], ["n"])


def test_a_contest_runs_everybody_once_a_round_and_counts_what_the_work_takes() -> None:
    contenders = (Contender("more", "ours", "", burn), Contender("less", "peer", "", burn))
    rounds: list[int] = []

    def jobs(number: int) -> dict[str, int]:
        rounds.append(number)
        return {"more": 2_000_000, "less": 20_000}

    more, less = contest(contenders, jobs, rounds=2, apart=False)
    assert rounds == [0, 1]
    assert [(one.name, one.kind, len(one.runs), one.peak_rss_mib) for one in (more, less)] == [
        ("more", "ours", 2, None),
        ("less", "peer", 2, None),
    ]
    # A hundred times the work takes more CPU time, on any machine and whatever else it does.
    assert all(a.cpu_s > b.cpu_s > 0 for a, b in zip(more.runs, less.runs, strict=True))


def test_memory_is_that_of_the_contenders_own_process() -> None:
    contenders = (Contender("much", "ours", "", hoard), Contender("little", "peer", "", hoard))
    much, little = contest(contenders, lambda _: {"much": 200, "little": 1}, rounds=1)
    assert much.peak_rss_mib is not None
    assert little.peak_rss_mib is not None
    assert 190 < much.peak_rss_mib - little.peak_rss_mib < 210
