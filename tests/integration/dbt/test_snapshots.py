"""A snapshot remembers every version of a row a run has seen, and each run's state can be read back from it."""

import copy
import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from structure_events import Event, Row
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

TABLE = "member_tiers"
NODES = ("str_truncates", f"str_{TABLE}", f"snp_{TABLE}")
RUNS = 4
KEYS = range(1, 41)
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
CLOCK = (BEGINNING, BEGINNING + timedelta(days=1), BEGINNING + timedelta(days=2))
"""The times the source's clock tells, in any order: it stands still, and goes back."""


@dataclass(frozen=True)
class Version:
    """A version of a row, as the oracle knows it.

    Attributes:
        content: the tier and when it ends; None while the row is deleted.
        position: of the change that made it; of a deletion, of the change before it.
        dated: by the source's clock; of a deletion None, for nobody knows when it will be noticed.
    """

    content: tuple[str, str | None] | None
    position: int
    dated: datetime | None


@dataclass(frozen=True)
class Course:
    """What runs have seen, and what can be read back.

    Attributes:
        expected: the versions of each key, in their order.
        found: what `scd2_versions` says of each key, by version number.
        rows: the snapshot itself.
    """

    expected: dict[int, list[Version]]
    found: dict[int, list[Row]]
    rows: list[Row]


def _change(chooser: random.Random, key: int, position: int, content: tuple[str, str | None] | None) -> Event:
    after = None
    if content is not None:
        tier, reason = content
        after = {"tier_id": key, "member_id": key, "tier": tier, "reason": reason, "started_on": BEGINNING.date()}
        after |= {"qualifying_points": None, "ends_on": None, "created_at": BEGINNING, "updated_at": BEGINNING}
    return Event(
        table=TABLE, op="DELETE" if content is None else "UPDATE", event_id=f"{key}-{position}", key=(key,),
        landed_at=BEGINNING + timedelta(minutes=position), position=position, happened_at=chooser.choice(CLOCK),
        after=after,
    )  # fmt: skip


def _history(chooser: random.Random) -> tuple[list[list[Event]], dict[int, list[Version]]]:
    """Let rows change, between runs more than once, be sent again as they are, be deleted and come back."""
    parts: list[list[Event]] = []
    versions: dict[int, list[Version]] = {key: [] for key in KEYS}
    position = 0
    for _ in range(RUNS):
        newest: dict[int, Event] = {}
        part = []
        for key in chooser.choices(KEYS, k=60):
            position += 1
            content = chooser.choice([None, ("silver", None), ("silver", "x"), ("gold", None), ("gold", "x")])
            newest[key] = _change(chooser, key, position, content)
            part.append(newest[key])
        parts.append(part)
        for key, event in newest.items():
            _see(versions[key], event)
    return parts, versions


def _see(versions: list[Version], event: Event) -> None:
    content = None if event.after is None else (event.after["tier"], event.after["reason"])
    former = versions[-1].content if versions else None
    if content is None and former is not None:
        versions.append(Version(None, versions[-1].position, None))
    elif content is not None and content != former:
        if versions and former is None:
            versions.pop()  # it was back by the time its deletion was noticed, in the years of this history
        versions.append(Version(content, event.position or 0, event.happened_at))


def _ranges(versions: list[Version], noticed: datetime) -> list[tuple[Any, datetime, datetime]]:
    """Return content and range of the versions: from their own time on, but not before the former; no empty ones."""
    begun: list[datetime] = []
    for version in versions:
        begun.append(max([version.dated or noticed, *begun[-1:]]))
    ends = [*begun[1:], FOREVER]
    return [
        (version.content, start, end) for version, start, end in zip(versions, begun, ends, strict=True) if start < end
    ]


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse) -> Iterator[Course]:
    warehouse = structure_warehouse
    _forget(warehouse)
    parts, expected = _history(random.Random(3))
    for part in parts:
        warehouse.land(part)
        warehouse.dbt("build", "--indirect-selection", "cautious", "--select", *NODES)
    query = warehouse.compiled(f"{{{{ scd2_versions(ref('snp_{TABLE}'), 'tier_id') }}}}")
    found: dict[int, list[Row]] = {key: [] for key in KEYS}
    for row in sorted(map(dict, warehouse.client.query_and_wait(query)), key=lambda row: row["version_number"]):
        found[row["tier_id"]].append(row)
    yield Course(expected, found, warehouse.rows(f"snapshots.snp_{TABLE}"))
    _forget(warehouse)


def _forget(warehouse: Warehouse) -> None:
    warehouse.empty(TABLE)
    warehouse.client.delete_table(f"snapshots.snp_{TABLE}", not_found_ok=True)


def test_the_history_is_eventful(course: Course) -> None:
    versions = [version for versions in course.expected.values() for version in versions]
    assert len(versions) > 60
    live = [[v for v in versions if v.dated] for versions in course.expected.values()]
    pairs = [(a, b) for versions in live for a, b in pairwise(versions)]
    assert any(a.dated == b.dated for a, b in pairs)
    assert any((a.dated or BEGINNING) > (b.dated or BEGINNING) for a, b in pairs)
    assert any(row["dbt_is_deleted"] == "True" for row in course.rows)


def test_the_versions_are_those_that_the_runs_have_seen(course: Course) -> None:
    for key, rows in course.found.items():
        noticed = next((row["effective_from"] for row in rows if row["is_deleted"]), FOREVER)
        found = [
            (None if row["is_deleted"] else (row["tier"], row["reason"]), row["effective_from"], row["effective_to"])
            for row in rows
        ]
        assert found == _ranges(course.expected[key], noticed), key


def test_ranges_have_no_gaps_and_numbers_follow_each_other(course: Course) -> None:
    for rows in course.found.values():
        assert [row["version_number"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(a["effective_to"] == b["effective_from"] for a, b in pairwise(rows))
        assert all(row["effective_from"] < row["effective_to"] for row in rows)
        assert [row["is_current"] for row in rows] == [number == len(rows) for number in range(1, len(rows) + 1)]


def test_a_row_that_is_sent_again_is_no_version(course: Course) -> None:
    for key in KEYS:
        rows = sorted((row for row in course.rows if row["tier_id"] == key), key=lambda row: row["_source_position"])
        live = [row for row in rows if row["dbt_is_deleted"] == "False"]
        deleted_after = {row["_source_position"] for row in rows if row["dbt_is_deleted"] == "True"}
        for former, latter in pairwise(live):
            assert former["_row_hash"] != latter["_row_hash"] or former["_source_position"] in deleted_after


def test_who_tells_changes_by_time_loses_some(structure_warehouse: Warehouse, course: Course) -> None:
    """The control: dbt's own strategy `timestamp`, with a change that bears the time of the one before."""
    warehouse = structure_warehouse
    assert course
    by_time = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    by_time.nodes[f"snapshot.millrace.snp_{TABLE}"].config.strategy = "timestamp"
    chooser = random.Random(0)
    tiers = []
    for manifest in (warehouse.manifest, by_time):
        _forget(warehouse)
        for position, tier in enumerate(("silver", "gold"), 1):
            event = dataclasses.replace(_change(chooser, 1, position, (tier, None)), happened_at=BEGINNING)
            warehouse.land([event])
            warehouse.dbt("build", "--indirect-selection", "cautious", "--select", *NODES, manifest=manifest)
        tiers.append({row["tier"] for row in warehouse.rows(f"snapshots.snp_{TABLE}")})
    assert tiers == [{"silver", "gold"}, {"silver"}]
