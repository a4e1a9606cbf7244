"""Pairs that other tools get wrong: each must be found equal or different, as the rules say."""

import math
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from reconcile_tables import column, compared, planned

from bench.torture_pairs import BIG, DIFFERENT, EQUAL, NFC, NFD, PAIRS, at
from core.contracts import DataType
from reconcile.rules import Rule


@pytest.mark.parametrize("data_type", PAIRS)
def test_each_pair_is_judged_by_the_default_rules(data_type: DataType) -> None:
    pairs = PAIRS[data_type]
    plan = planned(column("id", "int64", is_key=True), column("value", data_type))
    found = compared(
        plan,
        [(number, left) for number, (left, _, _) in enumerate(pairs)],
        [(number, right) for number, (_, right, _) in enumerate(pairs)],
    )
    changed = {int(difference.key[0].value or "") for difference in found.sample}
    wrong = [pair for number, pair in enumerate(pairs) if (number not in changed) != pair[2]]
    assert wrong == []
    assert found.counts.changed == len(changed)


@pytest.mark.parametrize("data_type", PAIRS)
def test_what_differs_is_also_shown_differently(data_type: DataType) -> None:
    plan = planned(column("id", "int64", is_key=True), column("value", data_type))
    pairs = [(left, right) for left, right, is_equal in PAIRS[data_type] if not is_equal]
    found = compared(plan, [(n, left) for n, (left, _) in enumerate(pairs)], [(n, r) for n, (_, r) in enumerate(pairs)])
    changes = [difference.changes[0] for difference in found.sample]
    assert len(changes) == len(pairs)
    assert all(change.warehouse != change.snapshot for change in changes)


def test_separators_moved_between_columns_are_a_change_in_both() -> None:
    plan = planned(column("id", "int64", is_key=True), column("a", "string"), column("b", "string"))
    found = compared(plan, [(1, "x|y", "z"), (2, "", None)], [(1, "x", "y|z"), (2, None, "")])
    assert [result.changed for result in found.columns] == [0, 2, 2]


def test_keys_that_look_alike_are_not_matched() -> None:
    plan = planned(column("a", "string", is_key=True), column("b", "string", is_key=True))
    warehouse = [("x|y", "z"), (None, "1"), ("", "2"), (NFC, "3"), ("k", "4"), (None, None)]
    snapshot = [("x", "y|z"), ("<null>", "1"), (None, "2"), (NFD, "3"), ("K", "4"), (None, None)]
    counts = compared(plan, warehouse, snapshot).counts
    assert (counts.matched, counts.extra, counts.missing) == (1, 5, 5)


@pytest.mark.parametrize(
    ("data_type", "rule", "pairs"),
    [
        ("string", Rule(case="ignore"), [("ÄB", "äb", EQUAL), ("a", "b", DIFFERENT), ("a", "A ", DIFFERENT)]),
        ("string", Rule(space="trim"), [(" a\u00a0", "a", EQUAL), ("a  b", "a b", DIFFERENT), ("", " ", EQUAL)]),
        ("string", Rule(space="collapse"), [(" a \t\n b ", "a b", EQUAL), ("ab", "a b", DIFFERENT)]),
        ("string", Rule(unicode="nfc"), [(NFC, NFD, EQUAL), ("a", "A", DIFFERENT)]),
        ("string", Rule(null_equivalents=("", "n/a")), [(None, "", EQUAL), ("n/a", "", EQUAL), ("x", "", DIFFERENT)]),
        ("string", Rule(null_equivalents=("it's",)), [(None, "it's", EQUAL), (None, "its", DIFFERENT)]),
        ("int64", Rule(null_equivalents=("0",)), [(None, 0, EQUAL), (None, 1, DIFFERENT)]),
        (
            "int64",
            Rule(absolute=Decimal(1)),
            [(1, 2, EQUAL), (1, 3, DIFFERENT), (-(2**63), 2**63 - 1, DIFFERENT), (None, 0, DIFFERENT)],
        ),
        (
            "numeric",
            Rule(absolute=Decimal("0.01")),
            [
                (Decimal("1.00"), Decimal("1.01"), EQUAL),
                (Decimal("1.00"), Decimal("1.010000001"), DIFFERENT),
                (BIG, BIG.copy_negate(), DIFFERENT),
                (None, Decimal(0), DIFFERENT),
            ],
        ),
        (
            "float64",
            Rule(relative=1e-9),
            [
                (0.1 + 0.2, 0.3, EQUAL),
                (1.0, 1.00001, DIFFERENT),
                (math.inf, 1e308, DIFFERENT),
                (math.inf, math.inf, EQUAL),
                (math.nan, math.nan, EQUAL),
                (math.nan, 1.0, DIFFERENT),
                (0.0, 5e-324, DIFFERENT),
            ],
        ),
        (
            "float64",
            Rule(absolute=Decimal("0.5")),
            [(1.0, 1.5, EQUAL), (1.0, 1.75, DIFFERENT), (1.7e308, -1.7e308, DIFFERENT)],
        ),
        ("float64", Rule(nan="distinct"), [(math.nan, math.nan, DIFFERENT), (1.0, 1.0, EQUAL), (None, None, EQUAL)]),
        ("float64", Rule(zero="signed"), [(-0.0, 0.0, DIFFERENT), (-0.0, -0.0, EQUAL), (0.0, None, DIFFERENT)]),
        (
            "timestamp",
            Rule(precision="millisecond"),
            [(at(1_001), at(1_999), EQUAL), (at(999), at(1_000), DIFFERENT)],
        ),
        ("timestamp", Rule(precision="day"), [(at(0), datetime(2026, 3, 29, tzinfo=UTC), EQUAL)]),
        ("time", Rule(precision="second"), [(time(1, 2, 3, 4), time(1, 2, 3), EQUAL), (time(1), time(2), DIFFERENT)]),
        ("array<string>", Rule(order="ignore"), [(["a", "b"], ["b", "a"], EQUAL), (["a"], ["a", "a"], DIFFERENT)]),
        (
            "array<string>",
            Rule(order="set"),
            [
                (["b", "a"], ["a", "b", "b"], EQUAL),
                (["a"], ["a", "b"], DIFFERENT),
                ([None], [], DIFFERENT),
                (["a", None], ["a"], DIFFERENT),
                ([None, None], [None], EQUAL),
                (None, [], EQUAL),
            ],
        ),
        ("array<int64>", Rule(order="set"), [([2, 1, 2], [1, 2], EQUAL), ([1], [2], DIFFERENT)]),
        ("array<string>", Rule(null_array="distinct"), [(None, [], DIFFERENT), ([], [], EQUAL)]),
        ("json", Rule(numbers="text"), [("1.10", "1.1", DIFFERENT), ('{"b":1.5,"a":2}', '{"a":2,"b":1.5}', EQUAL)]),
        (
            "json",
            Rule(numbers="double"),
            [
                ("0.1", "0.10000000000000000000000000001", EQUAL),
                ("[1]", "[1.0]", EQUAL),
                ('{"a":true}', '{"a":1}', DIFFERENT),
                ("1e400", "1e401", DIFFERENT),
                ("0.1", "0.2", DIFFERENT),
            ],
        ),
    ],
)  # fmt: skip
def test_a_rule_allows_what_it_says_and_no_more(
    data_type: DataType, rule: Rule, pairs: list[tuple[Any, Any, bool]]
) -> None:
    plan = planned(column("id", "int64", is_key=True), column("value", data_type, rule=rule))
    found = compared(plan, [(n, pair[0]) for n, pair in enumerate(pairs)], [(n, p[1]) for n, p in enumerate(pairs)])
    changed = {int(difference.key[0].value or "") for difference in found.sample}
    assert [pair for number, pair in enumerate(pairs) if (number not in changed) != pair[2]] == []


def test_a_rule_on_the_key_decides_what_is_matched_and_what_is_duplicated() -> None:
    rule = Rule(case="ignore", space="trim")
    plan = planned(column("code", "string", is_key=True, rule=rule), column("value", "int64"))
    found = compared(plan, [("A ", 1), ("b", 2), ("c", 3), ("C", 3)], [("a", 1), ("B", 9), ("c", 3)])
    counts = found.counts
    assert (counts.matched, counts.changed, counts.duplicated_keys) == (1, 1, 1)
    # A normalised key cannot be looked up as it stands, so no query pretends to.
    assert all(difference.sql is None for difference in found.sample)


def test_duplicates_are_counted_and_never_multiplied() -> None:
    plan = planned(column("id", "int64", is_key=True), column("value", "int64"))
    found = compared(plan, [(1, 1)] * 300 + [(2, 2), (None, 1), (None, 2)], [(1, 1)] * 200 + [(2, 2)])
    counts = found.counts
    assert (counts.matched, counts.duplicated_keys) == (1, 2)
    assert (counts.duplicated_warehouse, counts.duplicated_snapshot) == (302, 200)
    assert (counts.missing, counts.extra, counts.changed) == (0, 0, 0)
    rows = {part.key[0].value: (part.warehouse_rows, part.snapshot_rows) for part in found.sample}
    assert rows == {"1": (300, 200), None: (2, 0)}
