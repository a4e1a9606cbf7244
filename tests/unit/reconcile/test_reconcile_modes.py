"""Every mode against the oracle: on files scanned where they lie, key range by key range, and on scratch space."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reconcile_files import compared_files
from reconcile_tables import LIMITS, column, kinds, planned
from test_compare_oracle import _cases, _comparable, _oracle, _spelled
from test_reconcile_torture import PAIRS

from core.contracts import DataType
from core.errors import ConfigurationError
from reconcile.compare.engine import Compared, How
from reconcile.compare.narrowing import interval
from reconcile.compare.tree import Leaf, differing, keep, merged, recall
from reconcile.modes import LastRun, choose, keep_run, last_run, recall_run
from reconcile.plans import ComparisonPlan, InFlightPlan, SnapshotPlan
from reconcile.report.words import sentence
from reconcile.result import Measure
from reconcile.rules import Rule

Case = tuple[ComparisonPlan, list[tuple[Any, ...]], list[tuple[Any, ...]]]


@pytest.fixture(autouse=True, scope="module")
def _many_ranges() -> Iterator[None]:
    """Ranges of a few rows, where real ones have hundreds of thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconcile.compare.joins._LEAST_ROWS", 1)
        patch.setattr("reconcile.compare.joins._SHARE", 2**40)
        patch.setattr("reconcile.compare.ranges._LONGEST_OVERLAP", 100.0)
        yield


def _check(case: Case, found: Compared) -> None:
    plan, warehouse, snapshot = case
    expected = _oracle(plan, warehouse, snapshot)
    by_kind = {kind: set(kinds(found).get(kind, set())) for kind in ("missing", "extra", "changed", "duplicated")}
    assert by_kind == {kind: _spelled(plan, expected[kind]) for kind in by_kind}
    counts = found.counts
    assert counts.matched == expected["matched"]
    assert (counts.duplicated_warehouse, counts.duplicated_snapshot) == expected["duplicated_rows"]
    assert (counts.warehouse_rows, counts.snapshot_rows) == (len(warehouse), len(snapshot))
    per_column = Counter(number for columns in expected["changed"].values() for number in columns)
    assert [c.changed for c in found.columns if not c.is_key] == [per_column[n] for n in range(len(plan.values))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_cases(), st.sampled_from([How("typed"), How("checksum"), How("sample", 1.0)]), st.booleans())
def test_what_joins_rows_by_value_finds_exactly_what_the_oracle_finds(case: Case, how: How, in_order: bool) -> None:
    plan, warehouse, snapshot = case
    if in_order:
        # Rows in the order of the key, as a real snapshot has them: key ranges then have bounds.
        warehouse, snapshot = (
            sorted(rows, key=lambda row: repr(row[: len(plan.key)])) for rows in (warehouse, snapshot)
        )
    if how.mode == "checksum":
        # What is doubled alike on both sides is the same rows to a checksum.
        assume(not _doubled_alike(plan, warehouse, snapshot))
    _check((plan, warehouse, snapshot), compared_files(plan, warehouse, snapshot, how=how))


def _doubled_alike(plan: ComparisonPlan, *sides: list[tuple[Any, ...]]) -> bool:
    rows = [Counter(tuple(map(_comparable, row)) for row in side) for side in sides]
    keys = [Counter(row[: len(plan.key)] for row in side.elements()) for side in rows]
    doubled = {key for side in keys for key, times in side.items() if times > 1}
    of_key = [{key: {r: n for r, n in side.items() if r[: len(plan.key)] == key} for key in doubled} for side in rows]
    return any(of_key[0][key] == of_key[1][key] for key in doubled)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_cases())
def test_aggregates_agree_exactly_when_every_column_holds_the_same_values(case: Case) -> None:
    plan, warehouse, snapshot = case
    found = compared_files(plan, warehouse, snapshot, how=How("aggregate"))
    assert found.evidence is not None
    apart = {measure.name.split(" ")[0] for measure in found.evidence.measures if not measure.agrees}
    sides = [[tuple(map(_comparable, row)) for row in rows] for rows in (warehouse, snapshot)]
    expected = {
        column.name
        for number, column in enumerate(plan.columns)
        if Counter(row[number] for row in sides[0]) != Counter(row[number] for row in sides[1])
        # Null arrays and empty ones are both null; a side of nothing but nulls has no checksum, as one without rows.
        and any(row[number] is not None for side in sides for row in side)
        and Counter(row[number] for row in sides[0] if row[number] is not None)
        != Counter(row[number] for row in sides[1] if row[number] is not None)
    }
    assert apart - {"rows"} >= expected
    counted = compared_files(plan, warehouse, snapshot, how=How("count"))
    assert counted.evidence is not None
    assert all(measure.agrees for measure in counted.evidence.measures) == (len(warehouse) == len(snapshot))


@pytest.mark.parametrize("mode", ["typed", "checksum"])
@pytest.mark.parametrize("data_type", PAIRS)
def test_pairs_that_other_tools_get_wrong(data_type: DataType, mode: Any) -> None:
    pairs = PAIRS[data_type]
    plan = planned(column("id", "int64", is_key=True), column("value", data_type))
    left, right = ([(n, pair[side]) for n, pair in enumerate(pairs)] for side in (0, 1))
    found = compared_files(plan, left, right, how=How(mode))
    changed = {int(difference.key[0].value or "") for difference in found.sample}
    assert [pair for n, pair in enumerate(pairs) if (n not in changed) != pair[2]] == []


def test_moved_separators_and_nulls_change_a_checksum() -> None:
    plan = planned(column("id", "int64", is_key=True), column("a", "string"), column("b", "string"))
    left = [(1, "x|y", "z"), (2, "", None), (3, None, "<null>"), (4, "ab", "c"), (5, None, None)]
    right = [(1, "x", "y|z"), (2, None, ""), (3, "<null>", None), (4, "a", "bc"), (5, None, None)]
    found = compared_files(plan, left, right, how=How("checksum"))
    assert (found.counts.changed, found.counts.matched) == (4, 1)
    assert found.evidence is not None
    assert "4 of 5 buckets differ" in found.evidence.words


def test_json_is_parsed_only_where_its_text_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    from reconcile.compare import documents

    real = documents.canonical_documents
    monkeypatch.setattr(documents, "canonical_documents", lambda a, n: (parsed.append(len(a)), real(a, n))[1])
    plan = planned(column("id", "int64", is_key=True), column("j", "json"))
    left = [(n, '{"a": 1.0}') for n in range(50)]
    right = [(n, '{"a": 1.0}' if n < 48 else '{"a":1}' if n < 49 else '{"a":2}') for n in range(50)]
    assert compared_files(plan, left, right).counts.changed == 1
    assert 0 < sum(parsed) <= 8


def test_a_sample_is_the_same_in_every_run_and_its_interval_holds_the_truth() -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "string"))
    rows = 4_000
    left = [(n, "x") for n in range(rows)]
    right = [(n, "y" if n % 20 == 0 else "x") for n in range(rows)]
    limits = LIMITS.__class__(256, 2, 1_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconcile.compare.joins._LEAST_ROWS", 10_000)
        runs = [compared_files(plan, left, right, how=How("sample", 0.25), limits=limits) for _ in range(2)]
    assert runs[0] == runs[1]
    assert all(int(d.key[0].value or 1) % 20 == 0 for d in runs[0].sample)
    assert 700 < runs[0].counts.warehouse_rows < 1_300
    told = runs[0].evidence
    assert told is not None
    assert told.rate_low is not None
    assert told.rate_high is not None
    assert told.rate_low < 0.05 < told.rate_high


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_rate_and_narrows_with_the_sample(found: int, more: int) -> None:
    size = found + more
    told, narrower = interval(found, size), interval(found * 100, size * 100)
    assert 0 <= told.low <= told.rate <= told.high <= 1
    assert size == 0 or narrower.high - narrower.low <= told.high - told.low
    # Nothing found is not nothing there: about 3.8 in n by Wilson.
    assert size == 0 or found or 3 / (size + 4) < told.high <= 4 / (size + 3)


def test_duplicates_without_number_are_counted_and_not_multiplied() -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "int64"))
    left, right = [(None, n) for n in range(3_000)], [(None, n) for n in range(2_000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconcile.compare.joins._LEAST_ROWS", 10_000)
        counts = compared_files(plan, left, right).counts
    assert (counts.duplicated_keys, counts.duplicated_warehouse, counts.duplicated_snapshot) == (1, 3_000, 2_000)


# The tree


def test_trees_differ_where_their_leaves_do() -> None:
    left = {n: Leaf(3, n * 7) for n in range(2_000)}
    assert differing(left, dict(left)) == set()
    right = {**left, 5: Leaf(3, 1), 1_500: Leaf(4, 1_500 * 7), 9_999: Leaf(1, 0)}
    del right[77]
    assert differing(left, right) == {5, 77, 1_500, 9_999}
    halves = [{n: Leaf(1, n) for n in range(10)}, {n: Leaf(2, 10 * n) for n in range(5, 15)}]
    assert merged(halves)[7] == Leaf(3, 77)


def test_what_was_kept_is_recalled_and_what_was_damaged_is_not(tmp_path: Path) -> None:
    path = tmp_path / "state/t.json"
    files = {"a 1": {3: Leaf(2, 2**70)}, "b 2": {-4: Leaf(1, 9)}}
    assert recall(path, "x") == {}
    keep(path, "x", files)
    assert recall(path, "x") == files
    assert recall(path, "another engine") == {}
    path.write_bytes(path.read_bytes().replace(b'"9"', b'"8"'))
    assert recall(path, "x") == {}
    path.write_bytes(b"{")
    assert recall(path, "x") == {}


# The choice


def _sized(rows: int | None) -> ComparisonPlan:
    from dataclasses import replace

    plan = planned(column("id", "int64", is_key=True), column("v", "string"))
    return replace(plan, snapshot=SnapshotPlan((), "parquet", rows, ()))


@pytest.mark.parametrize(
    ("rows", "is_ordered", "last", "mode", "why"),
    [
        (None, None, None, "typed", "nobody says how many rows"),
        (999, None, None, "typed", "999 rows are few"),
        (5_000_000, True, LastRun(10, 0), "typed", "order of the key"),
        (5_000_000, False, None, "typed", "no earlier run"),
        (5_000_000, False, LastRun(10_000_000, 10), "checksum", "0.0001% differed last time"),
        (5_000_000, False, LastRun(100, 10), "typed", "10.0000% differed last time"),
    ],
)
def test_auto_chooses_by_size_order_and_the_last_run(
    rows: int | None, is_ordered: bool | None, last: LastRun | None, mode: str, why: str
) -> None:
    chosen = choose(_sized(rows), "auto", last, is_ordered=is_ordered)
    assert chosen.mode == mode
    assert why in chosen.why
    assert chosen.warehouse_bytes == (None if rows is None else rows * 28)
    assert choose(_sized(rows), "count", last, is_ordered=is_ordered).mode == "count"


@pytest.mark.parametrize("rule", [Rule(relative=0.1), Rule(nan="distinct"), Rule(zero="signed")])
def test_rules_that_checksums_cannot_follow_are_refused_and_never_chosen(rule: Rule) -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "float64", rule=rule))
    with pytest.raises(ConfigurationError, match=r"v .*use the mode typed"):
        compared_files(plan, [(1, 1.0)], [(1, 1.0)], how=How("checksum"))
    assert choose(plan, None, LastRun(10**9, 0), is_ordered=False).mode == "typed"
    flying = planned(column("id", "int64", is_key=True), in_flight=InFlightPlan("t", None))  # type: ignore[arg-type]
    assert "in flight" in choose(flying, None, None, is_ordered=False).why


def test_the_last_run_is_kept(tmp_path: Path) -> None:
    path = last_run(tmp_path / "state", "t")
    assert recall_run(path) is None
    assert recall_run(None) is None
    keep_run(path, LastRun(7, 1))
    assert recall_run(path) == LastRun(7, 1)


def test_a_hidden_measure_may_differ_and_says_so() -> None:
    assert not Measure("m min", "hidden", "hidden", is_equal=False).agrees
    assert Measure("rows", "1", "1").agrees
    assert sentence is not None
