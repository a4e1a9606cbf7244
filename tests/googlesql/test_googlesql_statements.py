"""Every statement of every model, test, snapshot and unit test is GoogleSQL, by Google's own analyzer."""

import pytest
from dbt.artifacts.resources.types import NodeType
from dbt_statements import Recording
from googlesql import Catalog

_RUN = (NodeType.Model, NodeType.Test, NodeType.Snapshot)
_UNREADABLE = ("information_schema", "__tables__")


def test_every_statement_is_accepted(recording: Recording, catalog: Catalog) -> None:
    refused = {}
    for statement in recording.statements:
        if any(name in statement.sql.lower() for name in _UNREADABLE):
            continue
        words = catalog.analyze(statement.sql)
        if words is not None:
            refused[statement.node or statement.sql] = words
    assert refused == {}
    built = {f"{n.schema}.{n.alias}" for n in recording.manifest.nodes.values() if n.resource_type in _RUN[::2]}
    ephemeral = {n.unique_id for n in recording.manifest.nodes.values() if n.config.materialized == "ephemeral"}
    assert built - catalog.tables() <= {
        f"{recording.manifest.nodes[name].schema}.{recording.manifest.nodes[name].alias}" for name in ephemeral
    }


def test_no_node_is_left_out(recording: Recording) -> None:
    nodes = recording.manifest.nodes.values()
    run = {n.unique_id for n in nodes if n.resource_type in _RUN and n.config.materialized != "ephemeral"}
    run |= set(recording.manifest.unit_tests)
    assert run - {statement.node for statement in recording.statements} == set()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("select nope from `millrace-local`.raw.members", "Unrecognized name: nope"),
        ("select 1 = '1'", "No matching signature for operator ="),
        ("select date_diff(current_date(), _ingestion_ts, day) from raw.members", "No matching signature"),
        ("select payload from raw.members group by _key", "neither grouped nor aggregated"),
        ("select * from raw.no_such_table", "Table not found"),
        ("select 1 as", "Syntax error"),
    ],
)
def test_a_wrong_statement_is_refused(catalog: Catalog, wrong: str, words: str) -> None:
    assert words in (catalog.analyze(wrong) or "")


def test_a_table_is_known_once_it_was_made(catalog: Catalog) -> None:
    reads = "select a from `millrace-local`.scratch.t"
    assert "not found" in (catalog.analyze(reads) or "")
    assert catalog.analyze("create or replace table `millrace-local`.scratch.t as select 1 as a") is None
    assert catalog.analyze(reads) is None
    assert catalog.analyze("create or replace table `millrace-local`.scratch.t as select 1 as b") is None
    assert "Unrecognized name: a" in (catalog.analyze(reads) or "")
