"""No member is lost, and none made up, between structure and refined, and between refined and analytics."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from quality_warehouse import Warehouse

TABLES: Final = {
    "refined_conserves_members": ("structure.members", "refined.member_profiles"),
    "analytics_conserves_members": ("refined.member_profiles", "analytics.ms_member"),
}
"""By rule, the table that has the members, and the one that must have the same."""

each_side = pytest.mark.parametrize(("rule", "side"), [(rule, side) for rule in TABLES for side in (0, 1)])

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def rules(clean: Warehouse) -> dict[str, Any]:
    """Compiled node by rule."""
    compiled = clean.dbt("compile", "--select", *TABLES)
    assert compiled.success, compiled.exception
    return {result.node.name: result.node for result in compiled.result.results}


def _judged(clean: Warehouse, node: Any, replaced: Mapping[str, str]) -> tuple[bool, bool, list[str]]:
    """Return whether a rule warns, whether it is an error, and the keys it names, by the conditions dbt is given."""
    sql = node.compiled_code
    for relation, source in replaced.items():
        assert relation in sql
        sql = sql.replace(relation, source)
    conditions = f"violations {node.config.warn_if} as warns, violations {node.config.error_if} as fails"
    (row,) = clean.rows(f"select {conditions}, failing_keys from ({sql})")
    return row["warns"], row["fails"], row["failing_keys"]


def _without(rule: str, side: int, members: str) -> dict[str, str]:
    """Take members out of one of the tables of a rule."""
    dataset, table = TABLES[rule][side].split(".")
    relation = f"`millrace-local`.`{dataset}`.`{table}`"
    return {relation: f"(select * from {relation} where not {members})"}


@pytest.mark.parametrize("rule", TABLES)
def test_no_member_is_missing_of_clean_data(clean: Warehouse, rules: dict[str, Any], rule: str) -> None:
    assert rules[rule].config.severity.lower() == "error"
    assert _judged(clean, rules[rule], {}) == (False, False, [])


@each_side
def test_a_member_that_one_side_lacks_is_named(clean: Warehouse, rules: dict[str, Any], rule: str, side: int) -> None:
    (known,) = clean.rows("select min(member_id) as member_id from analytics.ms_member")
    warns, fails, keys = _judged(clean, rules[rule], _without(rule, side, f"member_id = {known['member_id']}"))
    assert warns
    assert keys == [f"{('in excess', 'missing')[side]} {known['member_id']}"]
    # structure moves on while refined is being built, and refined does not while analytics are
    assert fails == (rule == "analytics_conserves_members")


@each_side
def test_a_tenth_of_the_members_is_an_error(clean: Warehouse, rules: dict[str, Any], rule: str, side: int) -> None:
    _, fails, keys = _judged(clean, rules[rule], _without(rule, side, "mod(member_id, 10) = 1"))
    assert fails
    assert 10 < len(keys) <= 20


def test_what_is_an_error_stops_dbt(clean: Warehouse) -> None:
    """The condition that grows with the table is one that dbt and its adapter take."""
    clean.rows("create or replace table refined.kept as select * from refined.member_profiles")
    clean.rows("delete from refined.member_profiles where mod(member_id, 10) = 1")
    broken = _status(clean, "refined_conserves_members")
    clean.rows("insert into refined.member_profiles select * from refined.kept where mod(member_id, 10) = 1")
    clean.rows("drop table refined.kept")
    assert (broken, _status(clean, "refined_conserves_members")) == ("fail", "pass")


def _status(clean: Warehouse, rule: str) -> str:
    results = clean.dbt("test", "--select", rule).result.results
    return next(str(result.status) for result in results if result.node.name == rule)
