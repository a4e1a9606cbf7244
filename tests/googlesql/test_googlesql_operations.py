"""Statements that only the real BigQuery is sent are GoogleSQL too."""

from collections.abc import Callable

import pytest
from dbt_statements import Recording, compiled
from googlesql import Catalog

_JOBS = "`millrace-local`.`region-us`.INFORMATION_SCHEMA.JOBS_BY_USER"


@pytest.fixture
def rendered(recording: Recording) -> Callable[..., str]:
    """Renders SQL with macros."""
    return lambda sql: compiled(recording, sql)


def test_how_the_rows_of_a_merge_divide_is_asked_in_googlesql(rendered: Callable[..., str], catalog: Catalog) -> None:
    # https://cloud.google.com/bigquery/docs/information-schema-jobs
    statistics = "struct<inserted_row_count int64, updated_row_count int64, deleted_row_count int64>"
    made = "create table audit.jobs (job_id string, creation_time timestamp, dml_statistics "
    assert catalog.analyze(f"{made}{statistics})") is None
    join = rendered("{{ audit_dml_rows([{'job_id': 'one'}, {'job_id': none}]) }}")
    assert _JOBS in join
    assert "job_id in ('one')" in join
    query = f"select dml_rows.rows_updated + 0 from unnest([json '{{}}']) as given {join}"
    assert catalog.analyze(query.replace(_JOBS, "audit.jobs")) is None
