"""Events that a real Debezium 3.6 captured from a real PostgreSQL 16 (`make live`), through the decoder.

The fixture holds one event of each kind per table, as published: value and ordering key.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from core.contracts import load_contracts
from ingest.decode import DIALECTS
from ingest.message import Message
from ingest.row import RawRow

ROOT = Path(__file__).parents[3]
CONTRACTS = load_contracts(ROOT / "dbt_project/models/raw")
CAPTURED = [json.loads(line) for line in (ROOT / "tests/fixtures/debezium/postgresql.ndjson").read_text().splitlines()]
OPS = {"c": "INSERT", "u": "UPDATE", "d": "DELETE", "r": "SNAPSHOT", "t": "TRUNCATE"}


def decoded(event: dict[str, Any]) -> RawRow:
    contract = CONTRACTS.by_topic()[event["topic"]]
    message = Message(
        subscription="projects/p/subscriptions/s",
        topic=event["topic"],
        event_id="17",
        data=(event["value"] or "").encode(),
        attributes={"source": "debezium"},
        ordering_key=_ordering_key(event["key"]),
    )
    row = DIALECTS[contract.wire_format](contract, "load")(message)
    assert row is not None
    return row


def _ordering_key(key: str | None) -> str:
    if key is None:
        return "default"
    document = json.loads(key)
    return json.dumps(document.get("payload", document), separators=(",", ":"))


def _payload(event: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(event["value"])
    return document["payload"] if document.keys() == {"schema", "payload"} else document


def _kind(event: dict[str, Any]) -> str:
    return "tombstone" if event["value"] is None else _payload(event)["op"]


def test_the_capture_holds_every_kind_and_table() -> None:
    assert {_kind(event) for event in CAPTURED} == {*OPS, "tombstone"}
    assert {event["topic"] for event in CAPTURED} == {contract.topic for contract in CONTRACTS.values()}
    changes = [event for event in CAPTURED if event["value"]]
    assert {json.loads(event["value"]).keys() == {"schema", "payload"} for event in changes} == {True, False}
    assert any("__debezium_unavailable_value" in event["value"] for event in changes)


@pytest.mark.parametrize("event", CAPTURED, ids=lambda event: f"{event['topic'].rsplit('.', 1)[-1]}-{_kind(event)}")
def test_a_captured_event_lands_as_it_was_sent(event: dict[str, Any]) -> None:
    row = decoded(event)
    contract = CONTRACTS.by_topic()[event["topic"]]
    if event["value"] is None:
        assert (row.op, row.op_inferred, row.payload, row.source_position) == ("DELETE", True, None, None)
        assert row.key == _ordering_key(event["key"]).encode()
        return
    payload = _payload(event)
    source = payload["source"]
    assert row.op == OPS[payload["op"]]
    assert not row.op_inferred
    assert row.source_system == "loyalty"
    assert row.source_table == f"member.{contract.name}"
    assert row.source_position == str(source["lsn"]).zfill(20)
    assert row.source_ts == source["ts_us"]
    for image, text in ((payload["after"], row.payload), (payload["before"], row.before)):
        assert (image is None) == (text is None)
        if text is not None:
            assert json.loads(text) == image
            # Not parsed and written again: the very text stands in the event.
            assert text.decode() in event["value"]
    if payload["op"] == "t":
        assert row.key is None
    else:
        image = payload["after"] or payload["before"]
        expected = {column.name: image[column.name] for column in contract.key}
        assert row.key == json.dumps(expected, separators=(",", ":")).encode()
