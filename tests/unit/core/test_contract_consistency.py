"""A contract that no message could ever meet is refused when it is read, not letter by letter."""

import dataclasses
import json
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from core.contracts import Contracts, load_contracts
from core.contracts.model import DataType, WireFormat
from core.errors import ContractError, DecodeError
from ingest.decode.plain import decoder
from ingest.message import Message

SAMPLES = ("7", "2026-01-31", "2026-01-31T12:00:00Z", 7, 7.5, True, "0x07", "07:00:00", ["a"], {"a": 1})
AVRO = {"debezium", "debezium_flat", "datastream"}
BY_DEBEZIUM = {"auto", "debezium", "debezium_flat"}


def table(name: str = "things", cursor_type: str = "string", **meta: object) -> dict[str, object]:
    columns = [
        {"name": "thing_id", "data_type": "int64", "description": "Key.", "config": {"meta": {"key": True}}},
        {"name": "moved", "data_type": cursor_type, "description": "When."},
    ]
    told = {"owner": "us", "topic": f"shop.{name}"} | meta
    return {"name": name, "description": "Things.", "config": {"meta": told}, "columns": columns}


def read(folder: Path, *tables: dict[str, object]) -> Contracts:
    source = {"name": "shop", "schema": "raw", "tables": tables}
    (folder / "things.yml").write_text(yaml.safe_dump({"sources": [source]}))
    return load_contracts(folder)


@pytest.mark.parametrize("wire_format", get_args(WireFormat))
def test_only_a_dialect_that_comes_in_avro_may_be_said_to(tmp_path: Path, wire_format: WireFormat) -> None:
    avro = table(wire_format=wire_format, encoding="avro")
    if wire_format in AVRO:
        assert read(tmp_path, avro)["things"].encoding == "avro"
    else:
        with pytest.raises(ContractError, match=rf"things\.yml: table 'things' has encoding avro.*{wire_format}"):
            read(tmp_path, avro)


@pytest.mark.parametrize("wire_format", get_args(WireFormat))
def test_only_what_debezium_wrote_has_its_properties(tmp_path: Path, wire_format: WireFormat) -> None:
    handled = table(wire_format=wire_format, debezium={"decimal_handling": "precise"})
    if wire_format in BY_DEBEZIUM:
        assert read(tmp_path, handled)["things"].debezium.decimal_handling == "precise"
    else:
        with pytest.raises(ContractError, match=f"under debezium.*wire_format is {wire_format}; remove it"):
            read(tmp_path, handled)


def is_placed(value: object, tables: Contracts) -> bool:
    """Whether the ingester makes a position of a cursor's value."""
    decode = decoder(dataclasses.replace(tables["things"], cursor="moved"), "load-1")
    body = json.dumps({"thing_id": 1, "moved": value}).encode()
    try:
        return decode(Message("projects/p/subscriptions/s", "shop.things", "event-1", body)) is not None
    except DecodeError:
        return False


@pytest.mark.parametrize("data_type", get_args(DataType))
def test_a_cursor_has_a_type_that_the_ingester_can_put_in_order(tmp_path: Path, data_type: DataType) -> None:
    told = {"cursor_type": data_type, "wire_format": "plain"}
    unordered = read(tmp_path, table(**told, pattern="upsert"))
    if any(is_placed(value, unordered) for value in SAMPLES):
        assert read(tmp_path, table(**told, pattern="incremental", cursor="moved"))["things"].cursor == "moved"
    else:
        with pytest.raises(ContractError, match=f"ordered by 'moved', a {re.escape(data_type)}"):
            read(tmp_path, table(**told, pattern="incremental", cursor="moved"))


def test_changes_and_notifications_need_a_topic_each(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"'shop\.things' is the notification_topic of 'things' and the topic of"):
        read(tmp_path, table(notification_topic="shop.things"))
    with pytest.raises(ContractError, match="the topic of 'others'"):
        read(tmp_path, table(notification_topic="shop.others"), table("others"))
    both = read(tmp_path, table(notification_topic="shop.notes"), table("others", notification_topic="shop.notes"))
    assert both.notification_topics() == ("shop.notes",)
