"""Every raw row is applied by the next run, however late it becomes visible; a run reads no more than it must."""

import copy
import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structure_events import Event
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

TABLE = "member_tiers"
MODEL = f"str_{TABLE}"
MODELS = ("str_truncates", MODEL)
NEWEST = BEGINNING + timedelta(days=400)
FROM_THE_BEGINNING = [datetime(1970, 1, 2, tzinfo=UTC)]
_LITERAL = re.compile(r"_ingestion_ts (?:>=|<) (?:timestamp_sub\()?timestamp '([^']+)'")


def landed(key: int, at: datetime, tier: str = "silver", position: int = 1) -> Event:
    after = {"tier_id": key, "member_id": 7, "tier": tier, "reason": "earned", "started_on": BEGINNING.date()}
    after |= {"qualifying_points": None, "ends_on": None, "created_at": BEGINNING, "updated_at": BEGINNING}
    identity = f"{key}-{position}"
    return Event(table=TABLE, op="INSERT", event_id=identity, landed_at=at, key=(key,), position=position, after=after)


def truncated(at: datetime, position: int) -> Event:
    return Event(table=TABLE, op="TRUNCATE", event_id=f"truncate-{position}", landed_at=at, position=position)


def tiers(warehouse: Warehouse) -> dict[int, tuple[str, bool]]:
    return {key: (row["tier"], row["is_deleted"]) for (key,), row in warehouse.structure(TABLE).items()}


def bounds(queries: dict[str, str]) -> list[datetime]:
    """Return the literals by which the model's run read raw."""
    return [datetime.fromisoformat(text) for text in _LITERAL.findall(queries[MODEL])]


@pytest.fixture
def warehouse(structure_warehouse: Warehouse) -> Iterator[Warehouse]:
    """A table whose newest row has been applied."""
    structure_warehouse.empty(TABLE)
    structure_warehouse.land([landed(1, NEWEST), landed(2, BEGINNING)])
    queries = structure_warehouse.build(MODELS)
    assert bounds(queries) == FROM_THE_BEGINNING
    yield structure_warehouse
    structure_warehouse.empty(TABLE)


def test_rows_that_become_visible_late_are_applied_by_the_next_run_and_read_once(warehouse: Warehouse) -> None:
    ages = [timedelta(), timedelta(seconds=1), timedelta(minutes=11), timedelta(minutes=12), timedelta(minutes=55),
            timedelta(days=2), timedelta(days=399), timedelta(days=400 * 20)]  # fmt: skip
    late = {number: NEWEST - age for number, age in enumerate(ages, 10)}
    warehouse.land(landed(key, at) for key, at in late.items())
    found = bounds(warehouse.build(MODELS))
    assert tiers(warehouse) == dict.fromkeys((1, 2, *late), ("silver", False))
    # From the newest ten minutes on, and of what lies behind only the tens of minutes that hold something new.
    assert found[0] == NEWEST + timedelta(minutes=10)
    starts, ends = found[1::2], found[2::2]
    lengths = [(end - start) // timedelta(minutes=1) for start, end in zip(starts, ends, strict=True)]
    assert lengths == [10, 10, 10, 10, 20]  # of 12 minutes and of a second ago are neighbours
    # The next run reads none of them again.
    assert bounds(warehouse.build(MODELS)) == found[:1]


@pytest.mark.parametrize("before_they_end", [timedelta(microseconds=1), timedelta(milliseconds=499)])
def test_the_last_instants_of_ten_minutes_are_counted_to_them(warehouse: Warehouse, before_they_end: timedelta) -> None:
    warehouse.land([landed(3, NEWEST + timedelta(minutes=10) - before_they_end)])
    warehouse.build(MODELS)
    again = warehouse.build(MODELS)
    assert bounds(again) == [NEWEST + timedelta(minutes=10)]
    assert NEWEST in {datetime.fromisoformat(text) for text in _LITERAL.findall(again["str_truncates"])}


def test_a_truncate_that_becomes_visible_late_is_remembered(warehouse: Warehouse) -> None:
    warehouse.land([truncated(NEWEST - timedelta(days=30), 5)])
    warehouse.build(MODELS)
    warehouse.land([landed(3, NEWEST, position=4), landed(4, NEWEST, position=6)])
    warehouse.build(MODELS)
    assert tiers(warehouse) == {key: ("silver", key != 4) for key in (1, 2, 3, 4)}


def test_what_a_failed_model_has_not_applied_is_read_again(warehouse: Warehouse) -> None:
    failing = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    failing.nodes[f"model.millrace.{MODEL}"].raw_code += "\nwhere error('on purpose') is null"
    warehouse.land([landed(3, NEWEST - timedelta(days=1)), landed(4, NEWEST + timedelta(days=1))])
    with pytest.raises(AssertionError, match="on purpose"):
        warehouse.build(MODELS, manifest=failing)
    # A run of the model alone finds it, and confirms nothing; so does the next.
    for _ in range(2):
        alone = warehouse.build((MODEL,))
        assert len(bounds(alone)) == 3
        assert set(tiers(warehouse)) == {1, 2, 3, 4}
    warehouse.build(MODELS)
    assert len(bounds(warehouse.build(MODELS))) == 1


def test_rows_that_vanish_are_not_waited_for(warehouse: Warehouse) -> None:
    warehouse.client.query_and_wait(f"delete from raw.{TABLE} where _event_id = '2-1'")
    assert len(bounds(warehouse.build(MODELS))) == 1
    warehouse.land([landed(3, BEGINNING)])
    assert len(bounds(warehouse.build(MODELS))) == 3
    assert set(tiers(warehouse)) == {1, 2, 3}


def test_a_late_row_that_takes_the_place_of_another_is_found_where_rows_are_counted_again(warehouse: Warehouse) -> None:
    """The total alone does not tell; the wider overlap, by which the daily sweep counts again, does."""
    warehouse.client.query_and_wait(f"delete from raw.{TABLE} where _event_id = '2-1'")
    warehouse.land([landed(3, BEGINNING + timedelta(microseconds=1))])
    warehouse.build(MODELS)
    assert set(tiers(warehouse)) == {1, 2}
    minutes = (NEWEST - BEGINNING) // timedelta(minutes=1) + 20
    warehouse.build(MODELS, "--vars", f"{{cdc_overlap_minutes: {minutes}}}")
    assert set(tiers(warehouse)) == {1, 2, 3}


def test_a_row_stamped_in_the_future_hides_nothing(warehouse: Warehouse) -> None:
    now = datetime.now(UTC)
    warehouse.land([landed(3, now + timedelta(days=3))])
    warehouse.build(MODELS)
    warehouse.land([landed(4, now), landed(5, now + timedelta(days=1))])
    warehouse.build(MODELS)
    assert set(tiers(warehouse)) == {1, 2, 3, 4, 5}


def test_very_many_late_intervals_are_read_as_one(warehouse: Warehouse) -> None:
    late = {key: BEGINNING + timedelta(hours=key) for key in range(10, 40)}
    warehouse.land(landed(key, at) for key, at in late.items())
    found = bounds(warehouse.build(MODELS))
    assert found[1:] == [BEGINNING + timedelta(hours=10), BEGINNING + timedelta(hours=39, minutes=10)]
    assert set(tiers(warehouse)) == {1, 2, *late}


@pytest.mark.parametrize("blind", ["_cdc_is_due", "cdc_counted_from"])
def test_who_does_not_count_loses_late_rows(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, blind: str) -> None:
    """The control: mutants that take every interval for applied, or the number of older rows for what it was."""
    macro: Any = warehouse.manifest.macros[f"macro.millrace.{blind}"]
    sql = macro.macro_sql.replace("found_count > 0", "false").replace(
        "if found[row['table_name']] ==", "if true or 0 =="
    )
    assert sql != macro.macro_sql
    monkeypatch.setattr(macro, "macro_sql", sql)
    warehouse.land([landed(3, NEWEST - timedelta(days=2))])
    warehouse.build(MODELS)
    assert set(tiers(warehouse)) == {1, 2}
