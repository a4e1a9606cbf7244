"""The examples of each dialect's specification, restated with rows of ours: what each becomes, or why it is refused."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dialect_encoders import container
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Column, TableContract, load_contracts
from core.errors import ContractError, DecodeError
from ingest.decode import DIALECTS, cloudevents, positions
from ingest.decode.containers import read_container
from ingest.decode.dms import stream_position
from ingest.message import Message

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
EMAILS = CONTRACTS["member_emails"]
FIXTURES = Path("tests/fixtures/dialects")
FIELDS = {
    "key": "key", "op": "op", "op_inferred": "op_inferred", "system": "source_system", "table": "source_table",
    "position": "source_position", "sequence": "source_sequence", "source_ts": "source_ts", "event_id": "event_id",
    "trace_id": "trace_id",
}  # fmt: skip


def _fixtures() -> Iterator[Any]:
    for file in sorted(FIXTURES.glob("*.ndjson")):
        for line in file.read_text().splitlines():
            case = json.loads(line)
            yield pytest.param(file.stem, case, id=f"{file.stem}: {case['note']}")


CASES = list(_fixtures())


def message(data: bytes, **fields: Any) -> Message:
    return Message("projects/p/subscriptions/s", EMAILS.topic, "17", data, publish_ts=1_772_366_400_000_001, **fields)


def contract_of(dialect: str, **fields: Any) -> TableContract:
    wire_format = "plain" if dialect == "cloudevents" else dialect
    return dataclasses.replace(EMAILS, **({"wire_format": wire_format} | fields))


def told(contract: TableContract, sent: Message) -> dict[str, Any] | str:
    """The row's fields by the fixtures' names, or `control`, or the reason for refusing it."""
    try:
        row = DIALECTS[contract.wire_format](contract, "load-1")(sent)
    except DecodeError as error:
        return {"reason": error.reason}
    if row is None:
        return "control"
    images = {name: json.loads(getattr(row, name) or b"null") for name in ("payload", "before")}
    found = {name: getattr(row, attribute) for name, attribute in FIELDS.items()}
    return images | found | {"key": (row.key or b"").decode()}


@pytest.mark.parametrize(("dialect", "case"), CASES)
def test_an_example_is_told_as_its_fixture_says(dialect: str, case: dict[str, Any]) -> None:
    data = case["data"].encode() if isinstance(case["data"], str) else json.dumps(case["data"]).encode()
    sent = message(data, attributes=case.get("attributes", {}), ordering_key=case.get("ordering_key", ""))
    found = told(contract_of(dialect, **case.get("contract", {})), sent)
    expected = case["expected"]
    assert found == expected if isinstance(found, str) else {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(("dialect", "case"), CASES)
def test_an_example_is_recognised_unless_it_is_none(dialect: str, case: dict[str, Any]) -> None:
    """Whatever has a meaning keeps it; what has none stays refused, if for another reason."""
    data = case["data"].encode() if isinstance(case["data"], str) else json.dumps(case["data"]).encode()
    sent = message(data, attributes=case.get("attributes", {}), ordering_key=case.get("ordering_key", ""))
    contract = contract_of(dialect, **case.get("contract", {}))
    found = told(dataclasses.replace(contract, wire_format="auto"), sent)
    named = told(contract, sent)
    assert "reason" in found if "reason" in named else found == named


def test_the_row_image_keeps_every_byte() -> None:
    image = b'{ "email_id" :71, "score": 123456789012345678901234567890.10, "note":"\\u00e4" , "list":[ 1 ]}'
    event = (
        b'{"database":"member","table":"member_emails","type":"insert","ts":1,"position":"b.1:4","data":' + image + b"}"
    )
    decode = DIALECTS["maxwell"](contract_of("maxwell"), "load-1")
    row = decode(message(event))
    assert row is not None
    assert row.payload == image
    updated = decode(message(event.replace(b'"insert"', b'"update"').replace(b"}", b'},"old":{"score":1.50}', 1)))
    assert updated is not None
    assert updated.before == image.replace(b"123456789012345678901234567890.10", b"1.50").replace(b" ", b"").replace(
        b"[1]", b"[ 1 ]"
    )


def test_a_marker_that_is_a_column_is_data() -> None:
    column = dataclasses.replace(EMAILS.column("email"), name="operation")
    contract = dataclasses.replace(contract_of("plain"), columns=(*EMAILS.columns, column), pattern="upsert")
    row = DIALECTS["plain"](contract, "load-1")(message(b'{"email_id":71,"operation":"delete"}'))
    assert row is not None
    assert (row.op, row.payload) == ("UPSERT", b'{"email_id":71,"operation":"delete"}')


def test_auto_reads_json_only() -> None:
    with pytest.raises(ContractError, match="name the dialect"):
        DIALECTS["auto"](contract_of("auto", encoding="avro"), "load-1")


def test_what_is_no_dialect_is_refused() -> None:
    contract = contract_of("auto")
    for data in (
        b'{"email_id":71}',
        b"{}",
        b'{"metadata":{}}',
        b'{"op":"c"}',
        b'{"schema":{},"payload":{"email_id":71}}',
    ):
        assert told(contract, message(data)) == {"reason": "unrecognised_dialect"}


def test_messages_that_are_no_rows_are_recognised() -> None:
    contract = contract_of("auto")
    for data in (b'{"ts_ms":1}', b'{"status":"BEGIN","id":"7"}', b'{"schema":{},"payload":{"ts_ms":1}}'):
        assert told(contract, message(data)) == "control"
    for data in (b"", b"null", b'{"schema":null,"payload":null}'):
        tombstone = told(contract, message(data, ordering_key='{"email_id":71}'))
        assert isinstance(tombstone, dict)
        assert (tombstone["op"], tombstone["position"]) == ("DELETE", None)


def test_the_attributes_of_a_cloudevent_stay_with_its_message() -> None:
    event = {"specversion": "1.0", "id": "e-1", "source": "/s", "type": "t", "time": "2026-03-01T12:00:00Z", "n": 5}
    sent = message(json.dumps(event | {"data": {"a": 1.50}}).encode(), attributes={"origin": "x"}, ordering_key="k")
    inner = cloudevents.unwrap(sent)
    assert inner.data == b'{"a": 1.5}'
    assert (inner.event_id, inner.ordering_key, inner.publish_ts) == (sent.event_id, "k", sent.publish_ts)
    assert inner.attributes == {"origin": "x"} | {f"ce-{name}": str(value) for name, value in event.items()}
    plain = message(b'{"a":"\\"specversion\\""}')
    assert cloudevents.unwrap(plain) is plain


# Positions ------------------------------------------------------------------------------------------------------------


WRITERS: list[Callable[[tuple[int, int]], str]] = [
    lambda place: positions.postgresql(f"{place[0]:X}/{place[1]:X}"),
    lambda place: positions.mysql(f"mysql-bin.{place[0]:06d}", place[1]),
    lambda place: positions.sql_server(f"{place[0]:08X}:{place[1]:08x}:0001"),
    lambda place: positions.oracle(place[0], f"0x{place[1]:06x}.0000000a.0010"),
    lambda place: stream_position(f"{place[0]}.{place[1]}"),
    lambda place: stream_position(f"{place[0]:08X}/{place[1]:08X}.3.{place[0]:08X}/{place[1]:08X}"),
    lambda place: stream_position(f"mysql-bin-changelog.{place[0]:06d}:{place[1]}:-1:7"),
    lambda place: positions.instant(place[0] * 50_000_000 + place[1] // 100),
]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=2, max_size=2))
def test_positions_sort_as_their_logs_do(places: list[tuple[int, int]]) -> None:
    first, second = sorted(places)
    for write in WRITERS:
        assert write(first) <= write(second)
        assert (write(first) == write(second)) <= (first == second or "T" in write(first))
        assert write(first) >= positions.LOWEST or "0000:" in write(first)


def test_the_case_of_hexadecimal_digits_says_nothing() -> None:
    assert positions.sql_server("0000000A:000000ff:000B") == positions.sql_server("0000000a000000FF000b")
    assert positions.postgresql("a/ff") == positions.postgresql("A/FF") == f"{0xA_0000_00FF:020d}"


def cursor_positions(column: str, data_type: str, values: list[Any]) -> list[str]:
    changed: Column = dataclasses.replace(EMAILS.column(column), data_type=data_type)  # type: ignore[arg-type]
    columns = tuple(changed if each.name == column else each for each in EMAILS.columns)
    contract = dataclasses.replace(contract_of("plain"), columns=columns, pattern="incremental", cursor=column)
    decode = DIALECTS["plain"](contract, "load-1")
    rows = [decode(message(json.dumps({"email_id": 71, column: value}).encode())) for value in values]
    return [row.source_position or "" for row in rows if row]


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_integer_cursors_sort_as_numbers(values: list[int]) -> None:
    assert cursor_positions("created_at", "int64", sorted(values)) == sorted(
        cursor_positions("created_at", "int64", [str(value) for value in values])
    )


@given(st.lists(st.decimals(0, 10**28, places=9)))
def test_numeric_cursors_sort_as_numbers(values: list[Decimal]) -> None:
    written = cursor_positions("created_at", "numeric", [str(value) for value in sorted(values)])
    assert written == sorted(written)
    assert len(set(written)) == len(set(values))


@given(st.lists(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones())))
def test_instants_sort_as_instants(values: list[datetime]) -> None:
    written = cursor_positions("created_at", "timestamp", [value.isoformat() for value in sorted(values)])
    assert written == sorted(written)


def test_dates_and_days_are_the_same_cursor() -> None:
    assert (
        cursor_positions("created_at", "date", ["2026-03-01", (date(2026, 3, 1) - date(1970, 1, 1)).days])
        == ["2026-03-01T00:00:00.000000Z"] * 2
    )


# Avro -----------------------------------------------------------------------------------------------------------------


def record(*fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields]}


CALENDAR_DATE = record(("year", "int"), ("month", "int"), ("day", "int")) | {"name": "calendarDate"}


def test_avro_values_are_written_as_the_casts_read_them() -> None:
    with_zone = record(
        ("timestamp", {"type": "long", "logicalType": "timestamp-micros"}), ("offset", "int")
    ) | {"name": "timestampTz"}  # fmt: skip
    schema = record(
        ("amount", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}),
        ("number", {"type": "string", "logicalType": "number", "precision": 38, "scale": 2}),
        ("born", {"type": "int", "logicalType": "date"}),
        ("day", CALENDAR_DATE),
        ("seen", with_zone),
        ("made", {"type": "long", "logicalType": "local-timestamp-micros"}),
        ("at", {"type": "long", "logicalType": "time-micros"}),
        ("photo", "bytes"),
        ("tags", {"type": "array", "items": "string"}),
        ("gone", ["null", "string"]),
    )
    seen = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
    row = {
        "amount": Decimal("-1.50"),
        "number": "12345678901234567890.10",
        "born": date(1990, 2, 3),
        "day": {"year": 1990, "month": 2, "day": 3},
        "seen": {"timestamp": seen, "offset": 3_600_000},
        "made": datetime(2026, 3, 1, 12, 0, 0, 5),
        "at": time(1, 2, 3, 4),
        "photo": b"\x00\xff",
        "tags": ["a"],
        "gone": None,
    }
    assert json.loads(read_container(container(schema, [row]))) == {
        "amount": "-1.50",
        "number": "12345678901234567890.10",
        "born": "1990-02-03",
        "day": "1990-02-03",
        "seen": "2026-03-01T12:00:00.000005Z",
        "made": "2026-03-01T12:00:00.000005",
        "at": "01:02:03.000004",
        "photo": "AP8=",
        "tags": ["a"],
        "gone": None,
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{}", "invalid_avro"),
        (b"Obj\x01", "invalid_avro"),
        (container(record(("a", "int")), []), "invalid_avro"),
        (container({"type": "int"}, [1]), "invalid_avro"),  # type: ignore[list-item]
        (container(record(("a", "int")), [{"a": 1}, {"a": 2}]), "batch_of_rows"),
        (container(record(("a", "double")), [{"a": float("nan")}]), "non_finite_number"),
        (container(CALENDAR_DATE, [{"year": 1990, "month": 13, "day": 1}]), "invalid_avro"),
    ],
    ids=["json", "cut_off", "no_rows", "no_record", "two_rows", "not_a_number", "no_such_month"],
)  # fmt: skip
def test_a_container_that_is_not_one_event_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_container(data)
    assert caught.value.reason == reason
