"""Statements that only the real BigQuery is sent are GoogleSQL too."""

from collections.abc import Callable

import pytest
from dbt.artifacts.resources.types import NodeType
from dbt_statements import Recording, compiled
from googlesql import Catalog

_BUILT = (NodeType.Model, NodeType.Snapshot)
_LETTERS = {"data": "bytes", "table_name": "string", "ordering_key": "string", "dead_lettered_at": "timestamp"}
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


def test_an_erasure_is_googlesql_in_every_table(
    recording: Recording, rendered: Callable[..., str], catalog: Catalog
) -> None:
    nodes = [node for node in recording.manifest.nodes.values() if node.resource_type in _BUILT]
    holding = [node for node in nodes if "member_id" in node.columns and node.name != "str_erasures"]
    for node in nodes:
        # snapshots declare no types, and are asked for their members only
        types = {column.name: (column.data_type or "int64").partition("(")[0] for column in node.columns.values()}
        catalog.add(node.schema, node.alias, types)
    catalog.add("audit", "dead_letters", _LETTERS)
    deletes = rendered("{% for _, _, sql in erasure_deletes() %}{{ sql }};;{% endfor %}").split(";;")[:-1]
    tables = rendered("{{ cdc_tables() | join(' ') }}").split()
    notes = rendered("{% for table in cdc_tables() %}{{ erasure_note(table, 7) }};;{% endfor %}").split(";;")[:-1]
    given_away = (
        "{% for table in cdc_tables() %}{{ erasure_release(table) }};;{{ erasure_forget_before(table) }};;{% endfor %}"
    )
    released = rendered(given_away).split(";;")[:-1]
    assert (len(notes), len(released)) == (len(tables), 2 * len(tables))
    assert {sql: words for sql in (*deletes, *notes, *released) if (words := catalog.analyze(sql)) is not None} == {}
    stored = [node for node in holding if node.config.materialized not in ("view", "ephemeral")]
    assert len(deletes) == len(tables) + len(stored) + 1
    assert all(any(f"`{node.schema}`.`{node.alias}`" in sql for sql in deletes) for node in stored)


def test_masks_and_policies_are_googlesql(rendered: Callable[..., str], catalog: Catalog) -> None:
    catalog.add("privacy", "hash_key", {"key": "string"})
    classes = {"email": "email", "phone": "phone", "name": "name", "identifier": "number", "birth_date": "born",
               "location": "latitude", "financial": "income", "address": "line", "free_text": "line"}  # fmt: skip
    types = dict.fromkeys(classes.values(), "string") | {"born": "date", "latitude": "float64", "income": "numeric"}
    catalog.add("refined", "people", types)
    masks = [f"{{{{ privacy_mask('{column}', '{pii}') }}}} as {pii}" for pii, column in classes.items()]
    assert catalog.analyze(rendered(f"select {', '.join(masks)} from refined.people")) is None
    policy = {"name": "germany", "grantees": ["group:crm-de@example.com"], "filter": "line = 'DE'"}
    statement = rendered(f"{{{{ privacy_row_access_policy('refined.people', {policy!r}) }}}}")
    assert catalog.analyze(statement) is None
    assert "grant to ('group:crm-de@example.com')" in statement
    wrong = rendered(f"{{{{ privacy_row_access_policy('refined.people', {policy | {'filter': 'nope'}!r}) }}}}")
    assert "Unrecognized name: nope" in (catalog.analyze(wrong) or "")
