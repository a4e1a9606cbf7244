"""Rewriters that are lent trees leave none behind that is not what its text says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlglot
from bqemulator.sql import translator
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery

from devstack.bigquery.shims import apply_shims, kept_generators, parse_cache, plain_nodes
from devstack.bigquery.shims.parse_cache import Trees, looking, trees

# Of each kind that a rewriter reads: some it changes, some it only looks at.
STATEMENTS = [
    "select a / b, safe_divide(a, b), 6 / 2 from t where c = '/'",
    "select safe.parse_json(a), 'safe.' || b from t",
    "select to_json(a), to_json_string(b), struct(1, 'x'), struct(1 as a) from t",
    "create or replace table d.t (a int64 not null, b string) as select 1, s from unnest(['x']) as s with offset as n",
    "select date_add(d, interval 1 day), timestamp_micros(n), last_day(d, week) from d.t join d.u using (a)",
    "select range(date '2024-01-01', null), interval '1-2 3' year to day from t",
    "select format_timestamp('%Ez', s, 'UTC'), parse_timestamp('%Y', y), sha512(b), count(distinct a) from t",
    """merge into d.t using (select 1 as a) as s on t.a = s.a when matched then update set a = s.a / 2
    when not matched then insert (a) values (a)""",
    "select array_agg(a order by b limit 1), string_agg(c), session_user() from unnest(d) as x where a between 1 and n",
    """with one as (select 1 as a) select one.a, json_value(j, '$.a.b'), avg(n) over (partition by k) from one, d.t
    union all select cast(b as int64), 'a' || b, 1.5 from (select * from d.u left join d.v on u.a = v.a)""",
]
SCHEMA = {"d": {"t": {"a": "BIGINT", "n": "DECIMAL(38, 9)", "k": "VARCHAR", "j": "JSON", "d": "VARCHAR[]"}}}


class _NoTrees(Trees):
    """Keeps nothing, so that every text is parsed anew."""

    def keep(self, sql: str, dialect: str, tree: exp.Expr) -> None:
        """Forget it."""


@pytest.fixture
def translate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Translate a statement, with the shortcuts or as the emulator does of itself."""
    apply_shims()

    def translated(sql: str, *, shortcuts: bool) -> str:
        with monkeypatch.context() as patch:
            if not shortcuts:
                patch.setattr(parse_cache, "trees", _NoTrees)
                patch.setattr(kept_generators, "used_up", lambda _: False)
                patch.setattr(plain_nodes, "PLAIN", frozenset())
                patch.setattr(BigQuery.parser_class, "SUPPORTS_IMPLICIT_UNNEST", True)
            return repr(translator.SQLTranslator().translate(sql, schema=SCHEMA))

    return translated


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_translation_is_the_same_without_the_shortcuts(translate: Callable[..., str], sql: str) -> None:
    expected = translate(sql, shortcuts=False)
    assert expected.startswith("Ok(")
    assert translate(sql, shortcuts=True) == expected == translate(sql, shortcuts=True)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_what_is_kept_is_what_its_text_says(translate: Callable[..., str], sql: str) -> None:
    trees.cache_clear()
    translate(sql, shortcuts=True)
    sqlglot.parse_one(sql, read="bigquery")
    for (text, dialect), tree in trees().all():
        [fresh] = sqlglot.parse(text, read=dialect)
        assert repr(tree) == repr(fresh)


def test_a_rewriter_is_lent_the_tree_that_is_kept_and_gives_it_back_unchanged() -> None:
    apply_shims()
    sql = "select a from lent.tree"
    given: list[Any] = []

    def look(text: str) -> str:
        given.append(sqlglot.parse_one(text, read="bigquery"))
        return text

    looking(look)(sql)
    looking(look)(sql)
    assert given[0] is given[1] is not sqlglot.parse_one(sql, read="bigquery")


def _change(tree: exp.Expr) -> None:
    for column in tree.find_all(exp.Column):
        column.set("this", exp.to_identifier("changed"))


def _changing(tree: exp.Expr, text: str) -> str:
    _change(tree)
    return tree.sql("bigquery") + text[:0]


def _writing(tree: exp.Expr, text: str) -> str:
    tree.sql("duckdb")  # which may change it, since it is lent
    return text


def _failing(tree: exp.Expr, text: str) -> str:
    _change(tree)
    raise ValueError(text)


@pytest.mark.parametrize("work", [_changing, _writing, _failing])
def test_a_tree_that_may_have_changed_is_kept_no_longer(work: Callable[[exp.Expr, str], str]) -> None:
    apply_shims()
    sql = f"select a from lent.{work.__name__}"
    lent: list[exp.Expr] = []

    def rewrite(text: str) -> str:
        lent.append(sqlglot.parse_one(text, read="bigquery"))
        return work(lent[-1], text)

    try:
        looking(rewrite)(sql)
    except ValueError:
        assert work is _failing
    assert all(tree is not lent[0] for _, tree in trees().all())
    assert sqlglot.parse_one(sql, read="bigquery").sql() == f"SELECT a FROM lent.{work.__name__}"


@pytest.mark.parametrize(
    "sql",
    [
        "select x from orders, orders.lines as x",
        "select x from d.orders as O cross join o.lines as x left join u using (a)",
        "select x from (select * from t, T.a) as s, s.b.c, d.other join d.more using (k)",
        "select (select max(y) from t.inner_rows as y) from t, t.arr, unnest(t.b) where t.a in (select 1 from u, u.a)",
        "create table d.x as with c as (select * from t, t.arr as a) select * from c join c.d on true",
        "select 1 from t, `t.arr`, `t`.`arr`; select 2 from v, v.w",
    ],
)
def test_arrays_joined_by_name_are_found_as_by_the_parser_itself(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    apply_shims()
    found = sqlglot.parse(sql, read="bigquery")
    assert "SUPPORTS_IMPLICIT_UNNEST" in vars(BigQuery.parser_class)
    assert not BigQuery.parser_class.SUPPORTS_IMPLICIT_UNNEST
    monkeypatch.setattr(BigQuery.parser_class, "SUPPORTS_IMPLICIT_UNNEST", True)
    expected = BigQuery().parser().parse(BigQuery().tokenize(sql), sql)
    assert [repr(tree) for tree in found] == [repr(tree) for tree in expected]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_no_rule_applies_to_a_plain_node(sql: str) -> None:
    apply_shims()
    rules = translator.SQLTranslator()._rules
    for statement in sqlglot.transpile(sql, read="bigquery", write="duckdb"):
        for node in sqlglot.parse_one(statement, read="duckdb").walk():
            assert type(node) not in plain_nodes.PLAIN or not any(rule.applies_to(node) for rule in rules)
