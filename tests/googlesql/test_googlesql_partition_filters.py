"""Every statement on raw names partitions, but for those that are told of in docs/design/layout.md."""

import pytest
from dbt_statements import Recording
from partition_filters import unfiltered

# Who asks for all there is: the number of rows, which BigQuery knows, and the view whose readers say how far back.
_READS_ALL = {"model.millrace.str_truncates", "model.millrace.str_quarantine"}


def test_every_other_statement_on_raw_names_partitions(recording: Recording) -> None:
    named = [
        each for each in recording.statements if "`raw`" in each.sql and "information_schema" not in each.sql.lower()
    ]
    found = {each.node: unfiltered(each.sql) for each in named}
    assert len(found) > len(_READS_ALL)
    assert {node: tables for node, tables in found.items() if tables and node not in _READS_ALL} == {}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select 1 from `p`.`raw`.`a`", {"a"}),
        ("select 1 from p.raw.a where _ingestion_ts > timestamp '2026-01-01' and _op = 'x'", set()),
        (
            "select 1 from p.raw.a where _op in (select _op from p.raw.b where _ingestion_ts > timestamp '2026-01-01')",
            {"a"},
        ),
        (
            "select 1 from (select 1 from raw.a where _ingestion_ts > @at) union all select 2 from raw.b",
            {"b"},
        ),
        ("delete from p.raw.a where _op = 'x'", {"a"}),
        ("select 1 from p.structure.a", set()),
    ],
)
def test_what_names_no_partition_is_found(sql: str, tables: set[str]) -> None:
    assert unfiltered(sql) == tables
