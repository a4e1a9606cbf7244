"""Who forgets one rule of the merge is found out: mutants of the macros, each in a table of its own, share a build."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from structure_events import Event, Key, Row
from structure_histories import Plan, deliver, histories
from structure_models import mutate, with_column_missing, with_nodes_of_its_own
from structure_oracle import Erasure, differences, state
from structure_warehouse import Warehouse, comparable

ERASED = Erasure(member_id=3, keys=frozenset())
"""A member who is erased before anything of theirs has landed."""

INCREMENTS = 2


@dataclass(frozen=True)
class Mutant:
    """A rule forgotten, in one table.

    Attributes:
        rule: what the mutant does not do.
        plan: histories in which it matters.
        macro: the macro that is changed; empty where it is what the model says in its `meta`.
        right: what the macro says, or the name in `meta`.
        wrong: what it says instead.
    """

    rule: str
    plan: Plan
    macro: str
    right: str
    wrong: str


EVERY_TYPE = ("string", "int64", "numeric", "float64", "bool", "date", "timestamp", "json", "array<string>")
ANY_COLUMN = "member_transactions"
MUTANTS = {
    "member_points": Mutant("the greater order wins", Plan(number=20), "", "merge_update_when", "true"),
    "member_cases": Mutant(
        "what is older than a truncate is deleted",
        Plan(number=20, truncates=2),
        "_cdc_truncates",
        "_op = 'TRUNCATE'",
        "_op = 'NEVER'",
    ),
    "member_emails": Mutant(
        "what a full dump does not hold is deleted",
        Plan(number=20, dumps=3),
        "cdc_changes",
        "_op in ('INSERT', 'UPDATE', 'DELETE', 'SNAPSHOT')",
        "(_op in ('INSERT', 'UPDATE', 'SNAPSHOT') or (_op = 'DELETE' and before is not null))",
    ),
    "member_addresses": Mutant(
        "what is left out is carried over",
        Plan(number=20),
        "cdc_changes",
        "when array_length(_omitted) > 0",
        "when false",
    ),
    "member_consents": Mutant(
        "a new column leaves what is held of the others",
        Plan(number=20, new_column="captured_in"),
        "_cdc_held_versions",
        "{{ 'held.' if column in key or column in there else 'null as ' }}",
        "{{ 'held.' if column in key else 'null as ' }}",
    ),
    "member_phones": Mutant(
        "who was erased stays erased",
        Plan(number=20),
        "cdc_changes",
        "and not {{ is_erased('_image', table, erasures) }}",
        "",
    ),
    "member_tiers": Mutant(
        "late rows are found",
        Plan(number=20),
        "cdc_position",
        "{{ return(_cdc_applied_positions(positions).get(table, nothing)) }}",
        "{{ return(dict(_cdc_applied_positions(positions).get(table, nothing), late=[])) }}",
    ),
    ANY_COLUMN: Mutant(
        "columns of every type may be left out",
        Plan(number=20, omits=EVERY_TYPE),
        "cdc_omits_any_column",
        "{{ return('_id' in key) }}",
        "{{ return(false) }}",
    ),
}
MODELS = ("str_truncates", *(f"str_{table}" for table in MUTANTS))


@dataclass(frozen=True)
class Outcome:
    """What structure held in the end, by table.

    Attributes:
        expected: what it had to.
        right: by the project as it is.
        wrong: by the mutants.
    """

    expected: dict[str, dict[Key, Row]]
    right: dict[str, dict[Key, Row]]
    wrong: dict[str, dict[Key, Row]]


@pytest.fixture(scope="module")
def outcome(structure_warehouse: Warehouse) -> Iterator[Outcome]:
    warehouse = structure_warehouse
    parts: list[list[Event]] = [[] for _ in range(INCREMENTS)]
    for table, mutant in MUTANTS.items():
        source = histories(warehouse.contracts[table], 2, mutant.plan)
        for part, more in zip(parts, deliver(source, 2, INCREMENTS, very_late=0.2), strict=True):
            part.extend(more)
    events = [event for part in parts for event in part if ERASED.spares(event)]
    expected = {table: _expected(warehouse, table, events) for table in MUTANTS}
    warehouse.client.query_and_wait(
        "insert into structure.erasures (member_id, table_name, _key, erased_at) "
        f"values ({ERASED.member_id}, 'members', '{{}}', current_timestamp())"
    )
    with pytest.MonkeyPatch.context() as patch:
        any_column = MUTANTS[ANY_COLUMN]
        mutate(patch, _macro(warehouse, any_column), ANY_COLUMN, any_column.right, "{{ return(true) }}")
        right = _course(warehouse, parts, warehouse.manifest)
    with pytest.MonkeyPatch.context() as patch:
        wrong = _course(warehouse, parts, _mutants(warehouse, patch))
    yield Outcome(expected, right, wrong)
    warehouse.client.query_and_wait("delete from structure.erasures where true")
    for table in MUTANTS:
        warehouse.empty(table)


@pytest.mark.parametrize("table", MUTANTS)
def test_the_project_as_it_is_keeps_the_rule(outcome: Outcome, table: str) -> None:
    assert not differences(outcome.expected[table], outcome.right[table]), MUTANTS[table].rule


@pytest.mark.parametrize("table", MUTANTS)
def test_its_mutant_is_found_out(outcome: Outcome, table: str) -> None:
    assert differences(outcome.expected[table], outcome.wrong[table]), MUTANTS[table].rule


def _expected(warehouse: Warehouse, table: str, events: list[Event]) -> dict[Key, Row]:
    contract = warehouse.contracts[table]
    return {key: comparable(contract, row) for key, row in state(contract, events).items()}


def _course(warehouse: Warehouse, parts: list[list[Event]], manifest: Any) -> dict[str, dict[Key, Row]]:
    """Build what was delivered, part after part; the first with the columns that were there then."""
    for table in MUTANTS:
        warehouse.empty(table)
    new = {table: mutant.plan.new_column for table, mutant in MUTANTS.items() if mutant.plan.new_column}
    for project, part in zip((with_column_missing(manifest, new), manifest), parts, strict=True):
        warehouse.land(part)
        warehouse.build(MODELS, manifest=project)
    return {table: warehouse.structure(table) for table in MUTANTS}


def _macro(warehouse: Warehouse, mutant: Mutant) -> Any:
    return warehouse.manifest.macros[f"macro.millrace.{mutant.macro}"]


def _mutants(warehouse: Warehouse, patch: pytest.MonkeyPatch) -> Any:
    project = with_nodes_of_its_own(warehouse.manifest)
    for table, mutant in MUTANTS.items():
        if mutant.macro:
            mutate(patch, _macro(warehouse, mutant), table, mutant.right, mutant.wrong)
        else:
            project.nodes[f"model.millrace.str_{table}"].config.meta[mutant.right] = mutant.wrong
    return project
