"""What a table held at an instant that the service told, by statements and by Storage Read, while it changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types

from devstack.bigquery import running_bigquery

Rows = Callable[[str], list[tuple[Any, ...]]]
Read = Callable[[dt.datetime | None], list[int]]


@pytest.fixture
def read(client: bigquery.Client, read_client: BigQueryReadClient, dataset: str) -> Read:
    """Read the ids of table `t` through a read session, as of an instant."""

    def run(at: dt.datetime | None) -> list[int]:
        wanted = types.ReadSession(
            table=f"projects/{client.project}/datasets/{dataset}/tables/t", data_format=types.DataFormat.ARROW
        )
        if at is not None:
            wanted.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=at)
        session = read_client.create_read_session(parent=f"projects/{client.project}", read_session=wanted)
        parts: list[pa.Table] = [read_client.read_rows(stream.name).to_arrow(session) for stream in session.streams]
        return sorted(value for part in parts for value in part.column("id").to_pylist())

    return run


def _as_of(at: dt.datetime) -> str:
    return f"select id from t for system_time as of timestamp '{at.isoformat()}' order by id"


def test_a_table_that_changes_is_read_as_it_was(rows: Rows, read: Read) -> None:
    rows("create table t as select id, 'a' as v from unnest([1, 2, 3]) as id")
    [(first,)] = rows("select current_timestamp()")
    rows("insert into t (id, v) values (4, 'b')")
    rows("delete from t where id = 1")
    [(second,)] = rows("select current_timestamp() as pinned_at;")
    rows("update t set id = 30 where id = 3")
    rows("alter table t add column w int64")
    assert first < second
    for at, ids in ((first, [1, 2, 3]), (second, [2, 3, 4])):
        assert [id_ for (id_,) in rows(_as_of(at))] == ids
        assert read(at) == ids
    rows("create or replace table t as select 9 as id")
    assert (rows(_as_of(first)), read(first)) == ([(1,), (2,), (3,)], [1, 2, 3])
    assert (rows("select id from t"), read(None)) == ([(9,)], [9])


def test_a_statement_that_fails_leaves_the_instant_and_the_present_as_they_were(rows: Rows) -> None:
    rows("create table t as select 1 as id, 'a' as v")
    [(at,)] = rows("select current_timestamp()")
    rows("insert into t (id, v) values (2, 'b')")
    with pytest.raises(BadRequest):
        rows(_as_of(at).replace("id from", "cast(v as int64) as id from"))
    assert rows(_as_of(at)) == [(1,)]
    assert rows("select id from t order by id") == [(1,), (2,)]


def test_the_oldest_instants_are_let_go_of_and_read_the_present(rows: Rows) -> None:
    rows("create table t as select 1 as id")
    [(oldest,)], *_, [(newest,)] = [rows("select current_timestamp()") for _ in range(9)]
    rows("insert into t (id) values (2)")
    assert rows(_as_of(newest)) == [(1,)]
    assert rows(_as_of(oldest)) == [(1,), (2,)]


def test_what_is_written_while_an_instant_is_held_is_there_after_a_restart(tmp_path: Path) -> None:
    for statement, expected in (
        ("create table d.t as select 1 as id", []),
        ("insert into d.t (id) values (2)", []),
        ("select id from d.t order by id", [(1,), (2,)]),
    ):
        with (
            running_bigquery(data_dir=tmp_path / "kept") as address,
            bigquery.Client(
                project="local-project",
                credentials=AnonymousCredentials(),
                client_options={"api_endpoint": address.rest_url},
            ) as client,
        ):
            client.create_dataset("d", exists_ok=True)
            client.query_and_wait("select current_timestamp()")
            assert [tuple(row) for row in client.query_and_wait(statement)] == expected


def test_an_instant_in_the_future_is_refused(rows: Rows) -> None:
    rows("create table t as select 1 as id")
    with pytest.raises(BadRequest, match="future"):
        rows(_as_of(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)))
