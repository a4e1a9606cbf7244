"""What maintenance counts and deletes is GoogleSQL, in raw and in audit."""

import pytest
from dbt_statements import Recording, compiled
from googlesql import Catalog

STATEMENTS = """
{%- set at = '2026-01-05 00:00:00+00:00' -%}
{%- set raw = {
    'task': 'expire_raw', 'table': 'members', 'condition': "_ingestion_ts < timestamp '" ~ at ~ "'",
    'relation': api.Relation.create(database='millrace-local', schema='raw', identifier='members'),
} -%}
{{ maintenance_count(raw) }};;{{ maintenance_delete(raw) }};;{{ maintenance_forget(raw) }};;
{%- for audit in maintenance_expired() if audit.relation.identifier in ('runs', 'model_runs') -%}
{{ maintenance_count(audit) }};;{{ maintenance_delete(audit) }};;
{%- endfor -%}
"""


@pytest.fixture
def statements(recording: Recording) -> list[str]:
    return [sql.strip() for sql in compiled(recording, STATEMENTS).split(";;") if sql.strip()]


def test_maintenance_is_googlesql(statements: list[str], catalog: Catalog) -> None:
    catalog.add("audit", "runs", {"invocation_id": "string", "started_at": "timestamp"})
    catalog.add("audit", "model_runs", {"invocation_id": "string", "started_at": "timestamp"})
    positions = {"table_name": "string", "_op": "string", "_ingestion_ts": "timestamp", "applied_count": "int64"}
    catalog.add("structure", "truncates", positions)
    assert len(statements) == 3 + 2 * 2
    assert {sql: words for sql in statements if (words := catalog.analyze(sql)) is not None} == {}
    wrong = statements[0].replace("applied_count", "no_such_column")
    assert "no_such_column" in (catalog.analyze(wrong) or "")
