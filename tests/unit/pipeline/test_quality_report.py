"""What is made of the rows of the quality engine: verdicts, order, the page and the JSON."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.quality.page import headline, render, score, share
from pipeline.quality.result import Past, QualityReport, RuleResult, Score, Verdict, verdict_of, worst

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = RuleResult(
    rule="str_members_status_known",
    zone="structure",
    table="structure.members",
    column="status",
    kind="one_of",
    dimension="validity",
    severity="error",
    weight=1.0,
    owner="loyalty-data",
    tolerated_share=0.0,
    verdict="passed",
    could_run=True,
    failing_rows=0,
    checked_rows=1_234,
    failing_share=0.0,
    run_id="run-2",
    run_started_at=NOW,
    seconds=0.1,
    description="A status is one of four.",
    message="",
    sql="",
    failing_keys=(),
    history=(Past(NOW - timedelta(days=1), "passed", 0.0), Past(NOW, "passed", 0.0)),
)
BROKEN = replace(
    RULE,
    rule="str_members_key_unique",
    verdict="failed",
    failing_rows=3,
    failing_share=3 / 1_234,
    message="Got 3 results",
    sql="select '<script>alert(1)</script>' as x",
    failing_keys=("1|<b>", "2"),
)
SCORES = (
    Score("structure", "zone", "structure", NOW - timedelta(days=1), 100.0, 2),
    Score("structure", "zone", "structure", NOW, 99.876, 2),
    Score("structure", "table", "structure.members", NOW, 99.876, 2),
    Score("structure", "dimension", "validity", NOW, 100.0, 1),
)


def report(*rules: RuleResult) -> QualityReport:
    return QualityReport("millrace-local", NOW, NOW - timedelta(days=14), rules, SCORES)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("pass", "passed"),
        ("warn", "warned"),
        ("skipped", "skipped"),
        ("fail", "failed"),
        ("error", "failed"),
        ("never heard of", "failed"),
    ],
)
def test_what_is_not_known_to_be_good_counts_as_failed(status: str, verdict: str) -> None:
    assert verdict_of(status) == verdict


@given(st.lists(st.sampled_from(["passed", "warned", "skipped", "failed"])))
def test_the_worst_verdict_of_any_rule_is_that_of_the_report(verdicts: list[Verdict]) -> None:
    found = worst(verdicts)
    assert (found == "failed") == ("failed" in verdicts)
    assert (found == "passed") == (set(verdicts) <= {"passed"})
    assert report(*(replace(RULE, verdict=verdict) for verdict in verdicts)).verdict == found


def test_a_score_is_of_the_latest_result_of_every_rule_whichever_run_asked_it() -> None:
    half = replace(RULE, verdict="warned", failing_share=0.5, weight=3.0, run_started_at=NOW - timedelta(days=2))
    made = report(RULE, half, replace(RULE, table="structure.member_tiers"), replace(RULE, zone="refined"))
    (refined, structure) = made.latest("zone")
    assert (refined.score, refined.rules) == (100.0, 1)
    assert (structure.score, structure.rules) == (100 * (1 + 1.5 + 1) / 5, 3)
    assert structure.run_started_at == NOW
    assert {found.name for found in made.latest("table")} == {"structure.members", "structure.member_tiers"}
    assert [found.score for found in made.past(structure)] == [100.0, 99.876]


def test_a_rule_that_could_not_be_asked_is_neither_passed_nor_part_of_a_score() -> None:
    skipped = replace(RULE, rule="never_asked", verdict="skipped", zone="refined", message="not asked", history=())
    made = report(RULE, skipped)
    assert made.verdict == "skipped"
    assert [found.zone for found in made.latest("zone")] == ["structure"]
    page = render(made)
    assert "<h1>Some rules could not be asked</h1>" in page
    assert page.index('class="card broken"') < page.index("never_asked")


def test_a_rule_that_found_no_row_to_check_is_no_part_of_a_score() -> None:
    empty = replace(RULE, rule="of_nothing", zone="refined", checked_rows=0, message="nothing to check", history=())
    lost = replace(empty, rule="lost_rows", verdict="failed", failing_rows=7, failing_share=1.0, zone="analytics")
    made = report(RULE, empty, lost)
    assert [(found.zone, found.score) for found in made.latest("zone")] == [("analytics", 0.0), ("structure", 100.0)]
    assert (made.vacuous, made.count("passed")) == (1, 2)
    page = render(made)
    assert "<b>1</b> with nothing to check" in page
    assert '<td class="num zero">nothing to check</td>' in page


def test_a_rule_that_could_not_be_run_is_broken_and_claims_no_rows() -> None:
    fault = "Database Error <b>no such column</b>"
    page = render(
        report(replace(BROKEN, could_run=False, severity="warn", failing_rows=1, checked_rows=1, message=fault))
    )
    assert "stops what is built from the table" in page
    assert "<h1>Rules are broken</h1>" in page
    assert "could not be run on structure.members" in page
    assert "1 of 1 rows" not in page
    assert "Database Error &lt;b&gt;" in page


@given(st.floats(0, 1))
def test_a_share_is_shown_as_none_or_all_only_when_it_is(value: float) -> None:
    assert (share(value) == "0 %") == (value == 0)
    assert (share(value) == "100 %") == (value == 1)


@given(st.floats(0, 100))
def test_a_score_is_full_only_when_it_is(value: float) -> None:
    assert (score(value) == "100") == (value == 100)


def test_the_page_says_the_verdict_first_and_needs_nothing_else() -> None:
    page = render(report(BROKEN, RULE), runbook="../quality-failed.md")
    assert page.index(headline(report(BROKEN))) < page.index(RULE.rule)
    assert "<h1>Rules are broken</h1>" in page
    assert page.index('class="card broken"') < page.index("Rules by table")
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == {"../quality-failed.md"}
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert "1|&lt;b&gt;" in page
    assert 'id="failed-only">' in page


def test_a_page_without_failures_has_nothing_to_filter() -> None:
    page = render(report(RULE))
    assert "Every rule holds" in page
    assert 'id="failed-only" disabled' in page


def test_the_json_holds_every_rule_with_its_history() -> None:
    document = json.loads(json.dumps(report(BROKEN, RULE).to_json()))
    assert document["verdict"] == "failed"
    assert document["schema_version"] == 1
    assert [rule["rule"] for rule in document["rules"]] == [BROKEN.rule, RULE.rule]
    assert document["rules"][0]["failing_keys"] == ["1|<b>", "2"]
    assert datetime.fromisoformat(document["rules"][0]["history"][0]["run_started_at"]) == NOW - timedelta(days=1)
