"""A row that moves to another key is gone from the old one, also where one message tells both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from structure_histories import BEGINNING
from structure_warehouse import Warehouse

from core.contracts import TableContract
from core.raw_row import RAW_COLUMNS
from ingest.decode.batch import batch_decoder
from ingest.message import Message
from ingest.row import RawRow

TABLE = "member_tiers"
LINES = [
    (100, "insert", {"tier_id": 1, "tier": "silver"}, None),
    (200, "insert", {"tier_id": 5, "tier": "gold"}, None),
    (300, "update", {"tier_id": 2, "tier": "gold"}, {"tier_id": 1, "tier": "silver"}),
    (400, "update", {"tier_id": 3, "tier": "gold"}, {"tier_id": 2}),
    # Something new where the row had come from.
    (500, "insert", {"tier_id": 1, "tier": "bronze"}, None),
    (600, "delete", {"tier_id": 5, "tier": "gold"}, None),
]
"""Offset in the log, type, row, and what an update changed."""
TRUTH = {1: ("bronze", False), 2: ("gold", True), 3: ("gold", False), 5: ("gold", True)}


@dataclass(frozen=True)
class Landed:
    """A raw row as the ingester appends it."""

    row: RawRow
    landed_at: datetime
    table: str = TABLE

    def raw(self, contract: TableContract) -> dict[str, Any]:
        assert contract.name == self.table
        values = {column.name: getattr(self.row, column.name.removeprefix("_"), None) for column in RAW_COLUMNS}
        values = {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
        at = datetime.fromtimestamp((self.row.source_ts or 0) / 1_000_000, UTC)
        return values | {"_publish_ts": None, "_source_ts": at, "_ingestion_ts": self.landed_at}


def maxwell(contract: TableContract) -> list[RawRow]:
    """The rows that the ingester lands of the events."""
    rest = {"member_id": 7, "reason": "earned", "started_on": date(2024, 1, 1), "ends_on": None}
    messages = []
    for number, (offset, kind, row, old) in enumerate(LINES):
        event = {"database": "loyalty", "table": TABLE, "type": kind, "ts": 1_700_000_000, "commit": True}
        event |= {"position": f"mysql-bin.000001:{offset}", "data": rest | row} | ({"old": old} if old else {})
        messages.append(Message("s", contract.topic, str(number), json.dumps(event, default=str).encode()))
    decoded = batch_decoder(replace(contract, wire_format="maxwell"), "load")(messages)
    assert not decoded.refused
    return [landing.row for landing in decoded.landings]


def tiers(warehouse: Warehouse, *arguments: str) -> dict[int, tuple[str, bool]]:
    warehouse.build(("str_truncates", f"str_{TABLE}"), *arguments)
    return {row["tier_id"]: (row["tier"], row["is_deleted"]) for row in warehouse.rows(f"structure.{TABLE}")}


def landed(rows: Sequence[RawRow], hour: int) -> list[Any]:
    return [Landed(row, BEGINNING + timedelta(hours=hour, seconds=number)) for number, row in enumerate(rows)]


@pytest.mark.parametrize("order", ["as told", "backwards", "halves apart"])
def test_the_old_key_is_deleted_and_the_new_one_is_there(structure_warehouse: Warehouse, order: str) -> None:
    warehouse = structure_warehouse
    warehouse.empty(TABLE)
    rows = maxwell(warehouse.contracts[TABLE])
    assert [row.op for row in rows] == ["INSERT", "INSERT", "DELETE", "INSERT", "DELETE", "INSERT", "INSERT", "DELETE"]
    if order == "backwards":
        rows.reverse()
    if order == "halves apart":
        rows = [*rows[1::2], *rows[0::2]]
    warehouse.land(landed(rows[:4], 0))
    tiers(warehouse)
    warehouse.land(landed(rows[4:], 1))
    assert tiers(warehouse) == TRUTH
    # Once more, all of it and each half alone.
    warehouse.land(landed(rows, 2) + landed(rows[::2], 3) + landed(rows[1::2], 4))
    assert tiers(warehouse) == TRUTH
    assert tiers(warehouse, "--full-refresh") == TRUTH
