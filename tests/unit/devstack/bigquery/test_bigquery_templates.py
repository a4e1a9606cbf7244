"""What changes from run to run is taken out of a statement, and put into the next one of its kind."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.bigquery.shims.kept_texts import LastUsed, kept_answer, kept_text
from devstack.bigquery.shims.templates import filled, keeps_all, slotted, template_of

INSTANTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0") + "+00:00"
)
SUFFIXES = st.integers(0, 10**12 - 1).map(lambda number: f"__dbt_tmp{number:012}")
ROWS = st.lists(st.dictionaries(st.text("ab"), st.integers(), min_size=1), min_size=1).map(json.dumps)
VALUES = st.one_of(INSTANTS, SUFFIXES, st.uuids().map(str), ROWS)


@given(st.lists(st.one_of(st.text(), VALUES)).map("".join))
def test_what_was_taken_out_can_be_put_back(text: str) -> None:
    template = template_of(text)
    if template is None:
        assert "\0" in text
    else:
        assert filled(template.text, template.values) == text
        assert slotted(text, template.values) == template.text


@given(st.lists(VALUES, min_size=1, max_size=4, unique=True), st.lists(VALUES, min_size=4, max_size=4, unique=True))
def test_statements_that_differ_in_values_only_are_of_one_kind(some: list[str], others: list[str]) -> None:
    def statement(values: list[str]) -> str:
        return " and ".join(f"a > '{value}' or a < '{value}'" for value in values)

    kept = kept_text(lambda text: f"select {text} -- {text}")
    assert kept(statement(some)) == f"select {statement(some)} -- {statement(some)}"
    assert kept(statement(others)) == f"select {statement(others)} -- {statement(others)}"


def test_equal_values_are_told_apart_from_different_ones() -> None:
    """A rewriter may look whether two values are the same."""
    one, other = (f"2026-01-05 06:00:00.{fraction}+00:00" for fraction in ("000001", "000002"))
    assert template_of(f"'{one}' = '{one}'") != template_of(f"'{one}' = '{other}'")


def test_a_value_that_is_not_passed_on_as_it_is_keeps_a_text_from_being_used_again() -> None:
    calls = []

    def in_words(text: str) -> str:
        calls.append(text)
        return text.replace(" 06:00:00.000001", " at six")

    kept = kept_text(in_words)
    instant = "2026-01-05 06:00:00.000001"
    assert kept(instant) == "2026-01-05 at six"
    assert kept("2026-01-06 06:00:00.000001") == "2026-01-06 at six"
    assert len(calls) == 2
    assert not keeps_all("\0000\0 \0000\0", "\0000\0")


def test_an_instant_that_begins_like_another_keeps_its_own_slot() -> None:
    text = "'2026-01-05 06:00:00.000001' < '2026-01-05 06:00:00.000001+00:00'"
    template = template_of(text)
    assert template is not None
    assert len(template.values) == 2
    assert slotted(text, template.values) == template.text


def test_an_answer_is_given_once_for_each_kind() -> None:
    asked = []
    kept = kept_answer(lambda sql: asked.append(sql) or len(asked))  # type: ignore[func-returns-value] # append counts
    assert [kept(f"select '{uuid.UUID(int=number)}'") for number in (1, 2, 3)] == [1, 1, 1]
    assert kept("select 'something else'") == 2
    assert kept("\0") == 3
    assert kept("\0") == 4


def test_what_was_not_used_for_longest_goes_first() -> None:
    kept: LastUsed[int] = LastUsed(limit=2)
    kept.keep("a", 1)
    kept.keep("b", 2)
    assert kept.get("a") == 1
    kept.keep("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]


@pytest.mark.parametrize(
    "text",
    [
        r"""'[{"a": "\\"b"}]'""",
        """'[{"a": \'it\'}]'""",
        "9999-12-31",
        "timestamp '1970-01-02 00:00:00'",
        "tmp_173535137719",
    ],
)
def test_what_is_written_by_hand_stays(text: str) -> None:
    template = template_of(text)
    assert template is not None
    assert template.values == ()


def test_the_instants_that_dbt_writes_are_taken_out() -> None:
    now = datetime.now(UTC)
    for text in (now.isoformat(), now.strftime("%Y-%m-%d %H:%M:%S.%f+00:00"), f"t__dbt_tmp{now:%H%M%S%f}"):
        template = template_of(text)
        assert template is not None
        assert len(template.values) == 1
