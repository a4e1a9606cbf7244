"""Mends of statements: what they change, and above all what they leave alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from devstack.bigquery.shims import contracts, time_formats
from devstack.bigquery.shims.alter_statements import NOTHING_LEFT_TO_DO
from devstack.bigquery.shims.alter_statements import rewrite as alter
from devstack.bigquery.shims.grants import Grant, mends, read_grant
from devstack.bigquery.shims.needless_parses import only_if_it_begins
from devstack.bigquery.shims.statement_heads import head_of, words_of
from devstack.bigquery.shims.statements import Mend, Scope, is_single, mended

SCOPE = Scope("some-project", SimpleNamespace())
READER = Grant("some-project", "d", "t", "TABLE", "roles/bigquery.dataViewer", "user:a@example.com")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("grant `roles/bigquery.dataViewer` on table d.t to 'user:a@example.com'", (True, {READER})),
        (
            '/* dbt */ GRANT `roles/bigquery.dataViewer` ON TABLE `some-project`.`d`.`t` TO "user:a@example.com";',
            (True, {READER}),
        ),
        ("revoke `roles/bigquery.dataViewer` on table d.t from 'user:a@example.com'", (False, {READER})),
        (
            "grant `r1`, `r2` on view `p.d.t` to 'user:to@example.com', 'user:from@example.com'",
            (
                True,
                {
                    Grant("p", "d", "t", "VIEW", role, f"user:{name}@example.com")
                    for role in ("r1", "r2")
                    for name in ("to", "from")
                },
            ),
        ),
        (
            "grant `r` on schema d to 'user:a@example.com'",
            (True, {Grant("some-project", "d", "", "SCHEMA", "r", READER.grantee)}),
        ),
    ],
)
def test_grants_are_read(sql: str, expected: tuple[bool, set[Grant]]) -> None:
    assert read_grant(sql, "some-project") == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select 'grant `r` on table d.t to ''user:a''' as sentence",
        "select 'create table t (primary key (a) not enforced)' as sentence",
        "select 'alter table d.t add column a int64' as sentence",
        "-- create, grant and alter\nselect 1",
        "create view d.v as select 1 as a",
        "create table d.t as select 1 as a",
    ],
)
def test_words_in_literals_and_comments_change_nothing(sql: str) -> None:
    assert mended(sql, SCOPE, [contracts.MEND, Mend(("alter",), alter), *mends()]) == sql


@pytest.mark.parametrize(
    "keys",
    [
        "a int64 not null, b string, primary key (a) not enforced",
        "a int64 not null primary key not enforced, b string references d.o (x) not enforced",
        """a int64 not null, b string, constraint k primary key (a) not enforced,
        foreign key (b) references d.o (x) not enforced""",
    ],
)
def test_unenforced_keys_go_and_columns_stay(keys: str) -> None:
    rewritten = mended(f"create table d.t ({keys})", SCOPE, [contracts.MEND])
    assert rewritten == "CREATE TABLE d.t (a INT64 NOT NULL, b STRING)"


def test_a_required_column_of_a_query_refuses_null() -> None:
    sql = (
        "create table d.t (a int64 not null, b string) as ((select x as a, 'primary key (a) not enforced' as b from y))"
    )
    rewritten = mended(sql, SCOPE, [contracts.MEND])
    assert "AS SELECT COALESCE(x, error('Required field a cannot be null')) AS a" in rewritten
    assert "'primary key (a) not enforced' AS b" in rewritten


def test_mends_of_other_words_are_not_even_asked() -> None:
    def never(sql: str, scope: Scope) -> str | None:
        raise AssertionError(sql)

    assert mended("select 1", SCOPE, [Mend(("other",), never)]) == "select 1"


def test_unreadable_statements_are_left_to_the_emulator() -> None:
    assert mended("create table (", SCOPE, [contracts.MEND]) == "create table ("


@pytest.mark.parametrize("sql", ["alter schema d set options (x = 'y')", "alter view d.v set options (x = 'y')"])
def test_options_of_other_objects_are_accepted(sql: str) -> None:
    scope = Scope("p", SimpleNamespace(catalog=SimpleNamespace(get_table=lambda *_: None)))
    if "view" in sql:
        sql = sql.replace("view", "view if exists")
    assert alter(sql, scope) == NOTHING_LEFT_TO_DO


def test_a_format_is_cut_at_the_fraction() -> None:
    assert time_formats.rewrite("select format_timestamp('%F', t)") == "select format_timestamp('%F', t)"
    assert time_formats.rewrite("select '%E*S' as literal") == "SELECT '%E*S' AS literal"
    assert "%E*S" not in time_formats.rewrite("select format_timestamp('%FT%H:%M:%E*SZ', t)")


def test_a_check_runs_only_when_a_statement_begins_as_it_must() -> None:
    guarded = only_if_it_begins(lambda project, sql: f"{project}: {sql}", lambda words: "drop" in words, 1, None)
    assert guarded("p", "/* {} */ -- x\n DROP TABLE t") == "p: /* {} */ -- x\n DROP TABLE t"
    assert guarded("p", "select 'drop table t'") is None


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ('/* {"app": "dbt"} */\n\n  create or replace table `a`.`b`.`c`', {"create", "or", "replace", "table"}),
        ("-- drop\n# drop\nCREATE VIEW v as select 1", {"create", "view"}),
        ("(select 1)", {"select"}),
        ("create\nsnapshot\ntable t clone u", {"create", "snapshot", "table"}),
        ("table_of_mine", set()),
        ("", set()),
        ("/* never ends", set()),
    ],
)
def test_a_statement_is_known_by_its_first_words(sql: str, words: set[str]) -> None:
    assert words_of(sql) == words


def test_the_head_of_a_statement_is_all_but_its_query() -> None:
    options = "partition by date(at) cluster by a options(description='x', labels=[('a', 'b')])"
    made = head_of(f"create or replace table d.t (a int64 not null, at timestamp) {options} as (select a, at from d.u)")
    assert "NOT NULL" in made
    assert "CLUSTER BY a" in made
    assert "labels=[('a', 'b')]" in made
    assert "d.u" not in made
    assert head_of("insert into d.t (a) with x as (select 1 as a) select a from x") == "INSERT INTO d.t (a) SELECT 1"
    for sql in (
        "create table d.t clone d.u",
        "create view d.v as select a from d.t",
        "drop table d.t",
        "no sql at all",
    ):
        assert head_of(sql) == sql


@pytest.mark.parametrize("sql", ["select 1; select 2", "declare a int64; select a", "select 'unended"])
def test_scripts_are_no_single_statements(sql: str) -> None:
    assert not is_single(sql)
    assert is_single("select ';'")
