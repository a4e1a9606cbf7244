"""A variable that is no whole number stops the command with its name, and never counts as 0."""

import json

import pytest
from structure_warehouse import Warehouse


@pytest.mark.parametrize(
    ("variable", "node"),
    [
        ("session_gap_minutes", "ref_member_sessions"),
        ("activity_allowed_lateness_minutes", "ref_member_activity"),
        ("audit_conservation_days", "structure_conserves_rows"),
    ],
)
def test_what_is_no_whole_number_is_refused(structure_warehouse: Warehouse, variable: str, node: str) -> None:
    given = json.dumps({variable: "half an hour"})
    with pytest.raises(AssertionError, match=f"the var {variable} is half an hour: give a whole number"):
        structure_warehouse.dbt("compile", "--select", node, "--vars", given)


def test_what_is_no_whole_number_does_not_make_every_merge_prune(structure_warehouse: Warehouse) -> None:
    condition = "select '{{ is_worth_pruning(9) }}'"
    with pytest.raises(AssertionError, match="Error parsing inline query"):
        structure_warehouse.compiled(condition, prune_from_rows="a million")
    assert structure_warehouse.compiled(condition, prune_from_rows=10) == "select 'False'"


@pytest.mark.parametrize("value", [-1, 1.5, "2 days", 6])
def test_what_is_too_small_or_has_a_fraction_is_refused(structure_warehouse: Warehouse, value: object) -> None:
    with pytest.raises(AssertionError, match="Error parsing inline query"):
        structure_warehouse.compiled("select {{ whole_number('given', 7) }}", given=value)


@pytest.mark.parametrize("value", [7, "45"])
def test_a_whole_number_is_taken_also_as_text(structure_warehouse: Warehouse, value: object) -> None:
    assert structure_warehouse.compiled("select {{ whole_number('given', 7) }}", given=value) == f"select {value}"
