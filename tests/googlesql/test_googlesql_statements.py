"""Every statement of every model, test, snapshot and operation is GoogleSQL, by Google's own analyzer."""

import re

import pytest
from dbt.artifacts.resources.types import NodeType
from dbt_statements import OPERATIONS, RESTORED, ROOT, Recording
from googlesql import Catalog

_RUN = (NodeType.Model, NodeType.Test, NodeType.Snapshot)
# What dbt writes to beside the models: nothing of it may go unseen.
_WRITTEN = (
    *("audit.runs", "audit.model_runs", "audit.erasures", "audit.maintenance"),
    *("audit.quality_results", "audit.quality_failures", "audit.quality_scores", "structure.erasures"),
)


def test_every_statement_is_accepted(recording: Recording, catalog: Catalog) -> None:
    refused = {}
    # Unit tests are left to the evaluator, which runs every one and refuses what the analyzer does.
    for statement in (each for each in recording.statements if each.node not in recording.manifest.unit_tests):
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


def test_every_operation_is_seen(recording: Recording) -> None:
    told = [*(ROOT / "macros").rglob("*.sql"), *(ROOT / "docs").rglob("*.md")]
    named = {name for path in told for name in re.findall(r"run-operation (\w+)", path.read_text(encoding="utf-8"))}
    assert named == set(OPERATIONS)
    assert {statement.operation for statement in recording.statements} - {""} == named


def test_the_filter_on_the_erased_is_seen_in_every_structure_model(recording: Recording) -> None:
    asking = {s.node for s in recording.statements if s.erased and "concat(erased.table_name" in s.sql}
    tables = {source.name for source in recording.manifest.sources.values() if source.source_name == "member"}
    assert len(tables) >= 13
    assert {f"model.millrace.str_{table}" for table in tables} - asking == set()


@pytest.mark.parametrize(
    ("form", "what"),
    [
        (r"as names_no_key", "asks which keys it is going to touch"),
        (r"(?s)^create or replace table .* where \(\w+ in \([\d, ]+\)\)", "makes only those of what it merges"),
        (r"(?s)^create or replace table .*as truncation", "and all, as the table is truncated"),
        (r"(?s)^select\s+div\(.*__dbt_tmp`\s+\) as touched", "asks what a truncate has touched"),
        (r"(?s)\bmerge into .*\(DBT_INTERNAL_DEST\.\w+ in \(", "merges into the keys it touches"),
    ],
)
def test_an_increment_into_a_large_table_is_seen_of_every_table(recording: Recording, form: str, what: str) -> None:
    pruned = re.compile(form)
    seen = {s.node for s in recording.statements if s.erased and pruned.search(s.sql)}
    tables = {source.name for source in recording.manifest.sources.values() if source.source_name == "member"}
    assert {f"model.millrace.str_{table}" for table in tables} - seen == set(), what


def test_rows_of_a_past_instant_are_seen_of_every_table_that_is_read_so(recording: Recording) -> None:
    told = [*(ROOT / "dbt_project/models/refined").glob("*.sql"), *(ROOT / "dbt_project/tests").rglob("*.sql")]
    calls = re.compile(r"as_of_rows\(ref\('str_(\w+)'\)")
    read = {(path.stem, table) for path in told for table in calls.findall(path.read_text(encoding="utf-8"))}
    names = {node.unique_id: node.name for node in recording.manifest.nodes.values()}
    seen = {
        (names[statement.node], table)
        for statement in recording.statements
        if names.get(statement.node, "").startswith("ref")
        for table in RESTORED.findall(statement.sql)
    }
    assert len(read) >= 16
    assert read - seen == set()


@pytest.mark.parametrize("table", _WRITTEN)
def test_every_insert_is_seen(recording: Recording, table: str) -> None:
    dataset, name = table.split(".")
    into = re.compile(rf"^(?:insert|merge) into `[^`]+`\.`?{dataset}`?\.`?{name}`?")
    assert any(into.search(statement.sql) for statement in recording.statements)


@pytest.mark.parametrize(
    "form",
    [
        r"^delete from `[^`]+`\.`raw`\.`members`\s+where _ingestion_ts < ",
        r"^delete from `[^`]+`\.`structure`\.`truncates`",
        r"^update `[^`]+`\.`raw`",
        r"^create or replace table `[^`]+`\.`privacy`\.`hash_key`",
        r"from `[^`]+`\.`\w+`\.INFORMATION_SCHEMA\.TABLES",
        r"(?s)^insert into .*quality_failures.*cross join unnest\(failing_keys\)",
        r"select hash_key\.key from ",
        r"(?s)^merge into ",
        # of a table that lacks a column, as its contract has grown
        r"(?s)^create or replace table .*\bnull as annual_income,",
        # of tables of the audit that an older version made
        r"(?s)^alter table `[^`]+`\.`audit`\.`runs`\s+add column if not exists warned int64 options \(description",
        r"(?s)^alter table `[^`]+`\.`audit`\.`quality_results`\s+add column if not exists owner string$",
        # what the project says of a table, and of a seed
        r'(?s)^create or replace table .*OPTIONS\(\s*description="""',
        r'(?s)^alter table `[^`]+`\.`refined`\.`\w+` set OPTIONS\(\s*description="""',
        # how fresh a source is
        r"(?s)max\(_ingestion_ts\) as max_loaded_at.*from `[^`]+`\.`raw`",
    ],
)
def test_every_form_is_seen(recording: Recording, form: str) -> None:
    assert any(re.search(form, statement.sql) for statement in recording.statements)


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
