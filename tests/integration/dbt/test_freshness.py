"""How fresh the sources are is a rule whose results are kept beside those of the others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structure_events import Event
from structure_warehouse import Warehouse

FRESH, LATE, EMPTY = "member_tiers", "member_points", "member_cases"


@pytest.fixture
def warehouse(structure_warehouse: Warehouse) -> Iterator[Warehouse]:
    for table in (FRESH, LATE, EMPTY):
        structure_warehouse.empty(table)
    yield structure_warehouse
    for table in (FRESH, LATE, EMPTY):
        structure_warehouse.empty(table)


def test_what_dbt_finds_is_kept_with_the_rules(warehouse: Warehouse) -> None:
    now = datetime.now(UTC)
    for table, age in ((FRESH, timedelta(minutes=5)), (LATE, timedelta(hours=3))):
        warehouse.land([Event(table=table, op="DELETE", event_id=f"fresh-{table}", key=(1,), landed_at=now - age)])
    with pytest.raises(AssertionError):
        warehouse.dbt("source", "freshness", "--select", *(f"source:member.{table}" for table in (FRESH, LATE, EMPTY)))
    found = {
        row["table_name"]: row for row in warehouse.rows("audit.quality_results") if row["kind"] == "source_freshness"
    }
    assert {name: (row["status"], row["failing_share"]) for name, row in found.items()} == {
        f"raw.{FRESH}": ("pass", 0),
        f"raw.{LATE}": ("warn", 1),
        f"raw.{EMPTY}": ("fail", 1),
    }
    late = found[f"raw.{LATE}"]
    assert (late["rule"], late["zone"], late["dimension"]) == (
        "source_member_member_points_is_fresh",
        "raw",
        "timeliness",
    )
    assert late["description"] == "Something lands regularly: warns after 1 hour, fails after 24 hours without."
    assert (now - timedelta(hours=3)).strftime("%Y-%m-%d %H:%M") in late["message"]
    assert found[f"raw.{EMPTY}"]["message"] == "it holds no row"
    scores = {row["name"]: row["score"] for row in warehouse.rows("audit.quality_scores") if row["scope"] == "table"}
    assert (scores[f"raw.{FRESH}"], scores[f"raw.{LATE}"]) == (100, 0)
