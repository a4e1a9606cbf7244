"""What the data dictionary says a feature is made from is what the SQL of `ms_member` reads for it."""

from dbt_statements import ROOT, Recording
from sqlglot import exp, parse_one
from sqlglot.lineage import lineage

from devstack.feature_dictionary import DECLARATION, read_features

_DIALECT = "bigquery"


def test_a_feature_is_made_from_the_models_that_its_sql_reads(recording: Recording) -> None:
    features = read_features(ROOT / DECLARATION)
    read = _read(_query(recording))
    # as_of is what the run was told
    assert {feature.name for feature in features if not read[feature.name]} == {"as_of"}
    said = {feature.name: set(feature.sources) for feature in features}
    assert {name: read[name] or {"ms_member"} for name in said} == said


def test_a_source_that_is_read_and_not_told_is_seen() -> None:
    """The control."""
    query = "with a as (select x from refined.member_a), b as (select a.x, c.y from a join refined.member_c c on true)"
    assert _read(f"{query} select x + y as z from b") == {"z": {"ref_member_a", "ref_member_c"}}


def _query(recording: Recording) -> str:
    """Return the select by which the table is made."""
    made = (statement.sql for statement in recording.statements if statement.node == "model.millrace.ms_member")
    (create,) = [tree for sql in made if isinstance(tree := parse_one(sql, dialect=_DIALECT), exp.Create)]
    return create.expression.sql(_DIALECT)


def _read(query: str) -> dict[str, set[str]]:
    """Return the refined models that each column of a query is made from."""
    return {
        column: {f"ref_{leaf.name}" for node in top.walk() if isinstance(leaf := node.expression, exp.Table)}
        for column, top in lineage(None, query, dialect=_DIALECT, trim_selects=False).items()
    }
