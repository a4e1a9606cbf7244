"""Values that do not cast: found by the next build, whichever ones were before it, and counted by quality."""

import copy
import dataclasses
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from structure_events import Event
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

TABLE = "member_tiers"
MODEL = f"str_{TABLE}"
VALUES = "str_quarantined_values"
MODELS = ("str_truncates", MODEL, VALUES)
RULE = f"{MODEL}_contract_holds"


def landed(key: int, after_s: int, wrong: object = "many", position: int = 1) -> Event:
    """Return an insert of a tier, whose end does not cast, that landed some seconds after the beginning."""
    after = {"tier_id": key, "member_id": 7, "tier": "silver", "reason": "earned", "started_on": BEGINNING.date()}
    after |= {"qualifying_points": 0, "ends_on": None, "created_at": BEGINNING, "updated_at": BEGINNING}
    return Event(table=TABLE, op="INSERT", event_id=f"{key}-{position}", key=(key,), position=position, after=after,
                 landed_at=BEGINNING + timedelta(seconds=after_s), uncast={"ends_on": wrong})  # fmt: skip


def values(warehouse: Warehouse) -> list[tuple[str, str]]:
    """Return message and text of each quarantined value."""
    rows = warehouse.rows("structure.quarantined_values")
    return sorted(
        (row["_event_id"], row["value"]) for row in rows if row["_op"] != "READ" and row["table_name"] == TABLE
    )


def is_reading(queries: dict[str, str]) -> bool:
    """Say whether the query asks raw for anything."""
    return re.search(r"_ingestion_ts >= timestamp", queries[VALUES]) is not None


@pytest.fixture
def warehouse(structure_warehouse: Warehouse) -> Iterator[Warehouse]:
    """A table with one value that does not cast, which has been found."""
    structure_warehouse.empty(TABLE)
    structure_warehouse.land([landed(1, 864_000)])
    structure_warehouse.build(MODELS)
    assert values(structure_warehouse) == [("1-1", "many")]
    yield structure_warehouse
    structure_warehouse.empty(TABLE)


def test_builds_without_the_model_hide_nothing_from_it(warehouse: Warehouse) -> None:
    """The position of the structure model has moved on, twice, over rows that are years apart."""
    warehouse.land([landed(2, 0), landed(3, 864_060)])
    warehouse.build(MODELS[:2])
    warehouse.land([landed(4, 1_800), landed(1, 900_000)])
    warehouse.build(MODELS[:2])
    warehouse.build((VALUES,))
    assert values(warehouse) == [(f"{key}-1", "many") for key in (1, 2, 3, 4)]
    # what has been read is not read again, and a redelivery is no second fault
    assert not is_reading(warehouse.build(MODELS))
    assert values(warehouse) == [(f"{key}-1", "many") for key in (1, 2, 3, 4)]


def test_what_a_failed_build_has_not_written_is_read_again(warehouse: Warehouse) -> None:
    failing = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    failing.nodes[f"model.millrace.{VALUES}"].raw_code += "\nwhere error('on purpose') is null"
    warehouse.land([landed(2, 60)])
    with pytest.raises(AssertionError, match="on purpose"):
        warehouse.build(MODELS, manifest=failing)
    warehouse.build(MODELS)
    assert values(warehouse) == [("1-1", "many"), ("2-1", "many")]


def test_very_many_intervals_are_read_as_one(warehouse: Warehouse) -> None:
    warehouse.land([landed(key, key * 7_200) for key in range(2, 32)])
    queries = warehouse.build(MODELS)
    assert queries[VALUES].count("_ingestion_ts >= timestamp") == 1
    assert len(values(warehouse)) == 31


def test_a_long_value_is_cut(warehouse: Warehouse) -> None:
    warehouse.land([landed(2, 0, "x" * 5_000)])
    warehouse.build(MODELS)
    assert [len(value) for _, value in values(warehouse)] == [4, 1_000]


def test_quality_counts_the_live_rows_that_have_one(warehouse: Warehouse) -> None:
    """Until the source mends it: then the record stays, and the rule holds."""
    warehouse.land([landed(2, 864_000), dataclasses.replace(landed(3, 864_000), uncast={})])
    assert _measured(warehouse) == ("warn", 2, 3)
    (key,) = [row["failing_key"] for row in warehouse.rows("audit.quality_failures") if row["rule"] == RULE]
    assert key == "a value does not cast, see str_quarantine, in 2 rows"
    for mended in (1, 2):
        warehouse.land([dataclasses.replace(landed(mended, 865_000, position=2), op="UPDATE", uncast={})])
    assert _measured(warehouse) == ("pass", 0, 3)
    assert values(warehouse) == [("1-1", "many"), ("2-1", "many")]
    warehouse.client.query_and_wait("delete from audit.quality_failures where true")


def _measured(warehouse: Warehouse) -> tuple[Any, ...]:
    """Build, and return verdict, failing and checked rows of the rule."""
    warehouse.build(MODELS)
    before = {row["run_id"] for row in _results(warehouse)}
    warehouse.dbt("test", "--select", RULE)
    (row,) = [row for row in _results(warehouse) if row["run_id"] not in before]
    return row["status"], row["failing_rows"], row["checked_rows"]


def _results(warehouse: Warehouse) -> list[dict[str, Any]]:
    made = "audit" in {dataset.dataset_id for dataset in warehouse.client.list_datasets()}
    tables = {table.table_id for table in warehouse.client.list_tables("audit")} if made else set()
    return warehouse.rows("audit.quality_results") if "quality_results" in tables else []
