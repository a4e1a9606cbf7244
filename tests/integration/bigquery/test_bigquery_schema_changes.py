"""Tables that are created and changed: catalogue, storage and system views always agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

Rows = Callable[[str], list[tuple[Any, ...]]]
CONTRACT = """
    create or replace table t (
        id int64 not null options (description = 'the "key"'),
        amount numeric,
        document json,
        at timestamp,
        primary key (id) not enforced
    )
    partition by timestamp_trunc(at, month)
    cluster by id, amount
    options (description = 'of the test', labels = [('zone', 'structure')])
    as (select id, amount, document, at from (
        select 1 as id, '1.123456789' as amount, json '{"a": 1}' as document, timestamp '2024-01-01' as at
    ) as model_subq)
"""


@pytest.fixture
def columns(client: bigquery.Client, dataset: str) -> Callable[[], list[tuple[str, str, str]]]:
    return lambda: [(f.name, f.field_type, f.mode) for f in client.get_table(f"{dataset}.t").schema]


def test_a_contract_keeps_everything_it_declares(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(CONTRACT.replace("'1.123456789'", "numeric '1.123456789'"))
    table = client.get_table(f"{dataset}.t")
    assert [(f.name, f.mode, f.description) for f in table.schema][:2] == [
        ("id", "REQUIRED", 'the "key"'),
        ("amount", "NULLABLE", None),
    ]
    assert table.schema[2].field_type == "JSON"
    assert (table.time_partitioning.field, table.time_partitioning.type_) == ("at", "MONTH")
    assert table.clustering_fields == ["id", "amount"]
    assert (table.description, table.labels) == ("of the test", {"zone": "structure"})
    assert rows("select id, cast(amount as string) from t") == [(1, "1.123456789")]
    assert rows(
        "select column_name, is_nullable, is_partitioning_column, clustering_ordinal_position "
        f"from {dataset}.INFORMATION_SCHEMA.COLUMNS order by ordinal_position"
    ) == [
        ("id", "NO", "NO", 1),
        ("amount", "YES", "NO", 2),
        ("document", "YES", "NO", None),
        ("at", "YES", "YES", None),
    ]


def test_a_required_column_refuses_null_and_the_table_stays_as_it_was(rows: Rows) -> None:
    rows("create table t (id int64 not null, v string, primary key (id) not enforced) as (select 1 as id, 'a' as v)")
    with pytest.raises(BadRequest, match="Required field id cannot be null"):
        rows("create or replace table t (id int64 not null, v string) as (select null as id, 'b' as v)")
    with pytest.raises(BadRequest, match="NOT NULL"):
        rows("insert into t (v) values ('c')")
    assert rows("select * from t") == [(1, "a")]


def test_patch_adds_columns_to_storage_too(
    client: bigquery.Client, dataset: str, rows: Rows, columns: Callable[[], Any]
) -> None:
    rows("create table t as select 1 as id")
    table = client.get_table(f"{dataset}.t")
    table.schema = [
        bigquery.SchemaField("tags", "STRING", mode="REPEATED"),  # not at its end, as a client may send it
        *table.schema,
        bigquery.SchemaField("amount", "NUMERIC", description="in euro"),
        bigquery.SchemaField("nested", "RECORD", fields=[bigquery.SchemaField("x", "INT64")]),
    ]
    client.update_table(table, ["schema"])
    assert [column[0] for column in columns()] == ["id", "tags", "amount", "nested"]
    assert client.get_table(f"{dataset}.t").schema[2].description == "in euro"
    rows("insert into t (id, amount, tags, nested) values (2, 1.5, ['a'], struct(3))")
    assert rows("select id, cast(amount as string), tags, nested.x from t order by id") == [
        (1, None, [], None),
        (2, "1.5", ["a"], 3),
    ]


def test_patch_cannot_drop_a_column(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create table t as select 1 as id, 2 as other")
    table = client.get_table(f"{dataset}.t")
    table.schema = table.schema[:1]
    with pytest.raises(BadRequest, match="other is missing in new schema"):
        client.update_table(table, ["schema"])


def test_patch_of_a_view_describes_its_columns(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create view t as select 1 as id")
    view = client.get_table(f"{dataset}.t")
    view.schema = [bigquery.SchemaField("id", "INT64", description="the key")]
    client.update_table(view, ["schema"])
    assert rows(f"select description from {dataset}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS") == [("the key",)]
    assert rows("select id from t") == [(1,)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            "add column n numeric, add column if not exists id string, add column l array<string>",
            [("id", "INTEGER"), ("v", "STRING"), ("n", "NUMERIC"), ("l", "STRING")],
        ),
        ("drop column v, drop column if exists w", [("id", "INTEGER")]),
        ("alter column id set data type numeric", [("id", "NUMERIC"), ("v", "STRING")]),
        ("rename column v to w", [("id", "INTEGER"), ("w", "STRING")]),
        ("set options (description = 'new', labels = [('a', 'b')])", [("id", "INTEGER"), ("v", "STRING")]),
        ("alter column v set options (description = 'x')", [("id", "INTEGER"), ("v", "STRING")]),
    ],
)
def test_alter_changes_catalogue_and_storage(
    change: str, expected: list[tuple[str, str]], rows: Rows, columns: Callable[[], Any]
) -> None:
    rows("create table t as select 1 as id, 'a' as v")
    assert rows(f"alter table t {change}") == []
    legacy = {"INT64": "INTEGER"}
    assert [(name, legacy.get(kind, kind)) for name, kind, _ in columns()] == expected
    assert len(rows("select * from t")[0]) == len(expected)


def test_alter_keeps_options_and_relaxes_columns(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create table t (id int64 not null)")
    rows("alter table t set options (description = 'new', labels = [('a', 'b')], friendly_name = 'Test')")
    rows("alter table t alter column id drop not null")
    rows("insert into t (id) values (null)")
    table = client.get_table(f"{dataset}.t")
    assert (table.description, table.labels, table.friendly_name) == ("new", {"a": "b"}, "Test")
    assert table.schema[0].mode == "NULLABLE"


def test_a_renamed_table_is_found_by_its_new_name_only(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create table t as select 1 as id")
    rows("alter table t rename to u")
    assert rows("select id from u") == [(1,)]
    with pytest.raises(NotFound):
        client.get_table(f"{dataset}.t")


@pytest.mark.parametrize(
    "statement",
    ["alter table t add column id int64", "alter table t drop column w", "alter table t rename column w to x"],
)
def test_impossible_changes_are_refused(statement: str, rows: Rows) -> None:
    rows("create table t as select 1 as id")
    with pytest.raises(BadRequest, match=r"Column (already exists|not found)"):
        rows(statement)


def test_a_missing_table_cannot_be_altered_unless_one_says_so(rows: Rows) -> None:
    with pytest.raises(NotFound):
        rows("alter table missing add column a int64")
    assert rows("alter table if exists missing add column a int64") == []
    assert rows("alter view if exists missing set options (description = 'x')") == []


def test_tables_of_one_name_in_two_datasets_keep_their_types(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows("create table t as select numeric '2.5' as n, 1 as id")
    other = f"{dataset}_other"
    client.create_dataset(other)
    try:
        rows(f"create table {other}.t as select 1 as id, 'x' as n, 'y' as z")
        sql = f"with a as (select * from t), b as (select * from {other}.t) select a.*, b.*, avg(a.n) over () from a, b"
        ((n, *rest, average),) = rows(sql)
        assert (str(n), rest, str(average)) == ("2.500000000", [1, 1, "x", "y"], "2.500000000")
    finally:
        client.delete_dataset(other, delete_contents=True)


def test_no_change_leaves_a_copy_of_the_table_behind(rows: Rows) -> None:
    rows("create table t as select 1 as id")
    for change in (
        "insert into t (id) values (2)",
        "update t set id = id + 10 where true",
        "delete from t where id = 11",
    ):
        rows(change)
    # With a copy after each change, an hour ago would lie before the first of them, and be refused.
    assert rows("select id from t for system_time as of timestamp_sub(current_timestamp(), interval 1 hour)") == [(12,)]
