"""A statement is parsed and written as rarely as it can be, and what is kept is never handed out twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from devstack.bigquery.shims import apply_shims


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count how often sqlglot parses, and makes a generator."""
    apply_shims()
    counted: Counter[str] = Counter()
    for name in ("parse", "generator"):
        original = getattr(Dialect, name)

        def counting(*arguments: Any, _name: str = name, _original: Any = original, **options: Any) -> Any:
            counted[_name] += 1
            return _original(*arguments, **options)

        monkeypatch.setattr(Dialect, name, counting)
    return counted


def test_a_text_is_parsed_once_and_every_caller_gets_a_tree_of_its_own(calls: Counter[str]) -> None:
    sql = "select a, b from d.once where a = 'parsed once'"
    first = sqlglot.parse_one(sql, read="bigquery")
    first.find(exp.Column).set("this", exp.to_identifier("changed"))
    second = sqlglot.parse_one(sql, dialect="bigquery")
    assert second.sql("bigquery") == "SELECT a, b FROM d.once WHERE a = 'parsed once'"
    assert calls["parse"] == 1


def test_dialects_and_options_are_not_mixed_up(calls: Counter[str]) -> None:
    assert sqlglot.parse_one("select x[1]", read="duckdb") != sqlglot.parse_one("select x[1]", read="bigquery")
    assert isinstance(sqlglot.parse_one("x", into=exp.Table), exp.Table)


def test_a_generator_is_made_once_and_writes_the_same(calls: Counter[str]) -> None:
    trees = [
        sqlglot.parse_one(sql, read="bigquery")
        for sql in (
            "select cast(a as string), timestamp_diff(b, c, minute) from t /* comment */",
            "create table d.t (a int64 not null options (description = 'x'))",
            "select array(select x from unnest([1, 2]) as x)",
        )
    ]
    before = [tree.sql("duckdb") for tree in trees]
    calls.clear()
    assert [tree.sql("duckdb") for tree in trees] == before
    assert calls["generator"] == 0


def test_a_failed_text_leaves_no_generator_behind(calls: Counter[str]) -> None:
    apply_shims()
    with pytest.raises(ValueError, match="Unsupported"):
        exp.select(exp.Expression(this="broken")).sql("duckdb")
    assert exp.select("1").sql("duckdb") == "SELECT 1"


@pytest.mark.parametrize("module", [executor, interpreter])
def test_a_query_is_not_parsed_to_find_that_it_creates_nothing(module: Any, calls: Counter[str]) -> None:
    for name in ("sync_created_schema", "sync_created_table", "sync_created_view", "sync_dropped_object"):
        getattr(module, name)("select 1 as nothing_is_made_here", "some-project", None)
    assert calls["parse"] == 0
