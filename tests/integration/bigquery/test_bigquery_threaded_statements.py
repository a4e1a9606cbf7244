"""Statements run beside each other, and beside the requests that run none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from google.cloud import bigquery

from devstack.bigquery.shims.statement_heads import words_of
from devstack.bigquery.shims.threaded_statements import may_leave_the_loop

WRITERS = 6
# Seconds of work on any machine: 400 million rows, looked at one by one.
SLOW = """
    with numbers as (select n from unnest(generate_array(1, 20000)) as n)
    select countif(mod(a.n * b.n, 7) = 3) from numbers as a cross join numbers as b
"""


def test_a_request_need_not_wait_for_another_ones_statement(client: bigquery.Client, dataset: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.query_and_wait, SLOW)
        while not slow.running():
            pass
        for _ in range(3):
            client.get_dataset(dataset)
            assert [tuple(row) for row in client.query_and_wait("select 1")] == [(1,)]
        assert not slow.done()
        assert sum(1 for _ in slow.result()) == 1


def test_a_job_that_is_sent_again_while_it_runs_runs_once(client: bigquery.Client, dataset: str) -> None:
    table, job_id = f"{dataset}.once", f"job-of-{dataset}"
    client.query_and_wait(f"create table {table} (counted int64)")
    path = f"/projects/{client.project}/jobs"
    query = {"query": f"insert into {table} (counted) {SLOW}", "useLegacySql": False}
    job = {"jobReference": {"jobId": job_id}, "configuration": {"query": query}}
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(client._connection.api_request, "POST", path, data=job) for _ in range(2)]
        answers = [each.result() for each in sent]
    assert [answer["status"]["state"] for answer in answers] == ["DONE", "DONE"]
    assert client.get_table(table).num_rows == 1


@pytest.mark.parametrize(
    "change",
    [
        "update t set counted = counted + 1 where true",
        "merge t using (select 1 as one) as s on t.one = s.one when matched then update set counted = t.counted + 1",
    ],
)
def test_changes_of_one_row_wait_for_each_other(client: bigquery.Client, dataset: str, change: str) -> None:
    table = f"{dataset}.counters"
    client.query_and_wait(f"create table {table} as select 1 as one, 0 as counted")
    with ThreadPoolExecutor(WRITERS) as pool:
        statement = change.replace("update t ", f"update {table} as t ").replace("merge t ", f"merge {table} as t ")
        for done in [pool.submit(client.query_and_wait, statement) for _ in range(WRITERS)]:
            done.result()
    assert [row["counted"] for row in client.query_and_wait(f"select counted from {table}")] == [WRITERS]


def test_tables_are_made_beside_each_other(client: bigquery.Client, dataset: str) -> None:
    query = "select a, cast(a as string) as b from unnest(generate_array(1, 1000)) as a"
    with ThreadPoolExecutor(WRITERS) as pool:
        names = [f"{dataset}.t{number}" for number in range(WRITERS)]
        made = [pool.submit(client.query_and_wait, f"create or replace table {name} as {query}") for name in names]
        for each in made:
            each.result()
    assert {client.get_table(name).num_rows for name in names} == {1000}


def test_a_fault_in_a_thread_is_told_as_ever(client: bigquery.Client) -> None:
    with pytest.raises(Exception, match="division by zero"):
        client.query_and_wait("select 1 / 0")


@pytest.mark.parametrize(
    ("statement", "may"),
    [
        ("select 1", True),
        ("-- why\nwith a as (select 1) select * from a", True),
        ("create or replace table d.t as select 1", True),
        ("merge d.t using d.s on true when matched then delete", True),
        ("create temp table t as select 1", False),
        ("create snapshot table d.t clone d.s", False),
        ("create schema d", False),
        ("declare a int64", False),
    ],
)
def test_what_belongs_to_a_connection_stays_in_the_loop(statement: str, may: bool) -> None:
    assert may_leave_the_loop(words_of(statement)) is may
