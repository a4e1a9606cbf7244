"""Counts by partition, and causes found by the engine, against a naive count of the same rows."""

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_tables import LIMITS, column, planned, spilled

from core.errors import ConfigurationError
from reconcile.compare.engine import Compared, How, compare
from reconcile.compare.partitions import check_partition
from reconcile.conclusions import Cause
from reconcile.plans import ComparisonPlan
from reconcile.policy import Partition

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAN = planned(column("id", "int64", is_key=True), column("at", "timestamp"), column("note", "string"))
Table = list[tuple[Any, ...]]


def _compared(plan: ComparisonPlan, warehouse: Table, snapshot: Table, how: How) -> Compared:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        sides = (spilled(plan, warehouse, scratch / "w.parquet"), spilled(plan, snapshot, scratch / "s.parquet"))
        return compare(plan, *sides, scratch=scratch, limits=LIMITS, export=None, values=False, how=how)


_ROWS = st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 3), st.sampled_from("ab")), max_size=14)


@settings(max_examples=30, deadline=None)
@given(_ROWS, _ROWS)
def test_partitions_add_up_to_what_a_naive_count_finds(left: Table, right: Table) -> None:
    warehouse, snapshot = (
        [(key, None if day is None else NOON + timedelta(days=day), note) for key, day, note in rows]
        for rows in (left, right)
    )
    found = _compared(PLAN, warehouse, snapshot, How("typed", partition=Partition(column="at")))
    if not found.counts.differences:
        assert found.partitions == ()
        return
    ours, theirs = ({key: (at, note) for key, at, note in rows} for rows in (warehouse, snapshot))
    doubled = {key for rows in (left, right) for key, count in Counter(row[0] for row in rows).items() if count > 1}
    expected: Counter[tuple[str | None, str]] = Counter()
    for key in (ours.keys() | theirs.keys()) - doubled:
        if ours.get(key) != theirs.get(key):
            kind = "missing" if key not in ours else "extra" if key not in theirs else "changed"
            expected[_day((ours.get(key) or theirs[key])[0]), kind] += 1
    told = {p.value: p for p in found.partitions}
    assert {
        (value, kind): getattr(p, kind) for value, p in told.items() for kind in ("missing", "extra", "changed")
    } == {(value, kind): expected[value, kind] for value in told for kind in ("missing", "extra", "changed")}
    assert sum(p.duplicated_keys for p in found.partitions) == len(doubled)
    for side, rows in (("warehouse_rows", warehouse), ("snapshot_rows", snapshot)):
        held = Counter(_day(row[1]) for row in rows)
        assert {value: getattr(p, side) for value, p in told.items() if getattr(p, side)} == dict(held)
    rates = [p.differences for p in found.partitions]
    assert rates == sorted(rates, reverse=True)


def _day(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d}"


def test_a_partition_may_be_a_value_a_month_or_a_year() -> None:
    warehouse = [(1, NOON, "a"), (2, NOON + timedelta(days=40), "b")]
    for partition, values in [
        (Partition(column="note", by="value"), ["a", "b"]),
        (Partition(column="at", by="month"), ["2026-01", "2026-02"]),
        (Partition(column="at", by="year"), ["2026"]),
        (Partition(column="id", by="value"), ["1", "2"]),
    ]:
        found = _compared(PLAN, warehouse, [], How("typed", partition=partition)).partitions
        assert [(part.value, part.rate) for part in found] == [(value, 1.0) for value in values]


def test_a_partition_that_cannot_be_is_refused_with_the_reason() -> None:
    plan = planned(column("id", "int64", is_key=True), column("email", "string", masked="email"))
    for partition, told in [
        (Partition(column="other"), "no compared column"),
        (Partition(column="email", by="value"), "masked"),
        (Partition(column="id"), "use by: value"),
    ]:
        with pytest.raises(ConfigurationError, match=told):
            check_partition(plan, partition)


def test_the_engine_tells_causes_and_rates_with_the_differences() -> None:
    rows = [(n, NOON + timedelta(minutes=n), "note") for n in range(400)]
    shifted = [(n, at + timedelta(hours=1) if n < 300 else at, note) for n, at, note in rows]
    found = _compared(PLAN, shifted[:380], rows, How("typed", taken_at=NOON + timedelta(minutes=400)))
    assert found.causes == (
        Cause("time zone shift", "at", "the warehouse is 1 h ahead", 300, 300),
        Cause(
            "lag",
            None,
            "the missing rows changed in the last 20 min before the snapshot: they may still be on their way",
            20,
            20,
        ),
    )
    assert [(c.changed, c.rate) for c in found.columns] == [(0, 0.0), (300, 300 / 380), (0, 0.0)]
    early = _compared(PLAN, shifted[:380], rows, How("typed", taken_at=NOON + timedelta(days=9)))
    assert [cause.name for cause in early.causes] == ["time zone shift"]
