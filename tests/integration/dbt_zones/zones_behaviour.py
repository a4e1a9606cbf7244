"""What members did by window, session and period, worked out in plain Python from structure rows."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

import pytest
from zones_oracle import euros, live
from zones_rows import AS_OF, Row, Tables

_GAP = timedelta(minutes=30)
_WINDOW = timedelta(seconds=300)
_LATENESS = timedelta(minutes=10)


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        member_id: to whom.
        at: when (UTC).
        seen_at: when it was ingested (UTC).
        kind: what.
        is_action: whether the member did it.
        eur: what was paid, in euros; None for what costs nothing.
    """

    member_id: int
    at: datetime
    seen_at: datetime
    kind: str
    is_action: bool
    eur: Any = None


def events(tables: Tables) -> list[Event]:
    """Return all that had happened by `AS_OF`, in the order in which it did."""
    return sorted((event for event in _all_events(tables) if event.at <= AS_OF), key=lambda event: event.at)


def windows(tables: Tables) -> dict[tuple[int, datetime], tuple[int, int, int, int]]:
    """Return events and those early, on time and late, by member and start of the window."""
    found: dict[tuple[int, datetime], Counter[str]] = defaultdict(Counter)
    for event in events(tables):
        start = datetime.fromtimestamp(event.at.timestamp() // 300 * 300, UTC)
        found[event.member_id, start][_timing(event.seen_at, start + _WINDOW)] += 1
    return {key: (seen.total(), seen["early"], seen["on_time"], seen["late"]) for key, seen in found.items()}


def sessions(tables: Tables) -> dict[tuple[int, datetime], tuple[datetime, int, int]]:
    """Return end, actions and purchases, by member and start of the session."""
    found: dict[tuple[int, datetime], list[Event]] = {}
    last: dict[int, tuple[Event, tuple[int, datetime]]] = {}
    for event in events(tables):
        if not event.is_action:
            continue
        before, key = last.get(event.member_id, (None, None))
        if before is None or key is None or event.at - before.at >= _GAP:
            key = (event.member_id, event.at)
        found.setdefault(key, []).append(event)
        last[event.member_id] = event, key
    return {key: (own[-1].at, len(own), sum(event.kind == "purchase" for event in own)) for key, own in found.items()}


def periods(tables: Tables, days: int) -> dict[int, tuple[int, int, Any, Any, Any]]:
    """Return actions, active days, spend and the trends of actions and spend of a period, by member."""
    found = {}
    for member_id, own in _by_member(tables).items():
        now = [event for event in own if _days_ago(event) < days]
        before = [event for event in own if days <= _days_ago(event) < 2 * days]
        actions = [sum(event.is_action for event in part) for part in (now, before)]
        spend = [sum(event.eur or 0 for event in part) for part in (now, before)]
        active = len({event.at.date() for event in now if event.is_action})
        trends = pytest.approx(_trend(*actions), abs=1e-4), pytest.approx(_trend(*spend), abs=1e-4)
        found[member_id] = (actions[0], active, spend[0], *trends)
    return found


def rhythms(tables: Tables) -> dict[int, tuple[int, Any, Any]]:
    """Return days with a purchase, and mean and deviation of the intervals between them, by member."""
    found = {}
    for member_id, own in _by_member(tables).items():
        days = sorted({event.at.date() for event in own if event.kind == "purchase"})
        intervals = [(late - early).days for early, late in pairwise(days)]
        average = pytest.approx(mean(intervals), abs=1e-4) if intervals else None
        deviation = pytest.approx(stdev(intervals), abs=1e-4) if len(intervals) > 1 else None
        found[member_id] = (len(days), average, deviation)
    return found


def stage(row: Row) -> str:
    """Return the stage of life of a row of ms_member whose membership is not closed, by the guide."""
    if row["days_since_purchase"] is None:
        return "prospect"
    if row["days_since_purchase"] >= 90:
        return next(name for name, days in (("at_risk", 180), ("dormant", 365), ("churned", 10**6))
                    if row["days_since_purchase"] < days)  # fmt: skip
    return "new, active or reactivated"


def _all_events(tables: Tables) -> Iterator[Event]:
    for row in live(tables, "member_transactions"):
        if row["status"] == "completed":
            yield Event(*_who_and_when(row, "occurred_at"), row["transaction_type"], True, euros(row))
    for row in live(tables, "member_points"):
        is_action = row["entry_type"] == "redeem" and row.get("transaction_id") is None
        yield Event(*_who_and_when(row, "posted_at"), row["entry_type"], is_action)
    for row in live(tables, "member_interactions"):
        yield Event(*_who_and_when(row, "occurred_at"), row["interaction_type"], True)
    for row in live(tables, "member_cases"):
        yield Event(*_who_and_when(row, "opened_at"), "case", True)


def _who_and_when(row: Row, at: str) -> tuple[int, datetime, datetime]:
    return row["member_id"], row[at], row["_ingestion_ts"]


def _by_member(tables: Tables) -> dict[int, list[Event]]:
    found = defaultdict(list)
    for event in events(tables):
        found[event.member_id].append(event)
    return found


def _timing(seen_at: datetime, end: datetime) -> str:
    if seen_at < end:
        return "early"
    return "on_time" if seen_at < end + _LATENESS else "late"


def _days_ago(event: Event) -> int:
    return (AS_OF.date() - event.at.date()).days


def _trend(now: Any, before: Any) -> float:
    now, before = max(now, 0), max(before, 0)
    return float((now - before) / (now + before)) if now + before else 0.0
