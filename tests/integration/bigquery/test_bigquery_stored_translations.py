"""A stand-in takes up the translations of the one before it, but where its catalogue says something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from devstack.bigquery import running_bigquery

LONG = "-- as long as what dbt sends: " + "word " * 100 + "\n"
ASKED = LONG + "select avg(amount), 'as it was worked out' from d.t where {} is not null"
INSTANT = "timestamp '2026-01-05 06:00:00.{:06}+00:00'"


@contextmanager
def stand_in(folder: Path) -> Iterator[bigquery.Client]:
    with (
        running_bigquery(translations=folder) as address,
        bigquery.Client(
            project="local-project",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": address.rest_url},
        ) as client,
    ):
        client.create_dataset("d")
        yield client


def asked(client: bigquery.Client, number: int) -> list[Any]:
    [row] = client.query_and_wait(ASKED.format(INSTANT.format(number)))
    return list(row.values())


def test_translations_are_taken_up_unless_the_catalogue_says_something_else(tmp_path: Path) -> None:
    with stand_in(tmp_path) as first:
        first.query_and_wait("create table d.t as select numeric '1.5' as amount")
        exact, text = asked(first, 1)
        assert text == "as it was worked out"
    [path] = tmp_path.glob("*.sqlite")
    with sqlite3.connect(path) as file:
        file.execute("update kept set value = replace(value, 'as it was worked out', 'as the file says')")
    with stand_in(tmp_path) as second:
        second.query_and_wait("create table d.t as select numeric '1.5' as amount")
        assert asked(second, 2) == [exact, "as the file says"]
        second.query_and_wait("create or replace table d.t as select 1.5 as amount")
        other, text = asked(second, 3)
        assert (repr(other), text) == ("1.5", "as it was worked out")
        assert repr(exact) != repr(other)
