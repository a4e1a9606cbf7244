"""Structure equals the source after every increment, whatever the order, repetition and lateness of delivery.

A thousand histories share a build, each with keys and a member of its own. Beside what happens to their rows, tables
are truncated and sent as full dumps, get a new column in mid-history, and lose a member by erasure; columns are left
out, values do not cast, deliveries are spoilt, repeated, replayed as a whole, and visible only days after the time they
are stamped with.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from structure_events import Event, Key, Row
from structure_histories import BEGINNING, Plan, deliver, histories
from structure_models import with_column_missing
from structure_oracle import Erasure, differences, state, values_left_out
from structure_warehouse import Warehouse, comparable

NEW_COLUMNS = {
    "member_profiles": "occupation",
    "member_interactions": "tags",
    "member_identities": "issued_on",
    "member_preferences": "quiet_hours",
}
TABLES = tuple(NEW_COLUMNS)
MODELS = ("str_truncates", "str_quarantined_values", "str_quarantine", *(f"str_{table}" for table in TABLES))
HISTORIES = 250
INCREMENTS = 3
ERASED = 7

States = dict[str, dict[Key, Row]]


@dataclass(frozen=True)
class Course:
    """What was delivered, and what structure held after each increment.

    Attributes:
        parts: the deliveries of each increment.
        held: rows by table and key after each increment.
        rebuilt: the same after a full refresh in the end.
        quarantined: values in quarantine after each increment, and after the full refresh.
        erasure: of a member, after the first increment.
    """

    parts: list[list[Event]]
    held: list[States]
    rebuilt: States
    quarantined: list[Counter[tuple[str, ...]]]
    erasure: Erasure

    def until(self, increment: int) -> list[Event]:
        """Return all that had been delivered after an increment, but for what was erased by then."""
        landed = [event for part in self.parts[: increment + 1] for event in part]
        return landed if increment == 0 else [event for event in landed if self.erasure.spares(event)]


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse) -> Iterator[Course]:
    warehouse = structure_warehouse
    parts: list[list[Event]] = [[] for _ in range(INCREMENTS)]
    for table, column in NEW_COLUMNS.items():
        warehouse.empty(table)
        plan = Plan(number=HISTORIES, truncates=2, dumps=2, new_column=column, uncast=0.05)
        source = histories(warehouse.contracts[table], 1, plan)
        for part, more in zip(parts, deliver(source, 1, INCREMENTS, replays=True, very_late=0.05), strict=True):
            part.extend(more)
    held, quarantined = [], []
    for number, part in enumerate(parts):
        warehouse.land(part)
        # the first increment comes before the models know of the new columns
        manifest = with_column_missing(warehouse.manifest, NEW_COLUMNS) if number == 0 else None
        warehouse.build(MODELS, manifest=manifest)
        held.append({table: warehouse.structure(table) for table in TABLES})
        quarantined.append(values(warehouse))
        if number == 0:
            warehouse.dbt("run-operation", "erase_member", "--args", f"{{member_id: {ERASED}, request: DSR-1}}")
    warehouse.build(MODELS, "--full-refresh")
    rebuilt = {table: warehouse.structure(table) for table in TABLES}
    quarantined.append(values(warehouse))
    yield Course(parts, held, rebuilt, quarantined, Erasure.of(ERASED, parts[0]))
    warehouse.client.query_and_wait("delete from structure.erasures where true")
    for table in TABLES:
        warehouse.empty(table)


def test_the_histories_are_many_and_eventful(course: Course) -> None:
    assert HISTORIES * len(TABLES) >= 1_000
    events = [event for part in course.parts for event in part]
    assert {event.op for event in events} == {"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
    assert any(event.omitted for event in events)
    assert any(event.broken for event in events)
    wrong = {repr(value) for event in events for value in event.uncast.values()}
    assert len(wrong) >= 10
    assert any(event.op == "DELETE" and event.inferred and event.position is not None for event in events)
    assert min(event.landed_at for event in events) < BEGINNING - timedelta(days=50)
    assert {table for table, _ in course.erasure.keys} == set(TABLES)
    assert any(not course.erasure.spares(event) for event in course.parts[-1])
    assert any(row["is_deleted"] for row in course.rebuilt["member_profiles"].values())
    assert any(row["_op"] == "TRUNCATE" for row in course.rebuilt["member_profiles"].values())


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("increment", range(INCREMENTS))
def test_structure_equals_the_oracle_after_every_increment(
    course: Course, structure_warehouse: Warehouse, table: str, increment: int
) -> None:
    contract = structure_warehouse.contracts[table]
    expected = {k: comparable(contract, row) for k, row in state(contract, course.until(increment)).items()}
    if increment == 0:
        for row in (*expected.values(), *course.held[increment][table].values()):
            assert not row.pop(NEW_COLUMNS[table], None)
    assert not differences(expected, course.held[increment][table])


@pytest.mark.parametrize("table", TABLES)
def test_a_new_column_appears_and_fills(course: Course, table: str) -> None:
    first, last = (course.held[number][table].values() for number in (0, -1))
    assert not any(row.get(NEW_COLUMNS[table]) for row in first)
    assert any(row[NEW_COLUMNS[table]] for row in last)


@pytest.mark.parametrize("table", TABLES)
def test_increments_equal_a_rebuild_in_every_column(course: Course, table: str) -> None:
    assert not differences(course.rebuilt[table], course.held[-1][table])


def test_quarantine_holds_what_was_left_out_and_nothing_else(course: Course, structure_warehouse: Warehouse) -> None:
    found = {
        (row["table_name"], row["_event_id"], row["reason"])
        for row in structure_warehouse.rows("structure.quarantine")
        if row["column_name"] is None
    }
    spoilt = {(event.table, event.event_id) for event in course.until(INCREMENTS) if event.broken}
    assert {entry[:2] for entry in found if entry[0] in TABLES} == spoilt
    assert {entry[2] for entry in found if entry[0] in TABLES} == {"payload_is_no_json_object"}


@pytest.mark.parametrize("increment", range(INCREMENTS + 1))
def test_every_value_that_does_not_cast_is_quarantined_once_and_no_other(
    course: Course, structure_warehouse: Warehouse, increment: int
) -> None:
    """After every increment, with the erased member's gone, and after a full refresh."""
    expected = values_left_out(structure_warehouse.contracts, course.until(increment))
    assert course.quarantined[increment] == expected
    assert {entry[0] for entry in expected} == set(TABLES)


def values(warehouse: Warehouse) -> Counter[tuple[str, ...]]:
    """Return what quarantine tells of values, with how often it does."""
    told = ("table_name", "_event_id", "column_name", "data_type", "value", "reason")
    rows = warehouse.rows("structure.quarantine")
    return Counter(tuple(row[name] for name in told) for row in rows if row["column_name"] is not None)
