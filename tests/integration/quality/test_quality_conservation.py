"""No member is lost, and none made up, between structure and refined, and between refined and analytics."""

from typing import Final

import pytest
from quality_warehouse import Warehouse

TABLES: Final = {
    "refined_conserves_members": ("structure.members", "refined.member_profiles"),
    "analytics_conserves_members": ("refined.member_profiles", "analytics.ms_member"),
}
"""By rule, the table that has the members, and the one that must have the same."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def rules(clean: Warehouse) -> dict[str, str]:
    """SQL by rule."""
    compiled = clean.dbt("compile", "--select", *TABLES)
    assert compiled.success, compiled.exception
    return {result.node.name: result.node.compiled_code for result in compiled.result.results}


@pytest.mark.parametrize("rule", TABLES)
def test_no_member_is_missing_of_clean_data(clean: Warehouse, rules: dict[str, str], rule: str) -> None:
    assert clean.rows(rules[rule]) == []


@pytest.mark.parametrize(("rule", "side"), [(rule, side) for rule in TABLES for side in (0, 1)])
def test_a_member_that_one_side_lacks_is_named(clean: Warehouse, rules: dict[str, str], rule: str, side: int) -> None:
    (known,) = clean.rows("select min(member_id) as member_id from analytics.ms_member")
    dataset, table = TABLES[rule][side].split(".")
    relation = f"`millrace-local`.`{dataset}`.`{table}`"
    assert relation in rules[rule]
    without = f"(select * from {relation} where member_id != {known['member_id']})"
    found = clean.rows(rules[rule].replace(relation, without))
    assert found == [{"member_id": known["member_id"], "is_in_excess": side == 0}]
