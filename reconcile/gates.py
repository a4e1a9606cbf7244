"""Thresholds applied: whether what was found passes, each decision with what it rests on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconcile.conclusions import Decision, Outcome
from reconcile.policy import IN_FLIGHT, NONE_AT_ALL, Limit, Thresholds
from reconcile.result import ComparisonResult, Counts, RunResult

_KINDS: Final[Mapping[str, Callable[[Counts], int]]] = {
    "missing": lambda counts: counts.missing,
    "extra": lambda counts: counts.extra,
    "changed": lambda counts: counts.changed,
    "duplicated": lambda counts: counts.duplicated_keys,
}


def decided(result: RunResult, thresholds: Mapping[str, Thresholds]) -> RunResult:
    """Return a run with its decisions and outcomes.

    Args:
        result: the run.
        thresholds: thresholds by the name of the comparison; where there are none, every difference fails,
            and so do too many rows in flight.

    Returns:
        The run. What is unreadable never passes, and neither does a run that left comparisons out.
    """
    comparisons = tuple(_decided(found, thresholds.get(found.name)) for found in result.comparisons)
    passes = not result.not_run and all(found.outcome == "passed" for found in comparisons)
    return replace(result, comparisons=comparisons, outcome=_outcome(passes=passes))


def _decided(found: ComparisonResult, thresholds: Thresholds | None) -> ComparisonResult:
    if found.counts is None:
        return replace(found, decisions=(), outcome=_outcome(passes=found.verdict == "equal"))
    in_flight = tuple(_in_flight(found, found.counts, thresholds))
    if found.verdict != "different" or thresholds is None:
        passes = found.verdict == "equal" and all(decision.holds for decision in in_flight)
        return replace(found, decisions=in_flight, outcome=_outcome(passes=passes))
    decisions = (*_decisions(found, found.counts, thresholds), *in_flight)
    # Where the sides differ by a measure that counts no key, no limit of keys can excuse it.
    excused = found.counts.differences > 0 and all(decision.holds for decision in decisions)
    return replace(found, decisions=decisions, outcome=_outcome(passes=excused))


def _in_flight(found: ComparisonResult, counts: Counts, thresholds: Thresholds | None) -> Iterator[Decision]:
    if counts.in_flight:
        limit = thresholds.in_flight if thresholds is not None else None
        yield _decision(found, "in_flight", counts.in_flight, limit or IN_FLIGHT)


def _decisions(found: ComparisonResult, counts: Counts, thresholds: Thresholds) -> Iterator[Decision]:
    if thresholds.differences is not None:
        yield _decision(found, "differences", counts.differences, thresholds.differences)
    for name, count in _KINDS.items():
        limit: Limit | None = getattr(thresholds, name)
        if limit is None and thresholds.differences is not None:
            continue
        yield _decision(found, name, count(counts), limit or NONE_AT_ALL)
    for column in found.columns:
        if column.name in thresholds.columns:
            yield _decision(found, f"column {column.name}", column.changed, thresholds.columns[column.name])


def _decision(found: ComparisonResult, measure: str, count: int, limit: Limit) -> Decision:
    keys = found.counts.keys if found.counts else 0
    # How many keys of all differ cannot be told from a sample, but their share can.
    is_told = found.mode != "sample" or limit.keys is None or limit.keys == 0
    return Decision(measure, limit.text, count, count / max(1, keys), holds=is_told and limit.holds(count, keys))


def _outcome(*, passes: bool) -> Outcome:
    return "passed" if passes else "failed"
