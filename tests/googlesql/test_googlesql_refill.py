"""A table that somebody is kept out of is filled anew where it stands, so that it never loses its policies."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pytest
from dbt_statements import Recording, sent_by
from googlesql import Catalog

from core.clients import bigquery_client
from core.settings import load_settings

_MODEL: Final = "ref_fx_rates"
_TABLE: Final = "refined.fx_rates"
_POLICIES: Final = {
    "privacy_row_access": {_MODEL: [{"name": "de", "grantees": ["group:de@x.com"], "filter": "true"}]},
    "privacy_row_access_all": ["serviceAccount:pipeline@x.com"],
}
_MAKES, _REFILLS = "create or replace table", "merge into"

Build = Callable[[Mapping[str, Any]], Sequence[str]]


@pytest.fixture
def build(recording: Recording) -> Build:
    """Build the model with variables, and return what was sent to make its table."""

    def run(variables: Mapping[str, Any]) -> Sequence[str]:
        command = ("run", "--select", _MODEL, "--vars", json.dumps(variables))
        sent = [sql for node, sql in sent_by(recording, *command) if node == f"model.millrace.{_MODEL}"]
        return [sql for sql in sent if sql.startswith((_MAKES, _REFILLS))]

    return run


def _rows(recording: Recording, query: str) -> list[tuple[Any, ...]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in recording.environment.items():
            patch.setenv(name, value)
        with bigquery_client(load_settings()) as client:
            return [tuple(row.values()) for row in client.query_and_wait(query)]


def test_its_rows_are_replaced_in_one_statement(recording: Recording, build: Build, catalog: Catalog) -> None:
    whole = f"select currency_code, rate_date, count(*) from {_TABLE} group by all order by 1, 2"
    before = _rows(recording, whole)
    assert len(before) > 10
    # rows that are to go, to come, and to be there twice no more
    _rows(recording, f"delete from {_TABLE} where currency_code < 'M'")
    _rows(recording, f"insert into {_TABLE} select * from {_TABLE}")
    [statement] = build(_POLICIES)
    assert _rows(recording, whole) == before
    assert statement.startswith(_REFILLS)
    made = next(s.sql for s in recording.statements if s.node.endswith(f".{_MODEL}") and s.sql.startswith(_MAKES))
    assert [catalog.analyze(sql) for sql in (made, statement)] == [None, None]


def test_a_table_that_nobody_is_kept_out_of_is_replaced(build: Build) -> None:
    assert [sql[: len(_MAKES)] for sql in build({})] == [_MAKES]


def test_a_table_whose_columns_change_is_replaced(recording: Recording, build: Build) -> None:
    _rows(recording, f"create or replace table {_TABLE} as select * except (rate_date) from {_TABLE}")
    assert [sql[: len(_MAKES)] for sql in build(_POLICIES)] == [_MAKES]
    assert [sql[: len(_REFILLS)] for sql in build(_POLICIES)] == [_REFILLS]
