"""Likely causes: told where the pattern is plain, and never from chance or with a value in them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.causes import column_cause, merged, missing_cause
from reconcile.conclusions import Cause

AT = datetime(2026, 3, 28, 21, 17, 5, 123_456)
HOUR = timedelta(hours=1)


def _told(data_type: Any, *pairs: tuple[Any, Any]) -> tuple[str, str] | None:
    cause = column_cause("c", data_type, pairs)
    return None if cause is None else (cause.name, cause.words)


@pytest.mark.parametrize(
    ("data_type", "pairs", "expected"),
    [
        (
            "timestamp",
            [(AT + n * HOUR + HOUR, AT + n * HOUR) for n in range(4)],
            ("time zone shift", "the warehouse is 1 h ahead"),
        ),
        (
            "timestamp",
            [(AT + n * HOUR + (1 + n % 2) * HOUR, AT + n * HOUR) for n in range(8)],
            ("time zone shift", "the warehouse is 1 h ahead or an hour beside it (summer time)"),
        ),
        ("datetime", [(AT - 5.5 * HOUR, AT)] * 3, ("time zone shift", "the warehouse is 5 h 30 min behind")),
        (
            "timestamp",
            [(AT.replace(microsecond=0) - n * HOUR, AT - n * HOUR) for n in range(3)],
            ("truncation", "cut to seconds in the warehouse"),
        ),
        (
            "timestamp",
            [(AT, AT.replace(microsecond=123_000))] * 3,
            ("truncation", "cut to milliseconds in the snapshot"),
        ),
        (
            "timestamp",
            [(AT - n * timedelta(hours=7, seconds=n), AT) for n in range(1, 5)],
            ("lag", "the warehouse holds an older version of the rows"),
        ),
        (
            "date",
            [(date(2026, 1, n), date(2026, 1, n + 1)) for n in range(1, 5)],
            ("time zone shift", "the warehouse is -1 day"),
        ),
        (
            "string",
            [("Anna ", "Anna"), ("Bo  b", "Bo b"), (" C", "C")],
            ("white space", "the same but for white space"),
        ),
        ("string", [("ANNA", "anna"), ("BOB", "bob"), ("ÄGE", "äge")], ("letter case", "the same but for letter case")),
        ("string", [("é", "e\u0301")] * 3, ("unicode form", "the same but for the Unicode normalization form")),
        (
            "string",
            [("7", "007"), ("80", "080"), ("0", "000")],
            ("trimmed zeros", "leading zeros are gone in the warehouse"),
        ),
        (
            "string",
            [("1.50", "1.5"), ("2.00", "2.0"), ("3.10", "3.1")],
            ("trimmed zeros", "trailing zeros are gone in the snapshot"),
        ),
        (
            "string",
            [("abcd", "abcdef"), ("wxyz", "wxyz!"), ("1234", "1234-5")],
            ("truncation", "cut after 4 characters in the warehouse"),
        ),
        (
            "string",
            [("Ã©t", "ét"), ("Ã¼", "ü"), ("Ã±a", "ña")],
            ("wrong character set", "UTF-8 was read as latin-1 in the warehouse"),
        ),
        (
            "string",
            [(None, "a"), (None, "b"), (None, "c")],
            ("lost values", "null in the warehouse, a value on the other side"),
        ),
        ("string", [("", None)] * 3, ("null and empty", "null in the snapshot, empty on the other side")),
        (
            "numeric",
            [(Decimal("1.24"), Decimal("1.239")), (Decimal("2.5"), Decimal("2.498")), (Decimal(3), Decimal("2.999"))],
            ("rounding", "rounded in the warehouse"),
        ),
        (
            "numeric",
            [
                (Decimal("1.239"), Decimal("1.23")),
                (Decimal("2.498"), Decimal("2.49")),
                (Decimal("7.999"), Decimal("7.99")),
            ],
            ("truncation", "decimals cut in the snapshot"),
        ),
        (
            "numeric",
            [(Decimal(n * 100), Decimal(n)) for n in range(1, 5)],
            ("unit", "the warehouse is 100 times the snapshot"),
        ),
        ("float64", [(1.5, -1.5), (2.5, -2.5), (3.0, -3.0)], ("sign", "the sign is turned round")),
        (
            "int64",
            [(n, n + 2**32 * n) for n in range(1, 5)],
            ("overflow", "apart by a multiple of 2^32: one side kept 32 bits"),
        ),
        ("array<int64>", [([1, 2], [2, 1])] * 3, ("order", "the elements are the same in another order")),
        (
            "array<string>",
            [(["a", "a"], ["a"])] * 3,
            ("doubled elements", "the elements are the same but for repeated ones"),
        ),
        # Nothing plain: too few rows, several patterns, or a type that has none.
        ("string", [("A", "a"), ("B", "b")], None),
        ("string", [("A", "a"), ("B", "b"), ("xyz", "q"), ("b ", "b")], None),
        ("timestamp", [(AT + n * timedelta(minutes=7), AT) for n in range(1, 5)], None),
        ("float64", [(float("nan"), 1.0)] * 3, None),
        ("bool", [(True, False)] * 3, None),
        ("int64", [], None),
    ],
)
def test_a_plain_pattern_is_named(data_type: Any, pairs: list[tuple[Any, Any]], expected: Any) -> None:
    assert _told(data_type, *pairs) == expected


def test_one_row_in_ten_may_be_of_another_kind() -> None:
    shifted = [(AT + HOUR + n * timedelta(days=1), AT + n * timedelta(days=1)) for n in range(9)]
    cause = column_cause("at", "timestamp", [*shifted, (AT + timedelta(days=90), AT)])
    assert cause == Cause("time zone shift", "at", "the warehouse is 1 h ahead", 9, 10)
    assert column_cause("at", "timestamp", [*shifted[:8], (AT + timedelta(days=90), AT), (None, AT)]) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=20, max_size=40), st.text(min_size=20, max_size=40)), max_size=8))
def test_no_cause_repeats_a_value(pairs: list[tuple[str, str]]) -> None:
    told = column_cause("c", "string", [pair for pair in pairs if pair[0] != pair[1]])
    assert told is None or not any(value in told.words for pair in pairs for value in pair)


def test_missing_rows_that_changed_just_before_the_snapshot_are_late() -> None:
    taken_at = AT.replace(tzinfo=UTC)
    newest = [AT - n * timedelta(minutes=20) for n in range(4)]
    assert missing_cause(newest, taken_at) == Cause(
        "lag",
        None,
        "the missing rows changed in the last 1 h before the snapshot: they may still be on their way",
        4,
        4,
    )
    assert missing_cause([*newest, AT - timedelta(days=3)], taken_at) is None
    assert missing_cause([None] * 5, taken_at) is None
    assert missing_cause(newest[:2], taken_at) is None


def test_causes_of_parts_add_up() -> None:
    late = Cause("lag", None, "late", 3, 4)
    case = Cause("letter case", "name", "the same but for letter case", 25, 25)
    assert merged([late, case, late]) == (Cause("lag", None, "late", 6, 8), case)
