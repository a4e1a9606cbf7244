"""The system views and scripts that dbt-bigquery relies on, and how failures are reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.cloud import bigquery

Rows = Callable[[str], list[tuple[Any, ...]]]


def test_field_paths_name_nested_fields(dataset: str, rows: Rows) -> None:
    rows("create table t (a int64 options (description = 'first'), b struct<x int64, y array<struct<z json>>>)")
    assert rows(
        f"select field_path, data_type, description from `{dataset}`.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS"
        " where table_name = 't' order by field_path"
    ) == [
        ("a", "INT64", "first"),
        ("b", "STRUCT<x INT64, y ARRAY<STRUCT<z STRING>>>", None),
        ("b.x", "INT64", None),
        ("b.y", "ARRAY<STRUCT<z STRING>>", None),
        ("b.y.z", "STRING", None),
    ]


def test_the_table_listing_counts_rows_even_after_dml(dataset: str, rows: Rows) -> None:
    rows("create table t as select 1 as a")
    rows("insert into t (a) values (2), (3)")
    rows("create view v as select * from t")
    listed = rows(
        f"select table_id, type, row_count, timestamp_millis(last_modified_time) > timestamp '2020-01-01' "
        f"from {dataset}.__TABLES__ order by table_id"
    )
    assert listed == [("t", 1, 3, True), ("v", 2, 0, True)]


def test_a_dataset_that_is_not_there_has_no_list_of_tables(client: bigquery.Client, dataset: str) -> None:
    assert list(client.list_tables(dataset)) == []
    with pytest.raises(NotFound):
        list(client.list_tables(f"{dataset}_nowhere"))


def test_system_views_can_be_joined_and_filtered(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create table t (a int64 not null, b string) options (description = 'a \"t\"')")
    joined = f"""
        select tables.table_name, columns.column_name, json_value(options.option_value), views.table_name
        from `{dataset}`.INFORMATION_SCHEMA.TABLES as tables
        join `{dataset}`.INFORMATION_SCHEMA.COLUMNS as columns using (table_catalog, table_schema, table_name)
        left join `{client.project}.{dataset}.INFORMATION_SCHEMA.TABLE_OPTIONS` as options
            on options.table_name = tables.table_name and options.option_name = 'description'
        left join {dataset}.INFORMATION_SCHEMA.MATERIALIZED_VIEWS as views on views.table_name = tables.table_name
        where columns.ordinal_position = 2
    """
    assert rows(joined) == [("t", "b", 'a "t"', None)]
    (created,) = rows(f"select creation_time from {dataset}.INFORMATION_SCHEMA.TABLES")[0]
    assert abs(created - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)


def test_grants_are_kept_until_revoked(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    held = f"""
        select privilege_type, grantee from `region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES
        where object_schema = '{dataset}' and object_name = 't' order by grantee
    """
    rows("create table t as select 1 as a")
    role = "roles/bigquery.dataViewer"
    assert rows(held) == []
    both = f"grant `{role}` on table {dataset}.t to 'user:b@example.com', 'user:a@example.com'"
    assert list(client.query_and_wait(both)) == []
    assert rows(held) == [(role, "user:a@example.com"), (role, "user:b@example.com")]
    client.query_and_wait(f"revoke `{role}` on table {dataset}.t from 'user:b@example.com'")
    assert rows(held) == [(role, "user:a@example.com")]


def test_a_script_collects_partitions_and_replaces_them(dataset: str, rows: Rows) -> None:
    rows("create table t as select date '2024-01-01' as d, 1 as n union all select date '2024-01-02', 2")
    rows(
        f"""
        declare replaced array<date>;
        create or replace table {dataset}.tmp as (
            select date '2024-01-02' as d, 20 as n union all select null, 30 union all select date '2024-01-02', 21
        );
        set (replaced) = (
            select as struct
                -- IGNORE NULLS: as dbt writes it
                array_agg(distinct d ignore nulls)
            from {dataset}.tmp
        );
        merge into {dataset}.t as target using (select * from {dataset}.tmp) as source on false
        when not matched by source and target.d in unnest(replaced) then delete
        when not matched then insert (d, n) values (d, n);
        """
    )
    assert rows("select d, n from t order by n") == [
        (dt.date(2024, 1, 1), 1),
        (dt.date(2024, 1, 2), 20),
        (dt.date(2024, 1, 2), 21),
        (None, 30),
    ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select nonsense from (select 1 as a)", BadRequest),
        ("selec 1", BadRequest),
        ("select 1 / 0", BadRequest),
        ("select * from missing", NotFound),
    ],
)
def test_a_failing_query_raises_on_both_routes(
    client: bigquery.Client, dataset: str, rows: Rows, sql: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        rows(sql)
    with pytest.raises(expected):
        client.query(sql.replace("missing", f"{dataset}.missing")).result()


def test_a_gap_in_the_emulator_fails_at_once_and_says_why(dataset: str, rows: Rows) -> None:
    rows("create table t (a int64) partition by date(no_such_column)")
    with pytest.raises(GoogleAPICallError, match="no_such_column") as error:
        rows(f"select * from {dataset}.INFORMATION_SCHEMA.PARTITIONS")
    assert error.value.code == 501


def test_the_times_of_an_empty_dataset_are_times(rows: Rows, dataset: str) -> None:
    query = f"select count(*) from {dataset}.INFORMATION_SCHEMA.TABLES where creation_time < current_timestamp()"
    assert rows(query) == [(0,)]
