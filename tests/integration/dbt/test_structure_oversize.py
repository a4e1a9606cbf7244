"""A pointer to an image that was too large for a row is never taken for the image."""

from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from structure_events import Event
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

from core.contracts import TableContract
from ingest.oversize import pointer

TABLE = "member_tiers"
POINTER = pointer("s3://bucket/rows/member_tiers/0", b"{}").decode()
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


@dataclass(frozen=True, kw_only=True)
class LargeBefore(Event):
    """A change whose image before it was too large."""

    def raw(self, contract: TableContract) -> dict[str, Any]:
        return super().raw(contract) | {"before": POINTER}


def change(key: int, number: int, op: Any, tier: str | None = None) -> Event:
    """The change of a key that is the number-th of all; without a tier it tells no image."""
    at = BEGINNING + timedelta(hours=number)
    after = None if tier is None else TIER | {"tier_id": key, "tier": tier}
    identity = f"{key}-{number}"
    return Event(
        table=TABLE, op=op, event_id=identity, landed_at=at, key=(key,), position=number, happened_at=at, after=after
    )  # fmt: skip


def tiers(warehouse: Warehouse) -> dict[int, tuple[str | None, bool]]:
    warehouse.build(("str_truncates", f"str_{TABLE}", "str_quarantined_values", "str_quarantine"))
    return {row["tier_id"]: (row["tier"], row["is_deleted"]) for row in warehouse.rows(f"structure.{TABLE}")}


def test_pointers_are_set_apart_and_leave_their_rows_as_they_were(structure_warehouse: Warehouse) -> None:
    warehouse = structure_warehouse
    warehouse.empty(TABLE)
    deleted = change(4, 2, "DELETE")
    large = [replace(change(key, 2, op), broken=POINTER) for key, op in enumerate(("INSERT", "UPDATE", "SNAPSHOT"), 1)]
    warehouse.land([change(key, 1, "INSERT", "silver") for key in range(1, 5)])
    warehouse.land([*large, LargeBefore(**{field.name: getattr(deleted, field.name) for field in fields(deleted)})])
    silver = ("silver", False)
    # A delete needs no image: what is known of the row stays.
    assert tiers(warehouse) == {1: silver, 2: silver, 3: silver, 4: ("silver", True)}
    apart = [row for row in warehouse.rows("structure.quarantine") if row["table_name"] == TABLE]
    assert {(row["_event_id"], row["reason"], row["payload"]) for row in apart} == {
        (f"{key}-2", "payload_is_oversize", POINTER) for key in (1, 2, 3)
    }
    # The next change that fits brings the row up to date.
    warehouse.land([change(2, 3, "UPDATE", "gold")])
    assert tiers(warehouse)[2] == ("gold", False)
    warehouse.empty(TABLE)
