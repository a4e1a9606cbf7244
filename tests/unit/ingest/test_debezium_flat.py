"""Flattened events are as good as whole ones when they carry what puts them in order, and honest when they do not.

Forms restate https://debezium.io/documentation/reference/stable/transformations/event-flattening.html with rows of
ours; the whole event, decoded by its own dialect, is the oracle.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import TableContract, load_contracts
from core.debezium import DebeziumHandling
from core.errors import DecodeError
from ingest.decode import DIALECTS
from ingest.message import Message
from ingest.row import RawRow

EMAILS = dataclasses.replace(
    load_contracts(Path("dbt_project/models/raw"))["member_emails"], wire_format="debezium_flat"
)  # fmt: skip
ROW = {"email_id": 7, "email": "a@example.org", "created_at": 1_767_323_045_678_901}
SOURCES: dict[str, dict[str, Any]] = {
    "postgresql": {"lsn": 24023128},
    "mysql": {"file": "binlog.000007", "pos": 614, "row": 2},
    "sqlserver": {
        "commit_lsn": "00000027:00000ac0:0007", "change_lsn": "00000027:00000ac0:0002", "event_serial_no": 2,
    },
    "oracle": {"scn": "2122185", "commit_scn": "2122186", "rs_id": " 0x0004d2.00012345.0124 ", "ssn": 1},
    "mongodb": {"ord": 6},
}  # fmt: skip


def decoded(data: Any, contract: TableContract = EMAILS, **fields: Any) -> RawRow | None:
    body = b"" if data is None else json.dumps(data).encode()
    message = Message("s", contract.topic, "1", body, **{"ordering_key": '{"email_id":7}', **fields})
    return DIALECTS[contract.wire_format](contract, "load")(message)


def landed(data: Any, contract: TableContract = EMAILS, **fields: Any) -> RawRow:
    row = decoded(data, contract, **fields)
    assert row is not None
    return row


def source(connector: str) -> dict[str, Any]:
    named = {"connector": connector, "name": "loyalty", "schema": "member", "table": "member_emails"}
    return {**named, "ts_ms": 1_767_323_045_000, **SOURCES[connector]}


@pytest.mark.parametrize("connector", ["postgresql", "mysql", "sqlserver", "oracle"])
@pytest.mark.parametrize("op", ["c", "u", "r", "d"])
@pytest.mark.parametrize("carried_by", ["fields", "headers"])
@given(total_order=st.integers(0, 10**9))
def test_a_flat_event_is_as_good_as_the_whole_one(connector: str, op: str, carried_by: str, total_order: int) -> None:
    images = {"before": ROW} if op == "d" else {"after": ROW}
    whole = {"op": op, "source": source(connector), "transaction": {"total_order": total_order}, **images}
    oracle = landed(whole, dataclasses.replace(EMAILS, wire_format="debezium"))
    added = {
        f"__source_{name}" if name in ("ts_ms", "name") else f"__{name}": value
        for name, value in source(connector).items()
    }
    added |= {"__op": op, "__ts_ms": 5, "__transaction_total_order": total_order, "__deleted": str(op == "d").lower()}
    if carried_by == "headers":
        row = landed(ROW, attributes={name: str(value) for name, value in added.items()})
        assert (row.payload, row.before) == (oracle.payload, oracle.before)
    else:
        row = landed(ROW | added)
        text = json.dumps(ROW | added).encode()
        assert (row.payload, row.before) == ((None, text) if op == "d" else (text, None))
    for name in (
        "op",
        "op_inferred",
        "source_system",
        "source_table",
        "key",
        "source_ts",
        "source_position",
        "source_sequence",
    ):
        assert getattr(row, name) == getattr(oracle, name), name


@pytest.mark.parametrize("quoted", ['"c"', '{"schema":{"type":"string"},"payload":"c"}', "c"])
def test_a_header_is_read_out_of_the_json_a_converter_made_of_it(quoted: str) -> None:
    row = landed(ROW, attributes={"__op": quoted, "__lsn": '{"schema":{"type":"int64"},"payload":5}'})
    assert (row.op, row.op_inferred, row.source_position) == ("INSERT", False, f"{5:020d}")


def test_a_header_that_only_begins_like_json_is_text() -> None:
    with pytest.raises(DecodeError) as caught:
        landed(ROW, attributes={"__op": '"c'})
    assert caught.value.reason == "unknown_operation"


def test_a_row_without_metadata_is_worked_out_and_cannot_be_ordered() -> None:
    row = landed(ROW)
    assert (row.op, row.op_inferred, row.source_position, row.source_sequence) == ("UPDATE", True, None, None)
    assert (row.source_system, row.source_table) == ("loyalty", "member.member_emails")
    assert row.payload == json.dumps(ROW).encode()
    upserts = dataclasses.replace(EMAILS, pattern="upsert")
    assert landed(ROW, upserts).op == "UPSERT"


def test_an_operation_without_a_position_counts_as_worked_out() -> None:
    row = landed(ROW | {"__op": "c"})
    assert (row.op, row.op_inferred, row.source_position) == ("INSERT", True, None)


@pytest.mark.parametrize(
    ("data", "attributes", "expected"),
    [
        (ROW | {"__deleted": "true", "__lsn": 5}, {}, (False, 5)),
        (ROW | {"__deleted": True, "__lsn": 5}, {}, (False, 5)),
        (ROW | {"__op": "d", "__source_lsn": 5}, {}, (False, 5)),
        (None, {"__op": "d", "__lsn": "5"}, (False, 5)),
        (None, {"__deleted": "true", "__lsn": "5"}, (False, 5)),
        (None, {"__lsn": "5"}, (True, 5)),
        (None, {"__op": "d"}, (True, None)),
        (None, {}, (True, None)),
    ],
)
def test_every_way_of_saying_that_a_row_is_gone(
    data: Any, attributes: dict[str, str], expected: tuple[bool, Any]
) -> None:
    row = landed(data, attributes=attributes)
    inferred, lsn = expected
    assert (row.op, row.op_inferred, row.key, row.payload) == ("DELETE", inferred, b'{"email_id":7}', None)
    assert row.source_position == (None if lsn is None else f"{lsn:020d}")
    assert (row.before is None) == (data is None)


def test_a_row_that_is_marked_as_alive_is_alive() -> None:
    assert landed(ROW | {"__deleted": "false", "__op": "u", "__lsn": 5}).op == "UPDATE"


def test_the_schema_wrapper_and_its_decimals_are_understood() -> None:
    contract = dataclasses.replace(EMAILS)
    fields = [
        {"type": "int64", "field": "email_id"},
        {
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2"},
            "field": "price",
        },
        {"type": "string", "field": "__op"},
        {"type": "int64", "field": "__lsn"},
    ]
    payload = {"email_id": 7, "price": "BOI=", "__op": "u", "__lsn": 5}
    row = landed({"schema": {"type": "struct", "fields": fields}, "payload": payload}, contract)
    assert json.loads(row.payload or b"") == payload | {"price": "12.50"}
    assert row.source_position == f"{5:020d}"


def test_another_prefix_is_declared() -> None:
    contract = dataclasses.replace(EMAILS, debezium=DebeziumHandling(metadata_prefix="cdc."))
    row = landed(ROW | {"cdc.op": "r", "cdc.lsn": 5, "__op": "d"}, contract)
    assert (row.op, row.op_inferred, row.source_position) == ("SNAPSHOT", False, f"{5:020d}")


def test_a_document_flattened_from_mongodb() -> None:
    row = landed(ROW | {"__op": "u", "__ord": 6, "__source_ts_ms": 1_767_323_045_000, "__collection": "member_emails"})
    assert (row.op, row.source_position) == ("UPDATE", "001767323045000:0000000006")
    assert row.source_table == "member_emails"


@pytest.mark.parametrize(
    "data",
    [
        {"ts_ms": 1},
        {"schema": {"type": "struct"}, "payload": {"ts_ms": 1}},
        {"status": "END", "id": "7:8", "event_count": 2, "data_collections": [], "ts_ms": 1},
        {"source": {}, "databaseName": "d", "schemaName": None, "ddl": "drop", "tableChanges": [], "ts_ms": 1},
    ],
)
def test_what_the_transformation_lets_through_unchanged_is_control(data: Any) -> None:
    assert decoded(data) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"email": "a"}, "missing_key"),
        (ROW | {"__op": "x"}, "unknown_operation"),
        (ROW | {"__op": "u", "__lsn": "many"}, "invalid_envelope"),
        (ROW | {"__op": "u", "__lsn": 5, "__transaction_total_order": "many"}, "invalid_envelope"),
        (ROW | {"__op": "u", "__file": "binlog.000001"}, "missing_position"),
        (ROW | {"__op": "u", "__connector": "spanner", "__lsn": 5}, "unknown_connector"),
        (ROW | {"__op": "u", "__lsn": 5, "__table": "others"}, "wrong_table"),
        ([1], "invalid_envelope"),
    ],
)
def test_a_fault_has_a_reason(data: Any, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(data)
    assert caught.value.reason == reason


def test_auto_recognises_it() -> None:
    row = landed(ROW | {"__op": "u", "__lsn": 5}, dataclasses.replace(EMAILS, wire_format="auto"))
    assert (row.op, row.source_position) == ("UPDATE", f"{5:020d}")
