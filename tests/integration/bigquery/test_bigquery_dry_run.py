"""A dry run tells the bytes that BigQuery would bill: columns named, over the partitions that filters leave."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from google.cloud import bigquery

DAYS, ROWS_A_DAY = 10, 6
ROWS = DAYS * ROWS_A_DAY
ID, AT, NAME = 8, 8, 2 + 4


@pytest.fixture(scope="module")
def ten_days(client: bigquery.Client) -> Iterator[str]:
    """A dataset with a table of ten days of six rows each."""
    dataset = f"test_{uuid.uuid4().hex[:12]}"
    client.create_dataset(dataset)
    client.query_and_wait(f"""
        create table {dataset}.t (id int64, name string, happened_at timestamp) partition by date(happened_at) as
        select
            n as id, format('%04d', n) as name,
            timestamp_add(timestamp '2026-01-01', interval 4 * n hour) as happened_at
        from unnest(generate_array(0, {ROWS - 1})) as n
    """)
    client.query_and_wait(f"create view {dataset}.v as select id, name, happened_at from {dataset}.t where id >= 0")
    client.query_and_wait(f"create table {dataset}.changes as select 1 as id, 'abcd' as name")
    yield dataset
    client.delete_dataset(dataset, delete_contents=True)


@pytest.fixture
def bytes_of(client: bigquery.Client, ten_days: str) -> Callable[[str], int]:
    def estimate(sql: str) -> int:
        config = bigquery.QueryJobConfig(dry_run=True, default_dataset=f"{client.project}.{ten_days}")
        return int(client.query(sql, job_config=config).total_bytes_processed)

    return estimate


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id from t", ROWS * ID),
        ("select * from t", ROWS * (ID + AT + NAME)),
        ("select count(*) from t", 0),
        ("select name from (select * from t)", ROWS * NAME),
        ("with everything as (select * from t) select id, name from everything", ROWS * (ID + NAME)),
        ("select a.id from t as a join t as b on a.id = b.id", ROWS * ID),
        ("select id from t where happened_at >= timestamp '2026-01-10'", ROWS_A_DAY * (ID + AT)),
        ("select id from t where happened_at >= timestamp '2026-01-10' and name != ''", ROWS_A_DAY * (ID + AT + NAME)),
        (
            "select id from t where happened_at < timestamp '2026-01-03' or happened_at >= timestamp '2026-01-10'",
            3 * ROWS_A_DAY * (ID + AT),
        ),
        (
            "select id from t where happened_at >= timestamp_sub(timestamp '2026-01-10', interval 10 minute)",
            ROWS_A_DAY * (ID + AT),
        ),
        ("select id from (select * from t) where happened_at >= timestamp '2026-01-10'", ROWS_A_DAY * (ID + AT)),
        ("select id from t where happened_at >= (select max(happened_at) from t)", ROWS * (ID + AT)),
        ("select id from t where happened_at >= timestamp '2026-01-10' or id = 1", ROWS * (ID + AT)),
        ("select name from v", ROWS * (ID + NAME)),
        ("create or replace table u as (select id from t)", ROWS * ID),
        ("insert into t (id) select id from t where happened_at >= timestamp '2026-01-10'", ROWS_A_DAY * (ID + AT)),
        ("delete from t where id = 1", ROWS * (ID + AT + NAME)),
        ("select 1 as nothing", 0),
    ],
)
def test_bytes_are_those_of_columns_and_partitions(bytes_of: Callable[[str], int], sql: str, expected: int) -> None:
    assert bytes_of(sql) == expected


def test_a_merge_reads_all_of_its_target(bytes_of: Callable[[str], int]) -> None:
    using = "(select id, name from changes) as c on t.id = c.id"
    assert (
        bytes_of(f"merge into t using {using} when matched then update set name = c.name")
        == ROWS * (ID + AT + NAME) + ID + NAME
    )


@pytest.fixture(scope="module")
def ranges(client: bigquery.Client, ten_days: str) -> str:
    """A table of three ranges of ten keys each, with two keys outside of them."""
    client.query_and_wait(f"""
        create table {ten_days}.r (id int64, size int64)
        partition by range_bucket(id, generate_array(0, 30, 10)) cluster by id as
        select id, 1 as size from unnest(generate_array(0, 31)) as id
    """)
    return ten_days


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("true", 32),
        ("id between 12 and 15", 10 + 2),
        ("(id between 12 and 15 or id between 20 and 21)", 20 + 2),
        ("id = 5 and size > 0", 10 + 2),
        ("id > 1000", 2),
    ],
)
def test_ranges_are_pruned_but_for_what_lies_outside(
    bytes_of: Callable[[str], int], ranges: str, condition: str, rows: int
) -> None:
    assert bytes_of(f"select id, size from {ranges}.r where {condition}") == rows * 16
    using = f"(select 1 as id) as s on (s.id = r.id) and ({condition.replace('id ', 'r.id ')})"
    assert bytes_of(f"merge into {ranges}.r using {using} when matched then delete") == rows * 16


def test_a_merge_that_looks_for_what_its_source_lacks_reads_all(bytes_of: Callable[[str], int], ranges: str) -> None:
    using = "(select 1 as id) as s on s.id = r.id and r.id < 5"
    assert bytes_of(f"merge into {ranges}.r using {using} when not matched by source then delete") == 32 * 16


def test_a_table_tells_its_ranges(client: bigquery.Client, ranges: str) -> None:
    told = client.get_table(f"{ranges}.r").range_partitioning
    assert (told.field, told.range_.start, told.range_.end, told.range_.interval) == ("id", 0, 30, 10)


def test_what_is_null_takes_no_room(bytes_of: Callable[[str], int], client: bigquery.Client, ten_days: str) -> None:
    client.query_and_wait(f"create table {ten_days}.n (a int64, b string, c bool, d numeric)")
    client.query_and_wait(f"insert into {ten_days}.n (c, d) values (true, 1), (null, null)")
    assert bytes_of("select a, b, c, d from n") == 1 + 16


def test_a_dry_run_changes_nothing(bytes_of: Callable[[str], int], client: bigquery.Client, ten_days: str) -> None:
    assert bytes_of("delete from t where true") > 0
    (row,) = client.query_and_wait(f"select count(*) as counted from {ten_days}.t")
    assert row["counted"] == ROWS
