"""Thresholds: what passes, what does not, and what each decision rests on."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reconcile.conclusions import Decision
from reconcile.gates import decided
from reconcile.policy import Alert, Limit, Partition, Thresholds, parse_limit
from reconcile.report.words import headline, sentence
from reconcile.result import (
    SCHEMA_VERSION,
    ColumnResult,
    ComparisonResult,
    Counts,
    Mode,
    RunResult,
    SnapshotId,
    Timing,
    Verdict,
    Versions,
)


def _found(verdict: Verdict = "different", counts: Counts | None = None, mode: Mode = "typed") -> ComparisonResult:
    return ComparisonResult(
        name="things",
        contract=None,
        owner=None,
        verdict=verdict,
        reason="gone" if verdict == "unreadable" else None,
        counts=counts,
        columns=(ColumnResult("note", "note", "string", False, "exact", counts.changed if counts else 0),),
        not_compared=(),
        sample=(),
        differences_file=None,
        inputs=None,
        timing=Timing(0, 0),
        mode=mode,
    )


def _outcome(found: ComparisonResult, thresholds: Thresholds | None, not_run: tuple[str, ...] = ()) -> RunResult:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    snapshot, versions = SnapshotId("s3://b", "a", at), Versions("0", "1", "2", "3")
    run = RunResult(SCHEMA_VERSION, "r", found.verdict, at, 1.0, "p", snapshot, (found,), not_run, versions)
    return decided(run, {"things": thresholds} if thresholds else {})


def _limits(**limits: object) -> Thresholds:
    """Return thresholds as YAML has them."""
    return Thresholds.model_validate(limits)


FEW = Counts(warehouse_rows=10_000, snapshot_rows=10_001, matched=9_990, changed=10, missing=1)


@pytest.mark.parametrize(
    ("in_flight", "thresholds", "outcome"),
    [
        (100, None, "passed"),  # a tenth of all keys
        (101, None, "failed"),
        (101, Thresholds(), "failed"),
        (101, _limits(differences="50%"), "failed"),  # they are no differences
        (999, _limits(in_flight="100%"), "passed"),
        (5, _limits(in_flight=4), "failed"),
    ],
)
@pytest.mark.parametrize("changed", [0, 1])
def test_where_too_many_rows_are_in_flight_nothing_passes(
    in_flight: int, thresholds: Thresholds | None, outcome: str, changed: int
) -> None:
    counts = Counts(warehouse_rows=1_000, snapshot_rows=1_000, matched=1_000 - in_flight - changed, changed=changed)
    found = _found("different" if changed else "equal", replace(counts, in_flight=in_flight))
    if changed:
        thresholds = (thresholds or Thresholds()).model_copy(update={"changed": parse_limit(1)})
    run = _outcome(found, thresholds)
    assert run.outcome == outcome
    assert [d.measured for d in run.comparisons[0].decisions if d.measure == "in_flight"] == [in_flight]
    beyond = "may be in flight" in sentence(run.comparisons[0])
    assert beyond == (outcome == "failed")
    assert (headline(run) == "Too many rows are in flight to tell") == (beyond and not changed)


@pytest.mark.parametrize(
    ("thresholds", "outcome"),
    [
        (None, "failed"),
        (Thresholds(), "failed"),
        (_limits(changed=10, missing=1), "passed"),
        (_limits(changed="0.1%", missing=1), "passed"),
        (_limits(changed=10), "failed"),  # nothing may be missing
        (_limits(changed=9, missing=1), "failed"),  # one too many
        (_limits(differences=11), "passed"),  # all together
        (_limits(differences=11, missing=0), "failed"),  # and this one by itself
        (_limits(differences="1%", columns={"note": 9}), "failed"),  # a column
        (_limits(differences="1%", columns={"note": 10}), "passed"),  # a column
    ],
)
def test_differences_pass_only_within_every_threshold(thresholds: Thresholds | None, outcome: str) -> None:
    run = _outcome(_found(counts=FEW), thresholds)
    assert (run.outcome, run.comparisons[0].outcome) == (outcome, outcome)
    assert run.verdict == "different"


def test_a_decision_says_what_it_rests_on() -> None:
    [comparison] = _outcome(_found(counts=FEW), _limits(differences="0.05%")).comparisons
    assert comparison.decisions == (Decision("differences", "0.05%", 11, 11 / 10_001, holds=False),)


def test_what_is_unreadable_or_left_out_never_passes() -> None:
    generous = _limits(differences="100%")
    assert _outcome(_found("unreadable"), generous).outcome == "failed"
    equal = Counts(warehouse_rows=1, snapshot_rows=1, matched=1)
    assert _outcome(_found("equal", equal), None).outcome == "passed"
    assert _outcome(_found("equal", equal), None, not_run=("more",)).outcome == "failed"
    # By an aggregate no key is counted, so that no limit of keys can excuse it.
    assert _outcome(_found(counts=Counts(10, 11), mode="count"), generous).outcome == "failed"


def test_a_sample_tells_shares_and_not_numbers_of_keys() -> None:
    of_sample = Counts(warehouse_rows=100, snapshot_rows=100, matched=99, changed=1)
    assert _outcome(_found(counts=of_sample, mode="sample"), _limits(changed="1%")).outcome == "passed"
    assert _outcome(_found(counts=of_sample, mode="sample"), _limits(changed=5)).outcome == "failed"


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_limit_of_keys_holds_up_to_itself(limit: int, found: int, of: int) -> None:
    assert parse_limit(limit).holds(found, of) == (found <= limit)


@pytest.mark.parametrize("bad", [-1, True, "1", "101%", "-1%", "%", None, 0.5])
def test_a_limit_is_keys_or_a_share(bad: object) -> None:
    with pytest.raises(ValueError, match="must be a number of keys"):
        parse_limit(bad)


def test_limits_and_partitions_are_checked_as_they_are_read() -> None:
    assert parse_limit("0.5 %") == Limit("0.5 %", share=0.005)
    assert parse_limit("0%").holds(0, 0)
    assert not parse_limit("0%").holds(1, 10)
    for wrong in ({"column": "a b"}, {"column": "a", "by": "week"}):
        with pytest.raises(ValidationError):
            Partition.model_validate(wrong)
    with pytest.raises(ValidationError):
        Alert.model_validate({"webhook_variable": "https://example.com/secret"})
