"""Every type in every handling mode lands in a form the casts read, and reads as the value that was written."""

import base64
import dataclasses
import hashlib
import io
import json
import uuid
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from debezium_writer import CONNECT, DEBEZIUM, Kind, Modes, cast, unit_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import Column, TableContract, load_contracts
from core.debezium import UNAVAILABLE_VALUE, DebeziumHandling
from core.errors import DecodeError
from ingest.decode.debezium import decoder
from ingest.decode.debezium.images import RowImages
from ingest.message import Message
from ingest.row import RawRow

MEMBERS = load_contracts(Path("dbt_project/models/raw"))["members"]
KINDS = {
    "thing_id": Kind("int64"),
    "price": Kind("numeric", 2),
    "weight": Kind("bignumeric", 12),
    "counter": Kind("numeric", 0, is_unsigned=True),
    "ratio": Kind("float64"),
    "born": Kind("date"),
    "opens": Kind("time", 3),
    "closes": Kind("time", 6),
    "made": Kind("datetime", 0),
    "seen": Kind("timestamp", 3),
    "changed": Kind("timestamp", 6),
    "measured": Kind("timestamp", 9),
    "raw": Kind("bytes"),
    "name": Kind("string"),
    "flag": Kind("bool"),
    "tags": Kind("array<string>"),
    "amounts": Kind("array<string>", 2),
}
SOURCE = {"connector": "postgresql", "name": "shop", "schema": "public", "table": "things", "lsn": 1}


def column(name: str, kind: Kind) -> Column:
    return Column(
        name=name,
        data_type=kind.data_type,  # type: ignore[arg-type]
        description=name,
        is_key=name == "thing_id",
        is_nullable=name != "thing_id",
        pii=None,
        allowed_values=(),
        scale=kind.digits if "numeric" in kind.data_type else None,
        precision=kind.digits if kind.data_type in ("time", "datetime", "timestamp") else None,
        is_unsigned=kind.is_unsigned,
    )


def contract(modes: Modes | None, **handling: Any) -> TableContract:
    if modes is not None:
        decimal = {"variable": "precise"}.get(modes.decimal, modes.decimal)
        handling |= {"decimal_handling": decimal, "time_precision": modes.time, "binary_handling": modes.binary}
    return dataclasses.replace(
        MEMBERS,
        name="things",
        topic="shop.public.things",
        columns=tuple(column(name, kind) for name, kind in KINDS.items()),
        debezium=DebeziumHandling(**handling),
    )


def decoded(table: TableContract, data: bytes, ordering_key: str = "") -> RawRow:
    row = decoder(table, "load")(Message("s", table.topic, "1", data, ordering_key=ordering_key))
    assert row is not None
    return row


def decimals(scale: int, digits: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**digits), 10**digits).map(lambda number: Decimal(number).scaleb(-scale))


def counts(limit: int, digits: int, lowest: int = 0) -> st.SearchStrategy[int]:
    step = 10 ** (9 - digits)
    return st.integers(lowest // step, limit // step - 1).map(lambda count: count * step)


INSTANTS = 9_000_000_000 * 10**9
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "price": decimals(2, 20),
    "weight": decimals(12, 40),
    "counter": st.integers(0, 2**64 - 1).map(Decimal),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "born": st.dates(),
    "opens": counts(86_400 * 10**9, 3),
    "closes": counts(86_400 * 10**9, 6),
    "made": counts(INSTANTS, 0, -INSTANTS),
    "seen": counts(INSTANTS, 3, -INSTANTS),
    "changed": counts(INSTANTS, 6, -INSTANTS),
    "measured": counts(INSTANTS, 9, -INSTANTS),
    "raw": st.binary(max_size=20),
    "name": st.text(max_size=10).filter(lambda text: UNAVAILABLE_VALUE not in text),
    "flag": st.booleans(),
    "tags": st.lists(st.text(max_size=3), max_size=3),
    "amounts": st.lists(decimals(2, 6), min_size=1, max_size=3),
}
rows = st.fixed_dictionaries(
    {"thing_id": st.integers(-(2**63), 2**63 - 1)} | {name: st.none() | each for name, each in STRATEGIES.items()}
)
modes_ = st.builds(
    Modes,
    st.sampled_from(["precise", "variable", "string"]),
    st.sampled_from(["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"]),
    st.sampled_from(["bytes", "base64", "base64-url-safe", "hex"]),
    st.sampled_from(["precise", "long"]),
)


def encoded(row: dict[str, Any], modes: Modes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's JSON form and its schema."""
    written = {name: write(row[name], kind, modes) for name, kind in KINDS.items()}
    fields = [{**schema, "optional": True, "field": name} for name, (_, schema) in written.items()]
    return {name: value for name, (value, _) in written.items()}, {"type": "struct", "fields": fields}


def wrapped(image: dict[str, Any], row_schema: dict[str, Any]) -> dict[str, Any]:
    rows_ = [{**row_schema, "optional": True, "field": name} for name in ("before", "after")]
    payload = {"op": "c", "before": None, "after": image, "source": SOURCE}
    return {"schema": {"type": "struct", "name": "Envelope", "fields": rows_}, "payload": payload}


def expected(name: str, value: Any, modes: Modes) -> Any:
    kind = KINDS[name]
    if value is None:
        return None
    if name == "amounts":
        return [format(each, "f") for each in value] if modes.decimal != "variable" else value
    if kind.data_type in ("time", "datetime", "timestamp"):
        mode = "microseconds" if (kind.data_type, modes.time) == ("time", "adaptive_time_microseconds") else modes.time
        unit = unit_of(mode, kind.digits)
        return value // 10 ** (9 - unit) * 10 ** (9 - unit) // 1_000
    return value


def check(payload: dict[str, Any], row: dict[str, Any], modes: Modes) -> None:
    for name, kind in KINDS.items():
        assert cast(payload[name], kind.data_type) == expected(name, row[name], modes), name


@settings(max_examples=60, deadline=None)
@given(rows, modes_)
def test_with_schemas_the_image_needs_nothing_else(row: dict[str, Any], modes: Modes) -> None:
    if modes.decimal == "variable":
        row["amounts"] = None
    image, schema = encoded(row, modes)
    # Only how bytes are written as text stands in no schema.
    landed = decoded(contract(None, binary_handling=modes.binary), json.dumps(wrapped(image, schema)).encode())
    check(json.loads(landed.payload or b""), row, modes)
    assert landed.key == b'{"thing_id":%d}' % row["thing_id"]


@settings(max_examples=60, deadline=None)
@given(rows, modes_.filter(lambda modes: modes.unsigned == "long" or modes.decimal != "string"))
def test_without_schemas_the_contract_says_what_is_needed(row: dict[str, Any], modes: Modes) -> None:
    row["amounts"] = None
    image, _ = encoded(row, modes)
    event = {"op": "c", "after": image, "source": SOURCE}
    landed = decoded(contract(modes), json.dumps(event).encode())
    check(json.loads(landed.payload or b""), row, modes)


@settings(max_examples=30, deadline=None)
@given(rows)
def test_what_needs_nothing_is_landed_byte_by_byte(row: dict[str, Any]) -> None:
    row["counter"] = row["measured"] = row["seen"] = row["made"] = row["opens"] = None
    image, _ = encoded(row, Modes())
    text = json.dumps(image, indent=1).encode()
    data = b'{"op":"c","after":' + text + b',"source":' + json.dumps(SOURCE).encode() + b"}"
    assert decoded(contract(None), data).payload == text


@settings(max_examples=30, deadline=None)
@given(rows)
def test_a_rewritten_image_keeps_the_other_values_byte_by_byte(row: dict[str, Any]) -> None:
    row["price"] = Decimal("1.00")
    image, _ = encoded(row, Modes("precise"))
    text = json.dumps(image).encode().replace(b'"flag": ', b'"extra": 1.10e5, "flag" : ')
    data = b'{"op":"c","after":' + text + b',"source":' + json.dumps(SOURCE).encode() + b"}"
    landed = decoded(contract(Modes("precise")), data).payload or b""
    assert b'"extra":1.10e5' in landed
    assert (b'"ratio":' + json.dumps(row["ratio"]).encode()) in landed


def avro_of(schema: dict[str, Any], path: str = "Row") -> Any:
    """The Avro schema that Kafka Connect's converter makes of one of Connect's."""
    kinds = {"int32": "int", "int64": "long", "double": "double", "boolean": "boolean", "string": "string"}
    if schema["type"] == "struct":
        fields = [{"name": f["field"], "type": ["null", avro_of(f, f"{path}_{f['field']}")]} for f in schema["fields"]]
        made: dict[str, Any] = {"type": "record", "name": path, "fields": fields}
    elif schema["type"] == "array":
        made = {"type": "array", "items": avro_of(schema["items"], f"{path}_item")}
    else:
        made = {"type": kinds.get(schema["type"], "bytes")}
    if schema.get("name"):
        made |= {"connect.name": schema["name"], "connect.version": 1}
    if "parameters" in schema:
        made |= {"connect.parameters": schema["parameters"], "logicalType": "decimal", "precision": 64}
        made["scale"] = int(schema["parameters"]["scale"])
    return made


def avro_value(value: Any, schema: dict[str, Any]) -> Any:
    """A value of the JSON converter as the Avro converter has it: bytes are bytes."""
    if value is None:
        return None
    if schema["type"] == "bytes":
        return base64.b64decode(value)
    if schema["type"] == "array":
        return [avro_value(each, schema["items"]) for each in value]
    if schema["type"] == "struct":
        return {each["field"]: avro_value(value[each["field"]], each) for each in schema["fields"]}
    return value


@settings(max_examples=40, deadline=None)
@given(rows, modes_)
def test_avro_lands_what_json_with_schemas_would_have(row: dict[str, Any], modes: Modes) -> None:
    image, schema = encoded(row, modes)
    source = {"type": "record", "name": "Source", "fields": [
        {"name": name, "type": "long" if name == "lsn" else "string"} for name in SOURCE
    ]}  # fmt: skip
    envelope = {"type": "record", "name": "Envelope", "fields": [
        {"name": "before", "type": ["null", avro_of(schema)]}, {"name": "after", "type": ["null", "Row"]},
        {"name": "source", "type": source}, {"name": "op", "type": "string"},
    ]}  # fmt: skip
    event = {"before": None, "after": avro_value(image, schema), "source": SOURCE, "op": "c"}
    stream = io.BytesIO()
    fastavro.writer(stream, envelope, [event], codec="deflate")
    handling = contract(None, binary_handling=modes.binary)
    by_avro = decoded(dataclasses.replace(handling, encoding="avro"), stream.getvalue())
    by_json = decoded(handling, json.dumps(wrapped(image, schema)).encode())
    assert json.loads(by_avro.payload or b"") == json.loads(by_json.payload or b"")
    assert (by_avro.key, by_avro.source_position) == (by_json.key, by_json.source_position)


def changed(table: TableContract, name: str, **fields: Any) -> TableContract:
    """The table with one column declared otherwise."""
    columns = (dataclasses.replace(each, **fields) if each.name == name else each for each in table.columns)
    return dataclasses.replace(table, columns=tuple(columns))


def landed_value(name: str, value: Any, **handling: Any) -> Any:
    event = {"op": "c", "after": {"thing_id": 1, name: value}, "source": SOURCE}
    text = decoded(contract(None, **handling), json.dumps(event, separators=(",", ":")).encode()).payload
    return json.loads(text or b"")[name]


CUSTOM = "gone!"


@pytest.mark.parametrize("placeholder", [UNAVAILABLE_VALUE, CUSTOM])
@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("name", ["{text}"]),
        ("raw", ["{base64}", "{hex}"]),
        ("tags", [["{text}"], ["{base64}"], ["{uuid}"], "{numbers}"]),
        ("price", ["{text}"]),
        ("document", [{"{text}": "{text}"}]),
    ],
)
def test_the_marker_of_a_value_not_sent_lands_as_the_casts_know_it(
    name: str, forms: list[Any], placeholder: str
) -> None:
    """The forms are those of Debezium's `UnchangedToastedPlaceholder`."""
    raw = placeholder.encode()
    md5 = bytearray(hashlib.md5(raw, usedforsecurity=False).digest())
    md5[6], md5[8] = md5[6] & 0x0F | 0x30, md5[8] & 0x3F | 0x80
    texts = {
        "{text}": placeholder, "{base64}": base64.b64encode(raw).decode(), "{hex}": raw.hex(),
        "{uuid}": str(uuid.UUID(bytes=bytes(md5))),
    }  # fmt: skip
    known = {UNAVAILABLE_VALUE, base64.b64encode(UNAVAILABLE_VALUE.encode()).decode()}

    def filled(form: Any) -> Any:
        if isinstance(form, dict):
            return {placeholder: placeholder}
        if isinstance(form, list):
            return [texts[each] for each in form]
        return list(raw) if form == "{numbers}" else texts[form]

    table = contract(None, unavailable_value=placeholder, decimal_handling="precise")
    table = dataclasses.replace(table, columns=(*table.columns, column("document", Kind("json"))))
    for form in forms:
        event = {"op": "u", "after": {"thing_id": 1, name: filled(form)}, "source": SOURCE}
        landed = json.loads(decoded(table, json.dumps(event, separators=(",", ":")).encode()).payload or b"")[name]
        assert (landed[0] if isinstance(landed, list) else landed) in known


def test_what_merely_resembles_a_marker_is_a_value() -> None:
    assert landed_value("name", f"{UNAVAILABLE_VALUE}!") == f"{UNAVAILABLE_VALUE}!"
    assert landed_value("tags", ["a", UNAVAILABLE_VALUE]) == ["a", UNAVAILABLE_VALUE]


@pytest.mark.parametrize(
    ("name", "value", "handling", "landed"),
    [
        # MySQL's TIME is a span, either way; the casts read microseconds and give null for it.
        ("opens", -43_200_500, {"time_precision": "connect"}, -43_200_500_000),
        ("opens", 360_000_000, {"time_precision": "connect"}, 360_000_000_000),
        # Beyond the year 9999 there is no text.
        ("seen", 253_402_300_800_000, {"time_precision": "connect"}, 253_402_300_800_000_000),
        ("seen", -62_135_596_800_000, {"time_precision": "connect"}, "0001-01-01T00:00:00.000Z"),
        ("made", -1, {"time_precision": "adaptive"}, "1969-12-31T23:59:59.999"),
        ("measured", -1, {"time_precision": "adaptive"}, "1969-12-31T23:59:59.999999999Z"),
        ("price", {"scale": -2, "value": "Aw=="}, {}, "300"),
        ("price", {"scale": 3, "value": "/w=="}, {}, "-0.001"),
        ("price", {"other": 1}, {}, {"other": 1}),
        ("price", 1.5, {"decimal_handling": "precise"}, 1.5),
        ("raw", "_-8", {"binary_handling": "base64-url-safe"}, "/+8="),
    ],
)
def test_a_value_at_the_edge(name: str, value: Any, handling: dict[str, Any], landed: Any) -> None:
    assert landed_value(name, value, **handling) == landed


@pytest.mark.parametrize(
    ("name", "value", "handling", "reason"),
    [
        ("price", "12.34", {"decimal_handling": "precise"}, "invalid_decimal"),
        ("price", {"scale": "2", "value": "Aw=="}, {}, "invalid_decimal"),
        ("price", {"scale": 10**9, "value": "Aw=="}, {}, "invalid_decimal"),
        ("raw", "xyz", {"binary_handling": "hex"}, "invalid_bytes"),
        ("raw", "+", {"binary_handling": "base64-url-safe"}, "invalid_bytes"),
    ],
)
def test_a_value_that_cannot_be_rewritten_has_a_reason(
    name: str, value: Any, handling: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        landed_value(name, value, **handling)
    assert caught.value.reason == reason


def test_a_precise_decimal_without_its_scale_names_the_way_out() -> None:
    bare = changed(contract(None, decimal_handling="precise"), "price", scale=None)
    event = {"op": "c", "after": {"thing_id": 1, "price": "BOI="}, "source": SOURCE}
    with pytest.raises(DecodeError, match="scale") as caught:
        decoded(bare, json.dumps(event).encode())
    assert caught.value.reason == "unknown_scale"


def test_a_decimal_of_ten_thousand_digits_keeps_them_all() -> None:
    number = 10**10_000 - 7
    unscaled = base64.b64encode(number.to_bytes(4_200, "big")).decode()
    text = landed_value("weight", unscaled, decimal_handling="precise")
    assert len(text) == 10_001
    assert text.startswith("999")
    assert text.endswith("993")


def test_fields_no_contract_declares_are_understood_by_their_schema() -> None:
    fields = [
        {"type": "int64", "field": "thing_id"},
        {"type": "bytes", "name": f"{CONNECT}Decimal", "parameters": {"scale": "1"}, "field": "new_price"},
        {"type": "int64", "name": f"{DEBEZIUM}Timestamp", "field": "new_at"},
        {"type": "int64", "name": f"{DEBEZIUM}MicroTimestamp", "field": "new_micro_at"},
    ]
    image = {"thing_id": 1, "new_price": "Aw==", "new_at": 5, "new_micro_at": 5}
    event = wrapped(image, {"type": "struct", "fields": fields})
    landed = json.loads(decoded(contract(None), json.dumps(event).encode()).payload or b"")
    assert landed == {"thing_id": 1, "new_price": "0.3", "new_at": "1970-01-01T00:00:00.005", "new_micro_at": 5}


def test_a_key_is_rewritten_as_the_row_is() -> None:
    table = contract(Modes("precise"))
    keyed = dataclasses.replace(
        table, columns=tuple(dataclasses.replace(each, is_key=each.name == "counter") for each in table.columns)
    )
    schema = {"type": "struct", "fields": [
        {"type": "bytes", "name": f"{CONNECT}Decimal", "parameters": {"scale": "0"}, "field": "counter"}
    ]}  # fmt: skip
    for key in ({"counter": -1}, {"schema": schema, "payload": {"counter": "AP//////////"}}):
        row = decoded(keyed, b"", ordering_key=json.dumps(key))
        assert (row.op, row.key) == ("DELETE", b'{"counter":"18446744073709551615"}')


@pytest.mark.parametrize("schema", [{"type": 1}, {"fields": {}}, "struct", [1]])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    data = json.dumps({"schema": schema, "payload": {"op": "c"}}).encode()
    with pytest.raises(DecodeError) as caught:
        decoded(contract(None), data)
    assert caught.value.reason == "invalid_schema"


def test_a_decimal_whose_schema_has_no_scale_is_refused() -> None:
    fields = [{"type": "bytes", "name": f"{CONNECT}Decimal", "field": "price"}]
    event = wrapped({"thing_id": 1, "price": "Aw=="}, {"type": "struct", "fields": fields})
    with pytest.raises(DecodeError) as caught:
        decoded(contract(None), json.dumps(event).encode())
    assert caught.value.reason == "invalid_schema"


def test_who_decodes_in_bulk_is_told_what_may_be_landed_as_it_came() -> None:
    plain = [{"type": "int64", "field": "thing_id"}, {"type": "string", "field": "price"}]
    scaled = [*plain, {"type": "int64", "name": f"{DEBEZIUM}Time", "field": "opens"}]

    def schema(fields: list[dict[str, str]]) -> bytes:
        return json.dumps(wrapped({}, {"type": "struct", "fields": fields})["schema"]).encode()

    images = RowImages(changed(contract(None), "counter", is_unsigned=False))
    assert images.schema_is_plain(schema(plain))
    assert not images.schema_is_plain(schema(scaled))
    assert not images.schema_is_plain(b'{"type":"struct","fields":[]}')
    assert not images.may_rewrite(b'{"thing_id":1,"name":"x"}')
    assert images.may_rewrite(b'{"thing_id":1,"price":{"scale":1,"value":"Aw=="}}')
    # One column declared unsigned asks for a look at every row.
    images = RowImages(contract(None))
    assert not images.schema_is_plain(schema(plain))
    assert images.may_rewrite(b'{"thing_id":1,"name":"x"}')


def test_dates_before_the_calendar_changed_keep_their_days() -> None:
    assert cast(landed_value("born", (date(1500, 1, 1) - date(1970, 1, 1)).days), "date") == date(1500, 1, 1)


@pytest.mark.parametrize("text", ["2026-01-02", "2026-01-02Z", "2026-01-02T00:00:00Z", 20455])
def test_a_date_in_a_key_is_one_day_however_it_came(text: Any) -> None:
    columns = (
        column("thing_id", Kind("date")),
        *(each for each in contract(None).columns if each.name != "thing_id"),
    )
    event = {"op": "c", "after": {"thing_id": text}, "source": SOURCE}
    row = decoded(dataclasses.replace(contract(None), columns=columns), json.dumps(event).encode())
    assert row.key == b'{"thing_id":"2026-01-02"}'
