"""Events that a real Debezium 3.6 captured from a real MariaDB (`python -m devstack.live.mariadb`), twice.

What became of each value is compared with the rows the workload wrote, known from its statements.
"""

import dataclasses
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.contracts import Column, TableContract, load_contracts
from core.debezium import DebeziumHandling
from ingest.decode import DIALECTS
from ingest.message import Message
from ingest.row import RawRow

ROOT = Path(__file__).parents[3]
MEMBERS = load_contracts(ROOT / "dbt_project/models/raw")["members"]
CAPTURED = [json.loads(line) for line in (ROOT / "tests/fixtures/debezium/mariadb.ndjson").read_text().splitlines()]
BARE = DebeziumHandling(
    decimal_handling="precise", time_precision="adaptive_time_microseconds", binary_handling="hex"
)  # fmt: skip
OPS = {"c": "INSERT", "u": "UPDATE", "d": "DELETE", "r": "SNAPSHOT", "t": "TRUNCATE"}


def column(name: str, data_type: str, **fields: Any) -> Column:
    plain: dict[str, Any] = {"is_key": False, "is_nullable": True, "pii": None, "allowed_values": ()}
    return Column(name=name, data_type=data_type, description=name, **(plain | fields))  # type: ignore[arg-type]


# BIT comes in base64 whatever `binary.handling.mode` says: `bits` is declared as the text it then is.
THINGS = (
    column("thing_id", "numeric", is_key=True, is_unsigned=True),
    column("small", "int64"), column("flag", "bool"), column("price", "numeric", scale=2), column("ratio", "float64"),
    column("name", "string"), column("body", "string"), column("document", "json"), column("raw", "bytes"),
    column("born", "date"), column("at_time", "time", precision=3), column("made", "datetime", precision=0),
    column("made_milli", "datetime", precision=3), column("made_micro", "datetime", precision=6),
    column("seen", "timestamp", precision=6), column("counter", "numeric", is_unsigned=True),
    column("kind", "string"), column("bits", "string"),
)  # fmt: skip
PAIRS = (column("left_id", "int64", is_key=True), column("right_code", "string", is_key=True), column("note", "string"))


def contract(event: dict[str, Any]) -> TableContract:
    table = event["topic"].rpartition(".")[2]
    return dataclasses.replace(
        MEMBERS,
        name=table,
        topic=event["topic"],
        columns={"things": THINGS, "pairs": PAIRS}[table],
        debezium=BARE if event["mode"] == "bare" else DebeziumHandling(),
    )


def decoded(event: dict[str, Any]) -> RawRow | None:
    table = contract(event)
    message = Message("s", table.topic, "1", (event["value"] or "").encode(), ordering_key=event["key"] or "default")
    return DIALECTS["debezium"](table, "load")(message)


def changes(mode: str, table: str) -> Iterator[tuple[dict[str, Any], RawRow]]:
    for event in CAPTURED:
        if (event["mode"], event["topic"]) == (mode, f"{mode}.shop.{table}"):
            row = decoded(event)
            assert row is not None
            yield event, row


def test_the_capture_holds_every_kind() -> None:
    things = [row.op for _, row in changes("bare", "things")]
    pairs = [row.op for _, row in changes("bare", "pairs")]
    assert {*things, *pairs} == {*OPS.values()}
    assert len({event["topic"] for event in CAPTURED}) == 6


@pytest.mark.parametrize("event", [event for event in CAPTURED if event["topic"] in ("bare", "schemas")])
def test_a_change_of_the_schema_is_no_row(event: dict[str, Any]) -> None:
    message = Message("s", "bare.shop.pairs", "1", event["value"].encode())
    assert DIALECTS["debezium"](contract({"mode": "bare", "topic": "bare.shop.pairs"}), "load")(message) is None


@pytest.mark.parametrize("table", ["things", "pairs"])
def test_positions_order_the_events_as_the_log_held_them(table: str) -> None:
    """Over three files, with several rows in one event; only tombstones have no place."""
    placed = [row for _, row in changes("bare", table) if row.source_position is not None]
    streamed = [row for row in placed if row.op != "SNAPSHOT"]
    of_one_key: dict[bytes | None, list[str]] = {}
    for row in placed:
        of_one_key.setdefault(row.key, []).append(row.source_position or "")
    assert all(texts == sorted(texts) and len(set(texts)) == len(texts) for texts in of_one_key.values())
    assert [row.source_position for row in streamed] == sorted(row.source_position or "" for row in streamed)
    assert {(row.source_position or "")[:10] for row in streamed} == {"0000000001", "0000000002", "0000000003"}
    # The rows of one event have one position but for their number.
    assert len({(row.source_position or "")[:31] for row in streamed}) < len(streamed)


@pytest.mark.parametrize("mode", ["bare", "schemas"])
def test_the_first_row_lands_as_it_was_written(mode: str) -> None:
    row = next(row for _, row in changes(mode, "things") if row.op == "SNAPSHOT")
    assert row.key == b'{"thing_id":"1"}'
    assert (row.source_system, row.source_table) == (mode, "shop.things")
    image = json.loads(row.payload or b"")
    assert image == {
        "thing_id": 1 if mode == "bare" else "1", "small": 1, "flag": 1, "price": "12.34", "ratio": 0.5,
        "name": "plain", "body": "long", "document": '{"a": 1}', "raw": "AP8Q", "born": 10_956,
        "at_time": ((12 * 60 + 34) * 60 + 56) * 10**6 + 789_000, "made": "2001-02-03T04:05:06.000",
        "made_milli": "2001-02-03T04:05:06.789", "made_micro": 981_173_106_789_012,
        "seen": "2001-02-03T04:05:06.789012Z", "counter": "18446744073709551615", "kind": "small", "bits": "BQA=",
    }  # fmt: skip


def test_unsigned_numbers_keep_their_size_also_as_keys() -> None:
    for mode in ("bare", "schemas"):
        created = next(row for _, row in changes(mode, "things") if row.op == "INSERT")
        assert created.key == b'{"thing_id":"9223372036854775808"}'
        image = json.loads(created.payload or b"")
        assert (image["counter"], image["price"], image["made"]) == (
            "9223372036854775808", "0.01", "2024-02-29T23:59:59.000",
        )  # fmt: skip
    gone = [row for event, row in changes("bare", "things") if event["value"] is None]
    assert [row.key for row in gone] == [b'{"thing_id":"9223372036854775808"}', b'{"thing_id":"18446744073709551614"}']
    assert all((row.op, row.op_inferred, row.source_position) == ("DELETE", True, None) for row in gone)


def test_the_last_state_of_every_key_is_that_of_the_database() -> None:
    """Applied in the order of their positions, whatever the order of arrival."""
    last: dict[bytes, RawRow] = {}
    truncated = ""
    for _, row in sorted(changes("bare", "pairs"), key=lambda pair: pair[1].source_position or ""):
        if row.op == "TRUNCATE":
            truncated = row.source_position or ""
        elif row.source_position is not None:
            last[row.key or b""] = row
    alive = {
        key: json.loads(row.payload or b"")["note"]
        for key, row in last.items()
        if row.op != "DELETE" and (row.source_position or "") > truncated
    }
    assert alive == {b'{"left_id":9,"right_code":"after"}': "the truncate"}
    before = {key: row for key, row in last.items() if row.op != "DELETE" and (row.source_position or "") < truncated}
    assert json.loads(before[b'{"left_id":7,"right_code":"again"}'].payload or b"")["note"] == "back"
    assert b'{"left_id":8,"right_code":"never"}' not in last
    assert b'{"left_id":1,"right_code":"moved"}' in before


def test_text_and_spans_keep_what_they_are() -> None:
    images = [json.loads(row.payload) for _, row in changes("bare", "things") if row.payload]
    assert 'Ärger 😀 "quoted"' in [image["name"] for image in images]
    spans = [image["at_time"] for image in images if image["thing_id"] in (4, 5)]
    assert spans == [-43_200_500_000, 360_000_000_000]
    assert {Decimal(image["price"]) for image in images if image["thing_id"] == 3} == {
        Decimal("-9999999999.99"), Decimal("-9999999998.99"),
    }  # fmt: skip
