"""A statement that comes again is answered from what is there now, whatever its translation was made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

Rows = Callable[[str], list[tuple[Any, ...]]]
INSTANT = "timestamp '2026-01-05 06:00:00.{:06}+00:00'"


@pytest.fixture
def again(rows: Rows) -> Callable[..., Iterator[Any]]:
    """Run a statement with other instants each time, so that nothing but its kind is the same."""
    counted = iter(range(1_000_000))
    return lambda sql: rows(sql.format(INSTANT.format(next(counted))))  # type: ignore[return-value] # rows, one by one


def test_instants_are_not_mixed_up(rows: Rows) -> None:
    for number in range(4):
        one, other = INSTANT.format(number), INSTANT.format(number + 7)
        found = rows(f"select unix_micros({one}), unix_micros({other}), unix_micros({one})")
        base = 1_767_592_800_000_000
        assert found == [(base + number, base + number + 7, base + number)]


def test_columns_that_have_changed_are_noticed(rows: Rows, again: Rows) -> None:
    """The average of a NUMERIC is a NUMERIC, and that of a FLOAT64 a FLOAT64: it depends on the catalogue."""
    asked = "select avg(amount) from t where {} is not null"
    rows("create table t as select numeric '1.5' as amount")
    first = again(asked)[0][0]
    assert repr(first) == repr(again(asked)[0][0])
    rows("create or replace table t as select 1.5 as amount")
    assert isinstance(again(asked)[0][0], float)
    assert not isinstance(first, float)


def test_a_star_follows_the_columns(rows: Rows, again: Rows) -> None:
    rows("create table t as select 1 as a")
    assert again("select * from t where {} is not null") == [(1,)]
    rows("alter table t add column b int64")
    assert again("select * from t where {} is not null") == [(1, None)]


def test_a_view_that_was_replaced_is_noticed(rows: Rows, again: Rows) -> None:
    for number in (1, 2, 3):
        rows(f"create or replace view v as select {number} as a")
        assert again("select a from v where {} is not null") == [(number,)]


def test_a_row_access_policy_is_noticed(client: bigquery.Client, dataset: str, rows: Rows, again: Rows) -> None:
    rows("create table t as select 1 as a")
    assert again("select a from t where {} is not null") == [(1,)]
    rows(f"create row access policy nobody on {dataset}.t grant to ('user:nobody@example.com') filter using (a = 1)")
    assert again("select a from t where {} is not null") == []
    rows(f"drop row access policy nobody on {dataset}.t")
    assert again("select a from t where {} is not null") == [(1,)]


def test_a_wildcard_finds_new_tables(rows: Rows, again: Rows, dataset: str) -> None:
    rows("create table events_1 as select 1 as a")
    for count in (1, 2, 3):
        rows(f"create or replace table events_{count} as select {count} as a")
        found = again(f"select count(*) from `{dataset}.events_*` where {{}} is not null")
        assert found == [(count,)]


def test_a_table_that_is_gone_is_missed(rows: Rows, again: Rows) -> None:
    rows("create table t as select 1 as a")
    assert again("select a from t where {} is not null") == [(1,)]
    rows("drop table t")
    with pytest.raises(NotFound):
        again("select a from t where {} is not null")


def test_temporary_tables_of_dbt_are_not_mixed_up(rows: Rows) -> None:
    rows("create table t as select 0 as id, 'first' as name")
    for number in range(3):
        made = f"t__dbt_tmp{number:012}"
        rows(f"create or replace table {made} as select {number} as id, 'name {number}' as name")
        rows(
            f"merge into t using (select * from {made}) as s on t.id = s.id "
            "when matched then update set name = s.name when not matched then insert (id, name) values (id, name)"
        )
        rows(f"drop table {made}")
    assert rows("select id, name from t order by id") == [(0, "name 0"), (1, "name 1"), (2, "name 2")]


def test_system_views_tell_what_is_there(rows: Rows, again: Rows, dataset: str) -> None:
    for count in range(1, 4):
        rows(f"create table t{count} as select 1 as a")
        found = again(f"select count(*) from {dataset}.INFORMATION_SCHEMA.TABLES where {{}} is not null")
        assert found == [(count,)]


def test_a_merge_with_two_matches_is_refused_also_the_second_time(rows: Rows) -> None:
    rows("create table t as select 1 as id, 0 as n")
    for number in range(2):
        with pytest.raises(BadRequest, match="at most one source row"):
            rows(
                f"merge into t using (select 1 as id, n from unnest([{number}, 7]) as n where "
                f"{INSTANT.format(number)} is not null) as s on t.id = s.id when matched then update set n = s.n"
            )


def test_rows_noted_as_json_are_not_mixed_up(rows: Rows) -> None:
    """As the audit's macros send them; those with an escape are translated each by itself."""
    for noted in ("first", "second", 'third "quoted"', "fourth \\ it's"):
        text = json.dumps([{"name": noted, "count": len(noted)}]).replace("\\", "\\\\").replace("'", "\\'")
        found = rows(
            "select json_value(given, '$.name'), cast(json_value(given, '$.count') as int64) "
            f"from unnest(json_query_array(parse_json('{text}'))) as given"
        )
        assert found == [(noted, len(noted))]
