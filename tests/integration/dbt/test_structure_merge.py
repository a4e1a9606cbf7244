"""Structure equals the source after every increment, whatever the order, repetition and lateness of delivery."""

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from structure_events import Event, Key, Row
from structure_histories import deliver, histories
from structure_oracle import state
from structure_warehouse import Warehouse, comparable

TABLES = ("member_profiles", "member_interactions", "member_identities", "member_preferences")
MODELS = ("str_truncates", "str_quarantine", *(f"str_{table}" for table in TABLES))
MUTATED = "member_points"
HISTORIES = 60
INCREMENTS = 3

States = dict[str, dict[Key, Row]]


@dataclass(frozen=True)
class Course:
    """What was delivered, and what structure held after each increment.

    Attributes:
        parts: the deliveries of each increment.
        held: rows by table and key after each increment.
        rebuilt: the same after a full refresh in the end.
    """

    parts: list[list[Event]]
    held: list[States]
    rebuilt: States

    def until(self, increment: int) -> list[Event]:
        """Return all that had been delivered after an increment."""
        return [event for part in self.parts[: increment + 1] for event in part]


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse) -> Course:
    warehouse = structure_warehouse
    parts: list[list[Event]] = [[] for _ in range(INCREMENTS)]
    for table in TABLES:
        warehouse.empty(table)
        source = histories(warehouse.contracts[table], 1, number=HISTORIES, truncates=2)
        for part, more in zip(parts, deliver(source.log, 1, INCREMENTS), strict=True):
            part.extend(more)
    held = []
    for part in parts:
        warehouse.land(part)
        warehouse.build(MODELS)
        held.append({table: warehouse.structure(table) for table in TABLES})
    warehouse.build(MODELS, "--full-refresh")
    return Course(parts, held, {table: warehouse.structure(table) for table in TABLES})


def differences(expected: Mapping[Key, Row], found: Mapping[Key, Row]) -> list[str]:
    """Name every column that is not as expected, but only columns that are expected at all."""
    missing = [f"{key}: {'missing' if key in expected else 'too many'}" for key in expected.keys() ^ found.keys()]
    return missing + [
        f"{key} {name}: {found[key][name]!r} instead of {value!r}"
        for key in sorted(expected.keys() & found.keys(), key=repr)
        for name, value in expected[key].items()
        if found[key][name] != value
    ]


def test_the_histories_are_eventful(course: Course) -> None:
    events = course.until(INCREMENTS)
    assert {event.op for event in events} == {"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
    assert any(event.omitted for event in events)
    assert any(event.broken for event in events)
    assert any(row["is_deleted"] for row in course.rebuilt["member_profiles"].values())
    assert any(row["_op"] == "TRUNCATE" for row in course.rebuilt["member_profiles"].values())


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("increment", range(INCREMENTS))
def test_structure_equals_the_oracle_after_every_increment(
    course: Course, structure_warehouse: Warehouse, table: str, increment: int
) -> None:
    contract = structure_warehouse.contracts[table]
    expected = {k: comparable(contract, row) for k, row in state(contract, course.until(increment)).items()}
    assert not differences(expected, course.held[increment][table])


@pytest.mark.parametrize("table", TABLES)
def test_increments_equal_a_rebuild_in_every_column(course: Course, table: str) -> None:
    assert not differences(course.rebuilt[table], course.held[-1][table])


def test_quarantine_holds_what_was_left_out_and_nothing_else(course: Course, structure_warehouse: Warehouse) -> None:
    found = {
        (row["table_name"], row["_event_id"], row["reason"]) for row in structure_warehouse.rows("structure.quarantine")
    }
    spoilt = {(event.table, event.event_id) for event in course.until(INCREMENTS) if event.broken}
    assert {entry[:2] for entry in found if entry[0] in TABLES} == spoilt
    assert {entry[2] for entry in found} == {"payload_is_no_json_object"}


def test_columns_of_every_type_may_be_left_out(structure_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MongoDB's updates do; and the control: by the types that PostgreSQL leaves out, the others would be lost."""
    warehouse = structure_warehouse
    contract = warehouse.contracts[MUTATED]
    every = sorted({column.data_type for column in contract.columns})
    parts = deliver(histories(contract, 3, number=20, truncates=1, omits=every).log, 3, 2)
    expected = {k: comparable(contract, row) for k, row in state(contract, parts[0] + parts[1]).items()}
    macro = warehouse.manifest.macros["macro.millrace.cdc_omits_any_column"]
    found = []
    for answer in ("true", "false"):
        macro_sql = f"{{% macro cdc_omits_any_column(key) %}}{{{{ return({answer}) }}}}{{% endmacro %}}"
        monkeypatch.setattr(macro, "macro_sql", macro_sql)
        warehouse.empty(MUTATED)
        for part in parts:
            warehouse.land(part)
            warehouse.build(("str_truncates", f"str_{MUTATED}"))
        found.append(warehouse.structure(MUTATED))
    assert not differences(expected, found[0])
    assert differences(expected, found[1])


def test_a_merge_without_the_order_would_be_noticed(structure_warehouse: Warehouse) -> None:
    """The control: the same deliveries, with and without the condition under which the merge updates a row."""
    warehouse = structure_warehouse
    contract = warehouse.contracts[MUTATED]
    parts = deliver(histories(contract, 2, number=20, truncates=0).log, 2, 2)
    expected = state(contract, parts[0] + parts[1])
    mutant = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    mutant.nodes[f"model.millrace.str_{MUTATED}"].config.meta["merge_update_when"] = "true"
    found = []
    for manifest in (warehouse.manifest, mutant):
        warehouse.empty(MUTATED)
        for part in parts:
            warehouse.land(part)
            warehouse.build(("str_truncates", f"str_{MUTATED}"), manifest=manifest)
        found.append(warehouse.structure(MUTATED))
    assert not differences(expected, found[0])
    assert differences(expected, found[1])
