"""The history of a member's tiers, addresses and consents can be queried: five promises, each held by a test.

A version is told by a hash of the row; versions are numbered, one of them is current, their ranges have no gaps and no
overlaps, and a deletion is a version of its own.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from structure_events import Event, Row
from structure_histories import BEGINNING
from structure_warehouse import Warehouse, comparable

from devstack.live.rows import random_row

HISTORIES: Final = {
    "member_tiers": "tier",
    "member_addresses": "address",
    "member_consents": "consent",
}
NODES: Final = (
    "str_truncates",
    *(f"str_{table}" for table in HISTORIES),
    *(f"snp_{table}" for table in HISTORIES),
    *(f"ref_member_{name}_versions" for name in HISTORIES.values()),
)
RETURNED, DELETED, UNDATED, TRUNCATED = 1, 2, 3, 4
FOREVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Build:
    """When a build began and ended."""

    begun: datetime
    ended: datetime


@dataclass
class Source:
    """One of the tables, and what its rows were made in the course of the test.

    Attributes:
        warehouse: knows the contract.
        table: its name.
        images: the images of each row, in order.
        position: of the last change.
    """

    warehouse: Warehouse
    table: str
    images: dict[int, list[Row]]
    position: int = 0

    def change(self, key: int, at: datetime | None, *, op: str = "UPDATE", same: bool = False) -> Event:
        """Return the next change of a row, which is made anew unless it stays the same or is deleted."""
        self.position += 1
        contract = self.warehouse.contracts[self.table]
        image = None
        if op != "DELETE":
            former = self.images.setdefault(key, [])
            if not same:
                chooser = random.Random(f"{self.table} {key} {self.position}")
                former.append(random_row(contract, (key,), chooser) | {contract.key[0].name: key, "member_id": 7})
            image = former[-1]
        return Event(
            table=self.table, op=op, event_id=f"{self.table}-{self.position}", key=(key,), position=self.position,  # type: ignore[arg-type]  # a literal of Operation
            landed_at=BEGINNING + self.position * HOUR, happened_at=at, after=image,
        )  # fmt: skip


@dataclass(frozen=True)
class Course:
    """What happened, and what the version tables say.

    Attributes:
        sources: each table with the images of its rows.
        builds: the builds, in order.
        back_at: when the row that was deleted was there again.
        landed: when the change landed that told no time of its own.
        found: the versions of each row, by table, in the order of their numbers.
        hashes: how many rows the snapshots hold of each row, by table.
    """

    sources: dict[str, Source]
    builds: list[Build]
    back_at: datetime
    landed: dict[str, datetime]
    found: dict[str, dict[int, list[Row]]]
    hashes: dict[str, dict[int, int]]


def _built(warehouse: Warehouse, events: list[Event]) -> Build:
    warehouse.land(events)
    begun = datetime.now(UTC)
    warehouse.dbt(
        "build", "--exclude-resource-type", "unit_test", "--indirect-selection", "cautious", "--select", *NODES
    )
    return Build(begun, datetime.now(UTC))


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse) -> Iterator[Course]:
    warehouse = structure_warehouse
    _forget(warehouse)
    sources = {table: Source(warehouse, table, {}) for table in HISTORIES}
    every = list(sources.values())
    rows = (RETURNED, DELETED, UNDATED, TRUNCATED)
    landed: dict[str, datetime] = {}
    builds = [_built(warehouse, [source.change(key, BEGINNING, op="INSERT") for source in every for key in rows])]
    undated = [source.change(UNDATED, None) for source in every]
    landed = {event.table: event.landed_at for event in undated}
    changed = [source.change(RETURNED, BEGINNING + HOUR) for source in every]
    builds.append(_built(warehouse, undated + changed))
    # sent again as it is, at a later time of its own; and a deletion
    again = [source.change(RETURNED, BEGINNING + 2 * HOUR, same=True) for source in every]
    gone = [source.change(DELETED, BEGINNING + 2 * HOUR, op="DELETE") for source in every]
    builds.append(_built(warehouse, again + gone))
    builds.append(_built(warehouse, [source.change(RETURNED, BEGINNING + 3 * HOUR, op="DELETE") for source in every]))
    back_at = datetime.now(UTC)
    builds.append(_built(warehouse, [source.change(RETURNED, back_at, op="INSERT") for source in every]))
    truncates = [replace(source.change(0, None, op="DELETE"), op="TRUNCATE", key=None) for source in every]
    builds.append(_built(warehouse, truncates))
    found: dict[str, dict[int, list[Row]]] = {table: {} for table in HISTORIES}
    hashes: dict[str, dict[int, int]] = {table: dict.fromkeys(rows, 0) for table in HISTORIES}
    for table, name in HISTORIES.items():
        versions = warehouse.rows(f"refined.member_{name}_versions")
        for row in sorted(versions, key=lambda row: row["version"]):
            found[table].setdefault(row[f"{name}_id"], []).append(row)
        for row in warehouse.rows(f"snapshots.snp_{table}"):
            hashes[table][row[f"{name}_id"]] += 1
    yield Course(sources, builds, back_at, landed, found, hashes)
    _forget(warehouse)


def _forget(warehouse: Warehouse) -> None:
    for table, name in HISTORIES.items():
        warehouse.empty(table)
        warehouse.client.delete_table(f"refined.member_{name}_versions", not_found_ok=True)


def _images(course: Course, table: str, key: int) -> list[Any]:
    """Return what each version says of the source's columns, and whether it is a deletion."""
    contract = course.sources[table].warehouse.contracts[table]
    names = [column.name for column in contract.columns]
    told = [comparable(contract, {name: row[name] for name in names}) for row in course.found[table][key]]
    return [(row, version["is_deleted"]) for row, version in zip(told, course.found[table][key], strict=True)]


def _expected(course: Course, table: str, key: int, *steps: tuple[int, bool]) -> list[Any]:
    contract = course.sources[table].warehouse.contracts[table]
    images = course.sources[table].images[key]
    return [(comparable(contract, images[number]), is_deleted) for number, is_deleted in steps]


@pytest.mark.parametrize("table", HISTORIES)
def test_every_row_has_its_versions_in_order_and_numbered_from_one(course: Course, table: str) -> None:
    assert set(course.found[table]) == {RETURNED, DELETED, UNDATED, TRUNCATED}
    for versions in course.found[table].values():
        assert [row["version"] for row in versions] == list(range(1, len(versions) + 1))
    changed = _expected(course, table, RETURNED, (0, False), (1, False), (1, True), (2, False), (2, True))
    assert _images(course, table, RETURNED) == changed
    assert _images(course, table, UNDATED) == _expected(course, table, UNDATED, (0, False), (1, False), (1, True))


@pytest.mark.parametrize("table", HISTORIES)
def test_the_last_version_of_a_row_is_current_and_no_other(course: Course, table: str) -> None:
    for versions in course.found[table].values():
        assert [row["is_current"] for row in versions] == [False] * (len(versions) - 1) + [True]


@pytest.mark.parametrize("table", HISTORIES)
def test_ranges_have_no_gaps_and_no_overlaps(course: Course, table: str) -> None:
    for versions in course.found[table].values():
        assert all(former["effective_to"] == latter["effective_from"] for former, latter in pairwise(versions))
        assert all(row["effective_from"] < row["effective_to"] for row in versions)
        assert (versions[0]["effective_from"], versions[-1]["effective_to"]) == (BEGINNING, FOREVER)


@pytest.mark.parametrize("table", HISTORIES)
def test_a_deletion_is_a_version_of_its_own(course: Course, table: str) -> None:
    """From when the source says; where it does not, and once the row is back, from when the snapshot noticed."""
    assert _images(course, table, DELETED) == _expected(course, table, DELETED, (0, False), (0, True))
    assert course.found[table][DELETED][-1]["effective_from"] == BEGINNING + 2 * HOUR
    noticed = course.found[table][RETURNED][2]["effective_from"]
    assert course.builds[3].begun < noticed < course.builds[3].ended
    assert course.found[table][RETURNED][3]["effective_from"] == course.back_at
    assert _images(course, table, TRUNCATED) == _expected(course, table, TRUNCATED, (0, False), (0, True))
    for key in (RETURNED, UNDATED, TRUNCATED):
        assert course.builds[5].begun < course.found[table][key][-1]["effective_from"] < course.builds[5].ended


@pytest.mark.parametrize("table", HISTORIES)
def test_a_row_that_is_only_sent_again_makes_no_version(course: Course, table: str) -> None:
    """A change is told by the hash of the row, not by its time."""
    assert course.hashes[table] == {RETURNED: 5, DELETED: 2, UNDATED: 3, TRUNCATED: 2}


@pytest.mark.parametrize("table", HISTORIES)
def test_a_change_that_tells_no_time_holds_from_when_it_landed(course: Course, table: str) -> None:
    assert course.found[table][UNDATED][1]["effective_from"] == course.landed[table]
