"""A model whose query holds a key twice fails before the merge, and leaves the table as it was."""

import copy
import dataclasses

import pytest
from structure_events import Event
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

TABLE = "member_tiers"
MODELS = ("str_truncates", f"str_{TABLE}")


def test_a_key_that_stands_twice_is_inserted_not_even_once(structure_warehouse: Warehouse) -> None:
    """Of new keys, which BigQuery itself would insert twice; an update of a known one it refuses."""
    warehouse = structure_warehouse
    warehouse.empty(TABLE)
    row = {"tier_id": 1, "member_id": 7, "tier": "silver", "started_on": BEGINNING.date(), "created_at": BEGINNING}
    first = Event(table=TABLE, op="INSERT", event_id="1", landed_at=BEGINNING, key=(1,), position=1, after=row)
    warehouse.land([first])
    warehouse.build(MODELS)
    doubling = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    doubling.nodes[f"model.millrace.str_{TABLE}"].raw_code += "\nunion all\nselect * from current_state"
    warehouse.land([dataclasses.replace(first, event_id="2", key=(2,), after=row | {"tier_id": 2})])
    with pytest.raises(AssertionError, match=f"merge into {TABLE} holds a key twice"):
        warehouse.build(MODELS, manifest=doubling)
    assert set(warehouse.structure(TABLE)) == {(1,)}
    warehouse.build(MODELS)
    assert set(warehouse.structure(TABLE)) == {(1,), (2,)}
    warehouse.empty(TABLE)
