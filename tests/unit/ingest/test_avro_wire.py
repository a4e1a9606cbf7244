"""A message in Avro is read by the schema it names, and nothing is given up because a registry is away."""

import dataclasses
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from schema_registry_server import Registry, serving

from core.contracts import load_contracts
from core.errors import ConfigurationError, DecodeError, UnavailableError
from ingest.decode import DIALECTS
from ingest.decode.avro.registry import SchemaRegistry
from ingest.decode.avro.schemas import AvroSchema, avro_schema, read_avro_schema
from ingest.decode.avro.settings import AvroSettings, load_avro_settings
from ingest.decode.avro.values import to_json
from ingest.decode.avro.wire import avro_reader, load_schema_folder
from ingest.message import Message

SCHEMA: dict[str, Any] = {
    "type": "record", "name": "Thing", "namespace": "shop",
    "fields": [{"name": "thing_id", "type": "long"}, {"name": "label", "type": ["null", "string"], "default": None}],
}  # fmt: skip
RECORD = {"thing_id": 7, "label": "x"}
EMAILS = dataclasses.replace(load_contracts(Path("dbt_project/models/raw"))["member_emails"], encoding="avro")


def body(record: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


def confluent(number: int, record: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    return struct.pack(">bI", 0, number) + body(record, schema)


def container(*records: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(schema), records)
    return stream.getvalue()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def client(registry: Registry, clock: Clock | None = None, **settings: Any) -> SchemaRegistry:
    return SchemaRegistry(AvroSettings(schema_registry_url=registry.url, **settings), clock=clock or Clock())


def reader(registry: Registry, **settings: Any) -> Any:
    return avro_reader(client(registry, **settings).schema, {})


def reason(call: Any, *arguments: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        call(*arguments)
    return caught.value.reason


def test_all_three_ways_of_naming_a_schema(registry: Registry, tmp_path: Path) -> None:
    registry.add_schema(9, SCHEMA)
    (tmp_path / "thing.avsc").write_text(json.dumps(SCHEMA))
    folder = load_schema_folder(tmp_path)
    read = avro_reader(client(registry).schema, folder)
    digest = bytes.fromhex(fingerprint(to_parsing_canonical_form(SCHEMA), "CRC-64-AVRO"))
    for data in (container(RECORD), b"\xc3\x01" + digest + body(RECORD), confluent(9, RECORD)):
        assert read(data).record == RECORD


def test_a_fingerprint_has_its_lowest_byte_first(tmp_path: Path) -> None:
    """The specification's own example: the fingerprint of `"int"` is 7275d51a3f395c8f."""
    (tmp_path / "int.avsc").write_text('"int"')
    assert list(load_schema_folder(tmp_path)) == [(0x7275D51A3F395C8F).to_bytes(8, "little")]


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    registry.add_schema(1, SCHEMA)
    registry.add_schema(2, SCHEMA)
    read = reader(registry, schema_registry_schemas=2)
    for number in (1, 2, 1, 2, 1):
        assert read(confluent(number, RECORD)).record == RECORD
    assert [path for path, _ in registry.asked] == ["/schemas/ids/1", "/schemas/ids/2"]


def test_no_more_schemas_are_kept_than_allowed(registry: Registry) -> None:
    read = reader(registry, schema_registry_schemas=2)
    for number in (1, 2, 3, 1):
        registry.add_schema(number, SCHEMA)
        read(confluent(number, RECORD))
    assert len(registry.asked) == 4


def test_a_schema_of_several_parts_is_put_together(registry: Registry) -> None:
    inner = {"type": "record", "name": "shop.Inner", "fields": [{"name": "price", "type": {
        "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2,
    }}]}  # fmt: skip
    middle = {"type": "record", "name": "shop.Middle", "fields": [{"name": "inner", "type": "shop.Inner"}]}
    outer = {"type": "record", "name": "shop.Outer", "fields": [
        {"name": "one", "type": "shop.Middle"}, {"name": "two", "type": ["null", "shop.Inner"]},
    ]}  # fmt: skip
    reference = {"name": "shop.Inner", "subject": "in/ner", "version": 3}
    registry.add("/subjects/in%2Fner/versions/3", {"schema": json.dumps(inner)})
    registry.add("/subjects/middle/versions/1", {"schema": json.dumps(middle), "references": [reference]})
    registry.add_schema(5, outer, references=[
        {"name": "shop.Middle", "subject": "middle", "version": 1}, reference,
    ])  # fmt: skip
    known: dict[str, Any] = {}
    for each in (inner, middle):
        fastavro.parse_schema(each, known)
    stream = io.BytesIO()
    value = {"one": {"inner": {"price": b"\x05"}}, "two": {"price": b"\xff"}}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(outer, known), value)
    written = reader(registry)(struct.pack(">bI", 0, 5) + stream.getvalue())
    assert written.record == value
    price = written.schema.connect.child("one").child("inner").child("price")
    assert (price.name, price.parameters["scale"]) == ("org.apache.kafka.connect.data.Decimal", "2")


def test_a_number_the_registry_does_not_know_is_refused_and_asked_for_again_later(registry: Registry) -> None:
    clock = Clock()
    schemas = client(registry, clock)
    for _ in range(3):
        assert reason(schemas.schema, 4) == "unknown_schema"
    assert len(registry.asked) == 1
    clock.now += 60
    registry.add_schema(4, SCHEMA)
    assert isinstance(schemas.schema(4), AvroSchema)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, b""),
        (503, b"busy"),
        (429, {"error_code": 42901}),
        (404, b"<html>no such page</html>"),
        (200, b"<html>"),
        (302, b""),
    ],
)
def test_a_registry_that_does_not_answer_is_left_alone_for_a_while(
    registry: Registry, status: int, answer: Any
) -> None:
    clock = Clock()
    schemas = client(registry, clock)
    registry.add("/schemas/ids/4", answer, status)
    for asked, pause in ((1, 1.0), (2, 2.0), (3, 4.0)):
        for _ in range(3):
            with pytest.raises(UnavailableError) as caught:
                schemas.schema(4)
            assert caught.value.retry_after_s == pause
        assert len(registry.asked) == asked
        clock.now += pause
    registry.add_schema(4, SCHEMA)
    schemas.schema(4)
    registry.add("/schemas/ids/5", b"", 500)
    with pytest.raises(UnavailableError) as caught:
        schemas.schema(5)
    assert caught.value.retry_after_s == 1.0


def test_the_pause_is_the_one_the_registry_asks_for(registry: Registry) -> None:
    registry.add("/schemas/ids/4", b"", 429, Retry_After="7")
    with pytest.raises(UnavailableError) as caught:
        client(registry).schema(4)
    assert caught.value.retry_after_s == 7.0


def test_a_registry_that_is_gone_is_unavailable(registry: Registry) -> None:
    schemas = SchemaRegistry(AvroSettings(schema_registry_url="http://127.0.0.1:1", schema_registry_timeout_s=0.5))
    with pytest.raises(UnavailableError, match="ConnectError"):
        schemas.schema(4)


def test_a_registry_that_hangs_is_unavailable_when_the_time_is_up() -> None:
    def hang(*_: Any, timeout: float, **__: Any) -> httpx.Response:
        raise httpx.ReadTimeout(f"{timeout}")

    with pytest.raises(UnavailableError, match="ReadTimeout"):
        SchemaRegistry(AvroSettings(schema_registry_url="http://127.0.0.1:1"), hang).schema(4)


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"schema_registry_token": SecretStr("t0ken")}, "Bearer t0ken"),
        ({"schema_registry_user": "me", "schema_registry_password": SecretStr("pass")}, "Basic bWU6cGFzcw=="),
        ({"schema_registry_user": "me"}, "Basic bWU6"),
        ({}, None),
    ],
)
def test_the_registry_is_told_who_asks(registry: Registry, settings: dict[str, Any], sent: str | None) -> None:
    registry.add_schema(4, SCHEMA)
    client(registry, **settings).schema(4)
    assert registry.asked == [("/schemas/ids/4", sent)]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_the_run_and_stay_secret(registry: Registry, status: int) -> None:
    registry.add("/schemas/ids/4", b"", status)
    with pytest.raises(ConfigurationError, match="SCHEMA_REGISTRY_TOKEN") as caught:
        client(registry, schema_registry_token=SecretStr("t0ken")).schema(4)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schema_registry_url": "http://registry.example.org", "schema_registry_user": "me"}, "https"),
        ({"schema_registry_url": "https://r.example.org", "schema_registry_user": "me",
          "schema_registry_token": SecretStr("t")}, "not both"),
    ],
)  # fmt: skip
def test_credentials_never_travel_in_the_open(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SchemaRegistry(AvroSettings(**settings))


def test_a_number_without_a_registry_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_SCHEMA_REGISTRY_URL"):
        SchemaRegistry(AvroSettings()).schema(4)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schemaType": "PROTOBUF"}, "unsupported_schema"),
        ({"schema": "{"}, "invalid_schema"),
        ({"schema": '{"type":"record"}'}, "invalid_schema"),
        ({"schema": '{"type":"no such type"}'}, "invalid_schema"),
        ({"references": [{"name": "x", "subject": "nowhere", "version": 1}]}, "unknown_schema"),
    ],
)
def test_what_is_no_schema_of_avro_is_refused(registry: Registry, fields: dict[str, Any], expected: str) -> None:
    registry.add("/schemas/ids/4", {"schema": json.dumps(SCHEMA)} | fields)
    assert reason(client(registry).schema, 4) == expected


def test_references_without_end_are_refused(registry: Registry) -> None:
    for number in range(200):
        following = [{"name": f"n{number + 1}", "subject": "s", "version": number + 1}]
        registry.add(f"/subjects/s/versions/{number}", {"schema": json.dumps(SCHEMA), "references": following})
    registry.add("/schemas/ids/4", {"schema": "{}", "references": [{"name": "n0", "subject": "s", "version": 0}]})
    assert reason(client(registry).schema, 4) in ("invalid_schema", "unknown_schema")


NOTHING = avro_reader(lambda _: avro_schema(SCHEMA), {})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"thing_id":7}', "invalid_avro"),
        (b"\x00\x00\x00", "invalid_avro"),
        (b"\xc3\x01" + bytes(8) + body(RECORD), "unknown_schema"),
        (confluent(1, RECORD)[:-1], "invalid_avro"),
        (confluent(1, RECORD) + b"\x00", "invalid_avro"),
        (container(RECORD, RECORD), "batch_of_rows"),
        (container(), "invalid_avro"),
        (container(RECORD)[:-20], "invalid_avro"),
        (b"Obj\x01", "invalid_avro"),
    ],
)
def test_damage_has_a_reason(data: bytes, expected: str) -> None:
    assert reason(NOTHING, data) == expected


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x00\x00\x00\x00\x01", b"Obj\x01", b"\xc3\x01" + bytes(8)]))
def test_noise_is_refused_never_a_crash(noise: bytes, start: bytes) -> None:
    try:
        written = NOTHING(start + noise)
    except DecodeError:
        return
    assert written.record.keys() == {"thing_id", "label"}


def test_values_are_those_of_the_json_converter() -> None:
    schema = {"type": "record", "name": "All", "fields": [
        {"name": "single", "type": "float"}, {"name": "double", "type": "double"},
        {"name": "none", "type": "double"}, {"name": "much", "type": "float"}, {"name": "little", "type": "double"},
        {"name": "raw", "type": "bytes"}, {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "many", "type": {"type": "map", "values": "long"}},
        {"name": "list", "type": {"type": "array", "items": "float"}},
        {"name": "either", "type": ["null", "long", "string"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]}  # fmt: skip
    record = {
        "single": 0.1, "double": 0.1, "none": float("nan"), "much": float("inf"), "little": float("-inf"),
        "raw": b"\x00\xff", "fixed": b"ab", "kind": "B", "many": {"a": 1}, "list": [0.3], "either": "x", "at": 5,
    }  # fmt: skip
    written = NOTHING(container(record, schema=schema))
    assert to_json(written.record, written.schema.connect) == record | {
        "none": "NaN", "much": "Infinity", "little": "-Infinity", "raw": "AP8=", "fixed": "YWI=",
    }  # fmt: skip
    names = {field.field: field.name for field in written.schema.connect.fields}
    assert names["at"] == "io.debezium.time.Timestamp"


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_float_lands_in_its_shortest_form(value: float) -> None:
    schema = read_avro_schema(b'"float"').connect
    short = to_json(value, schema)
    assert isinstance(short, float)
    assert struct.unpack(">f", struct.pack(">f", short))[0] == value
    assert len(f"{short!r}".replace("-", "").replace(".", "").split("e")[0].strip("0")) <= 9


def test_a_schema_that_refers_to_itself_is_read() -> None:
    schema = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    written = NOTHING(container({"next": {"next": None}}, schema=schema))
    assert to_json(written.record, written.schema.connect) == {"next": {"next": None}}


@pytest.mark.parametrize("content", ["{", '{"type":"record"}'])
def test_a_folder_with_what_is_no_schema_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.avsc").write_text(content)
    with pytest.raises(ConfigurationError, match=r"bad\.avsc"):
        load_schema_folder(tmp_path)
    with pytest.raises(ConfigurationError, match="no such folder"):
        load_schema_folder(tmp_path / "nowhere")
    assert load_schema_folder(None) == {}


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", "ftp://registry")
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_SCHEMA_REGISTRY_URL"):
        load_avro_settings()


def test_a_table_in_avro_is_decoded_and_waits_for_its_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", registry.url)
    schema = {"type": "record", "name": "Value", "fields": [
        {"name": "email_id", "type": "long"}, {"name": "email", "type": "string"},
        {"name": "__op", "type": "string"}, {"name": "__lsn", "type": "long"},
    ]}  # fmt: skip
    row = {"email_id": 7, "email": "a@example.org", "__op": "u", "__lsn": 5}
    registry.add("/schemas/ids/8", b"", 503)
    for pattern in ("debezium_flat",):
        contract = dataclasses.replace(EMAILS, wire_format=pattern)
        message = Message("s", contract.topic, "1", confluent(8, row, schema), ordering_key='{"email_id":7}')
        with pytest.raises(UnavailableError):
            DIALECTS[pattern](contract, "load")(message)
        registry.add_schema(8, schema)
        decode = DIALECTS[pattern](contract, "load")
        landed = decode(message)
        assert landed is not None
        assert landed.payload == json.dumps(row, separators=(",", ":")).encode()
        gone = decode(Message("s", contract.topic, "2", b"", ordering_key='{"email_id":7}'))
        assert gone is not None
        assert gone.op == "DELETE"
