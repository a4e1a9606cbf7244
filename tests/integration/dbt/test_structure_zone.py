"""The zone as a whole: its unit tests, its snapshots, and the build of an empty warehouse."""

from dataclasses import replace
from datetime import timedelta

import pytest
from structure_events import Event
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

TIER = {
    "tier_id": 1,
    "member_id": 7,
    "tier": "silver",
    "qualifying_points": None,
    "reason": "earned",
    "started_on": BEGINNING.date(),
    "ends_on": None,
    "created_at": BEGINNING,
    "updated_at": BEGINNING,
}


def test_unit_tests_pass(structure_warehouse: Warehouse) -> None:
    models = (
        "str_truncates",
        "str_member_phones",
        "str_member_profiles",
        "str_member_identities",
        "str_quarantined_values",
    )
    structure_warehouse.build(models)  # dbt reads the types of a fixture's columns from the table it stands for
    structure_warehouse.dbt("test", "--select", "test_type:unit,path:dbt_project/models/structure")


@pytest.fixture
def tier_changes(structure_warehouse: Warehouse) -> list[Event]:
    structure_warehouse.empty("member_tiers")
    first = Event(
        table="member_tiers", op="INSERT", event_id="1", landed_at=BEGINNING, key=(1,), position=1,
        happened_at=BEGINNING, after=dict(TIER),
    )  # fmt: skip
    later = timedelta(hours=1)
    raised = replace(first, op="UPDATE", event_id="2", position=2, landed_at=BEGINNING + later,
                     happened_at=BEGINNING + later, after=TIER | {"tier": "gold"})  # fmt: skip
    gone = replace(raised, op="DELETE", event_id="3", position=3, landed_at=BEGINNING + 2 * later, after=None)
    back = replace(raised, op="INSERT", event_id="4", position=4, landed_at=BEGINNING + 3 * later,
                   happened_at=raised.landed_at + 3 * later, after=TIER | {"tier": "bronze"})  # fmt: skip
    return [first, raised, gone, back]


def test_a_snapshot_remembers_every_state_and_the_deletion(
    structure_warehouse: Warehouse, tier_changes: list[Event]
) -> None:
    for change in tier_changes:
        structure_warehouse.land([change])
        nodes = ("str_truncates", "str_member_tiers", "snp_member_tiers")
        structure_warehouse.dbt("build", "--indirect-selection", "cautious", "--select", *nodes)
    rows = sorted(structure_warehouse.rows("snapshots.snp_member_tiers"), key=lambda row: row["dbt_valid_from"])
    told = {(row["tier"], str(row["dbt_is_deleted"]).lower()): row for row in rows}
    assert set(told) == {("silver", "false"), ("gold", "false"), ("gold", "true"), ("bronze", "false")}
    silver, gold = told["silver", "false"], told["gold", "false"]
    assert silver["dbt_valid_from"] == BEGINNING
    assert silver["dbt_valid_to"] == gold["dbt_valid_from"]
    assert told["bronze", "false"]["dbt_valid_to"].year == 9999
