"""Envelopes are what Debezium's PostgreSQL connector sends, value for value and schema for schema."""

import base64
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_oracle import read_event, read_row
from world_stories import Told

from core.contracts import Column, Contracts, TableContract
from core.errors import ContractError
from devstack.world import Change, Connector, encode, encode_key
from devstack.world.debezium import heartbeat, source_table, transaction_begin, transaction_end
from devstack.world.jsonb import jsonb_text
from devstack.world.postgres_types import UNAVAILABLE

NOW = datetime(2026, 1, 5, 6, 7, 8, 901_234, tzinfo=UTC)
JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "int64": int,
    "int32": int,
    "string": str,
    "double": (float, int),
    "boolean": bool,
    "bytes": str,
    "array": list,
}


class Source(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    connector: Literal["postgresql"]
    name: Literal["loyalty"]
    ts_ms: int
    snapshot: Literal["true", "first", "first_in_data_collection", "last_in_data_collection", "last", "false"]
    db: str
    sequence: str
    ts_us: int
    ts_ns: int
    schema: Literal["member"]
    table: str
    txId: int  # noqa: N815 - Debezium's spelling
    lsn: int
    xmin: int | None


class TransactionBlock(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    total_order: int
    data_collection_order: int


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: Source
    transaction: TransactionBlock | None
    op: Literal["c", "u", "d", "r", "t"]
    ts_ms: int
    ts_us: int
    ts_ns: int


def test_every_envelope_has_the_documented_shape(told: Told, contracts: Contracts) -> None:
    by_topic = contracts.by_topic()
    for message in told.messages:
        if message.kind != "event":
            continue
        event = msgspec.convert(read_event(message), Envelope, strict=True)
        contract = by_topic[message.topic]
        assert event.source.table == contract.name == message.table
        assert event.source.ts_us // 1_000 == event.source.ts_ms
        assert event.source.ts_us * 1_000 == event.source.ts_ns
        assert event.ts_us >= event.source.ts_us
        assert (event.before is None) == (event.op in ("c", "r"))
        assert (event.after is None) == (event.op == "d")
        assert (event.source.snapshot == "false") == (event.op != "r") == (event.transaction is not None)
        assert json.loads(event.source.sequence)[1] == str(event.source.lsn)
        image = event.after or event.before
        assert image is not None
        assert json.loads(message.ordering_key) == {column.name: image[column.name] for column in contract.key}


def test_the_schema_wrapper_describes_its_payload(told: Told) -> None:
    wrapped = [m for m in told.messages if m.kind == "event" and m.data.startswith(b'{"schema":')]
    assert wrapped
    for message in wrapped:
        document = json.loads(message.data)
        _check_struct(document["schema"], document["payload"])


def _check_struct(schema: dict[str, Any], value: Any) -> None:
    assert schema["type"] == "struct"
    if value is None:
        assert schema["optional"]
        return
    assert [field["field"] for field in schema["fields"]] == list(value)
    for field in schema["fields"]:
        inner = value[field["field"]]
        if field["type"] == "struct":
            _check_struct(field, inner)
        elif inner is None:
            assert field["optional"], field
        else:
            assert isinstance(inner, JSON_TYPES[field["type"]]), field


def test_a_snapshot_marks_its_first_and_last_rows(told: Told) -> None:
    reads = [change.snapshot for change in told.changes if change.op == "r" and not change.by_notification]
    assert (reads[0], reads[-1]) == ("first", "last")
    assert reads.count("first") == reads.count("last") == 1
    assert reads.count("first_in_data_collection") == reads.count("last_in_data_collection") == 12


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "numeric": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda unscaled: Decimal(unscaled).scaleb(-9)),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "bytes": st.binary(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
    "json": st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ).map(jsonb_text),
    "array<string>": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3).map(tuple),
}


def _column(name: str, data_type: Any, *, is_key: bool = False, is_nullable: bool = True) -> Column:
    return Column(name, data_type, name, is_key, is_nullable and not is_key, None, ())


EVERY_TYPE = TableContract(
    name="everything",
    source="demo",
    dataset="raw",
    description="A column of every type.",
    owner="nobody",
    wire_format="debezium",
    topic="system.schema.everything",
    notification_topic=None,
    api_path=None,
    columns=(
        _column("id", "int64", is_key=True),
        *(_column(f"c_{place}", data_type) for place, data_type in enumerate(VALUES)),
        _column("created_at", "timestamp"),
        _column("must", "string", is_nullable=False),
    ),
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    row = {column.name: draw(st.none() | VALUES[column.data_type]) for column in EVERY_TYPE.columns}
    return row | {"id": draw(VALUES["int64"]), "must": draw(VALUES["string"])}


def _change(op: Any, before: Any, after: Any, position: int = 10**9) -> Change:
    row = after or before or {}
    key = (row["id"],) if row else ()
    return Change("everything", op, key, before, after, position, 2, 1, 571, NOW)


@settings(deadline=None, max_examples=150)
@given(before=rows(), after=rows(), with_schema=st.booleans())
def test_any_row_survives_the_wire(before: dict[str, Any], after: dict[str, Any], with_schema: bool) -> None:
    data = encode(EVERY_TYPE, _change("u", before, after), with_schema=with_schema)
    document = json.loads(data)
    event = document["payload"] if with_schema else document
    assert read_row(EVERY_TYPE, event["after"]) == after
    assert read_row(EVERY_TYPE, event["before"]) == before
    # Not only equal but the very same: -0.0 equals 0.0.
    floats = [name for name, value in after.items() if isinstance(value, float)]
    assert [str(float(event["after"][name])) for name in floats] == [str(after[name]) for name in floats]


def _image(**values: Any) -> dict[str, Any]:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None)
    event = json.loads(encode(EVERY_TYPE, _change("c", None, {**row, "id": 1, "must": "", **values})))
    assert isinstance(event["after"], dict)
    return event["after"]


def _name(data_type: str) -> str:
    return f"c_{list(VALUES).index(data_type)}"


@pytest.mark.parametrize(
    ("data_type", "value", "wire"),
    [
        ("date", date(1990, 2, 3), 7338),
        ("date", date(1, 1, 1), -719162),
        ("date", date(9999, 12, 31), 2932896),
        ("timestamp", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        ("timestamp", datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=UTC), "2026-01-02T03:04:05.12Z"),
        ("timestamp", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        ("timestamp", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        ("numeric", Decimal("1E+2"), "100"),
        ("numeric", Decimal("-0.000000001"), "-0.000000001"),
        ("numeric", Decimal("12.50"), "12.50"),
        ("bytes", b"\xff\x00", base64.b64encode(b"\xff\x00").decode()),
        ("array<string>", (), []),
        ("int64", 2**63 - 1, 9223372036854775807),
    ],
)
def test_values_are_spelled_as_debezium_spells_them(data_type: str, value: Any, wire: Any) -> None:
    assert _image(**{_name(data_type): value})[_name(data_type)] == wire


def test_a_timestamp_without_zone_travels_as_microseconds() -> None:
    assert _image(created_at=datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))["created_at"] == 1_000_005
    assert _image(created_at=datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1))["created_at"] == -1


def test_minus_zero_and_large_integers_keep_their_spelling() -> None:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None)
    data = encode(EVERY_TYPE, _change("c", None, {**row, "id": 2**53 + 1, "must": "", _name("float64"): -0.0}))
    assert b'"id":9007199254740993' in data
    assert b":-0.0" in data


def test_under_the_default_identity_a_delete_knows_only_the_key() -> None:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None) | {"id": 7, "must": "x"}
    connector = Connector(default_identity=frozenset({"everything"}))
    deleted = json.loads(encode(EVERY_TYPE, _change("d", row, None), connector))
    assert deleted["before"] == {**dict.fromkeys(row), "id": 7, "must": ""}
    assert json.loads(encode(EVERY_TYPE, _change("u", row, row), connector))["before"] is None


def test_a_truncate_has_no_rows_and_no_key() -> None:
    event = json.loads(encode(EVERY_TYPE, _change("t", None, None)))
    assert (event["op"], event["before"], event["after"]) == ("t", None, None)
    assert encode_key(EVERY_TYPE, ()) == "default"


def test_the_marker_replaces_the_value_after_the_change_only() -> None:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None) | {"id": 7, "must": "long"}
    event = json.loads(encode(EVERY_TYPE, _change("u", row, row), unavailable=frozenset({"must"})))
    assert (event["before"]["must"], event["after"]["must"]) == ("long", UNAVAILABLE)


def test_the_transaction_block_can_be_switched_off() -> None:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None) | {"id": 7, "must": ""}
    change = _change("c", None, row)
    assert json.loads(encode(EVERY_TYPE, change))["transaction"]["total_order"] == 2
    assert json.loads(encode(EVERY_TYPE, change, Connector(transaction_metadata=False)))["transaction"] is None


def test_a_composite_key_keeps_the_contract_order(contracts: Contracts) -> None:
    key = encode_key(contracts["member_preferences"], (7, "email", "offers"))
    assert key == '{"member_id":7,"channel":"email","topic":"offers"}'


def test_boundaries_agree_before_the_colon_and_count_by_table() -> None:
    row = dict.fromkeys((column.name for column in EVERY_TYPE.columns), None) | {"id": 7, "must": ""}
    changes = [_change("c", None, row, 100), _change("u", row, row, 200)]
    begin = json.loads(transaction_begin(changes))
    end = json.loads(transaction_end(changes, {"everything": "schema.everything"}))
    assert (begin["status"], begin["event_count"], begin["data_collections"]) == ("BEGIN", None, None)
    assert (end["status"], end["event_count"]) == ("END", 2)
    assert end["data_collections"] == [{"data_collection": "schema.everything", "event_count": 2}]
    assert begin["id"].split(":")[0] == end["id"].split(":")[0] == "571"
    assert begin["id"] != end["id"]


def test_a_heartbeat_is_a_time_and_nothing_else() -> None:
    assert json.loads(heartbeat(NOW)) == {"ts_ms": 1767593228901}


def test_names_come_from_the_topic() -> None:
    source = source_table(EVERY_TYPE)
    assert (source.system, source.schema, source.table) == ("system", "schema", "everything")
    assert source_table(replace(EVERY_TYPE, topic="plain")).system == "demo"


def test_a_type_without_a_source_type_is_refused() -> None:
    contract = replace(EVERY_TYPE, columns=(*EVERY_TYPE.columns, _column("t", "time")))
    with pytest.raises(ContractError, match="t: no source type for 'time'"):
        encode(contract, _change("t", None, None))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"bb": 1, "a": 2, "ab": 3}, '{"a": 2, "ab": 3, "bb": 1}'),
        ({"é": 1, "zz": 2}, '{"zz": 2, "é": 1}'),
        ([{"b": [], "a": {}}], '[{"a": {}, "b": []}]'),
        ("ü\n", '"ü\\n"'),
    ],
)
def test_jsonb_text_is_postgresqls(value: Any, text: str) -> None:
    assert jsonb_text(value) == text
