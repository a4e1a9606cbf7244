"""Documents land as rows the casts read, however the connector was told to write them.

Shapes restate the examples of https://debezium.io/documentation/reference/stable/connectors/mongodb.html#mongodb-events
(change streams) and of its version 1.7 (oplog), with values of ours. The library that writes Extended JSON is the
oracle for reading it.
"""

import base64
import dataclasses
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.json_util import CANONICAL_JSON_OPTIONS, LEGACY_JSON_OPTIONS, RELAXED_JSON_OPTIONS, dumps
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import Column, TableContract, load_contracts
from core.debezium import UNAVAILABLE_VALUE
from core.errors import DecodeError
from ingest.decode import DIALECTS
from ingest.decode.debezium.bson_values import fit, read_extended_json
from ingest.message import Message
from ingest.row import RawRow

MEMBERS = load_contracts(Path("dbt_project/models/raw"))["members"]
OID = "596e275826f08b2730779e1f"
SOURCE = {
    "connector": "mongodb", "name": "shop", "db": "store", "rs": "rs0", "collection": "things", "snapshot": "false",
    "ts_ms": 1_767_323_045_000, "ord": 6,
}  # fmt: skip
FORMS = {"canonical": CANONICAL_JSON_OPTIONS, "relaxed": RELAXED_JSON_OPTIONS, "legacy": LEGACY_JSON_OPTIONS}


def column(name: str, data_type: str) -> Column:
    return Column(name, data_type, name, name == "_id", name != "_id", None, ())  # type: ignore[arg-type]


def contract(**columns: str) -> TableContract:
    declared = {"_id": "string", "label": "string", "count": "int64", "price": "numeric", "detail": "json"} | columns
    return dataclasses.replace(
        MEMBERS, name="things", topic="shop.store.things",
        columns=tuple(column(name, data_type) for name, data_type in declared.items()),
    )  # fmt: skip


def extended(value: Any, form: str = "canonical") -> str:
    return dumps(value, json_options=FORMS[form].with_options(uuid_representation=UuidRepresentation.STANDARD))


def decoded(event: Any, key: Any = None, table: TableContract | None = None) -> RawRow:
    table = table or contract()
    ordering_key = "" if key is None else json.dumps({"id": extended(key)})
    data = b"" if event is None else json.dumps(event).encode()
    row = DIALECTS["debezium"](table, "load")(Message("s", table.topic, "1", data, ordering_key=ordering_key))
    assert row is not None
    return row


def event(op: str, **fields: Any) -> dict[str, Any]:
    return {"op": op, "before": None, "after": None, "source": SOURCE, **fields}


VALUES: dict[str, tuple[Any, Any]] = {
    "int32": (5, 5),
    "int64": (Int64(2**62), 2**62),
    "double": (0.1, 0.1),
    "whole double": (5.0, 5.0),
    "not a number": (float("nan"), "NaN"),
    "infinite": (float("-inf"), "-Infinity"),
    "decimal128": (Decimal128("1234567890123456789012345678901.10"), "1234567890123456789012345678901.10"),
    "decimal128 of an exponent": (Decimal128("1E+3"), "1000"),
    "decimal128 not a number": (Decimal128("NaN"), "NaN"),
    "decimal128 infinite": (Decimal128("-Infinity"), "-Infinity"),
    "string": ('ä "q" $x', 'ä "q" $x'),
    "boolean": (True, True),
    "null": (None, None),
    "ObjectId": (ObjectId(OID), OID),
    "date": (datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
    "date before 1970": (DatetimeMS(-1), "1969-12-31T23:59:59.999Z"),
    "date of the year 1": (DatetimeMS(-62_135_596_800_000), "0001-01-01T00:00:00.000Z"),
    "date beyond 9999": (DatetimeMS(10**15), 10**18),
    "timestamp": (Timestamp(1_700_000_000, 3), "2023-11-14T22:13:20Z"),
    "binary": (Binary(b"\x00\xff"), "AP8="),
    "binary of a subtype": (Binary(b"\x00\xff", 128), "AP8="),
    "uuid": (Binary.from_uuid(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
    "regex": (Regex("a.*", "im"), {"pattern": "a.*", "options": "im"}),
    "code": (Code("f()"), "f()"),
    "code with scope": (Code("f()", {"a": Int64(1)}), {"code": "f()", "scope": {"a": 1}}),
    "reference": (DBRef("c", ObjectId(OID)), {"ref": "c", "id": OID}),
    "reference to a database": (DBRef("c", 7, "d"), {"ref": "c", "id": 7, "db": "d"}),
    "min key": (MinKey(), {"$minKey": 1}),
    "max key": (MaxKey(), {"$maxKey": 1}),
    "document": ({"a": {"b": ObjectId(OID)}}, {"a": {"b": OID}}),
    "array": ([Int64(1), {"b": Decimal128("0.5")}, None], [1, {"b": "0.5"}, None]),
}
NOT_JSON = {"not a number", "infinite"}
"""What the legacy form writes as literals that are no JSON."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VALUES)
def test_every_type_has_its_form(name: str, form: str) -> None:
    value, landed = VALUES[name]
    if form == "legacy" and name in NOT_JSON:
        with pytest.raises(DecodeError):
            read_extended_json(extended({"x": value}, form))
        return
    row = decoded(event("c", after=extended({"_id": 1, "x": value, "in": [{"x": value}]}, form)))
    assert json.loads(row.payload or b"") == {"_id": "1", "x": landed, "in": [{"x": landed}]}


@pytest.mark.parametrize(
    ("text", "landed"),
    [
        ('{"$undefined": true}', None),
        ('{"$symbol": "s"}', "s"),
        ('{"$dbPointer": {"$ref": "c", "$id": {"$oid": "%s"}}}' % OID, {"ref": "c", "id": OID}),  # noqa: UP031
        ('{"$uuid": "00000000-0000-0000-0000-000000000005"}', str(uuid.UUID(int=5))),
        ('{"$date": "2026-01-02T03:04:05Z"}', "2026-01-02T03:04:05.000Z"),
        ('{"$type": "an ordinary field"}', {"$type": "an ordinary field"}),
    ],
)
def test_what_the_library_no_longer_writes_is_read(text: str, landed: Any) -> None:
    assert fit(read_extended_json(text), None) == landed


bson_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab$ä", max_size=4)
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.decimals(-(10**9), 10**9, allow_nan=False, places=3).map(Decimal128)
    | st.integers(-(10**14), 10**14).map(DatetimeMS) | st.binary(max_size=5).map(Binary),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), bson_values, max_size=4))
def test_a_document_lands_the_same_in_either_form(fields: dict[str, Any]) -> None:
    document = {"_id": ObjectId(OID), **fields}
    rows = [decoded(event("c", after=extended(document, form))) for form in ("canonical", "relaxed")]
    assert rows[0] == rows[1]
    assert json.loads(rows[0].payload or b"").keys() == document.keys()


@pytest.mark.parametrize(
    ("data_type", "value", "landed"),
    [
        ("string", ObjectId(OID), OID),
        ("string", 1004, "1004"),
        ("string", True, "true"),
        ("string", {"a": 1, "b": ObjectId(OID)}, f'{{"a":1,"b":"{OID}"}}'),
        ("int64", 5.0, 5),
        ("int64", Int64(5), 5),
        ("int64", 5.5, 5.5),
        ("bytes", Binary.from_uuid(uuid.UUID(int=5)), base64.b64encode(uuid.UUID(int=5).bytes).decode()),
        ("json", {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_column_gets_the_form_it_is_read_in(data_type: str, value: Any, landed: Any) -> None:
    row = decoded(event("c", after=extended({"_id": "k", "x": value})), table=contract(x=data_type))
    assert json.loads(row.payload or b"")["x"] == landed


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        (ObjectId(OID), OID),
        ("a text", "a text"),
        (1004, "1004"),
        (Int64(2**62), str(2**62)),
        ({"shop": 7, "code": "x"}, '{"shop":7,"code":"x"}'),
        (Binary.from_uuid(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
    ],
)
@pytest.mark.parametrize("form", ["canonical", "relaxed"])
def test_the_key_is_the_same_from_document_and_record(identity: Any, key: str, form: str) -> None:
    created = decoded(event("c", after=extended({"_id": identity}, form)))
    deleted = decoded(event("d"), key=identity)
    tombstone = decoded(None, key=identity)
    assert created.key == deleted.key == tombstone.key == json.dumps({"_id": key}, separators=(",", ":")).encode()
    assert (deleted.op, deleted.before, deleted.source_position) == ("DELETE", None, "001767323045000:0000000006")
    assert (tombstone.op, tombstone.op_inferred, tombstone.source_position) == ("DELETE", True, None)


def test_a_key_that_is_a_bare_word_is_text() -> None:
    message = Message("s", "t", "1", b"", ordering_key='{"id":"bare word"}')
    row = DIALECTS["debezium"](contract(), "load")(message)
    assert row is not None
    assert row.key == b'{"_id":"bare word"}'


def test_an_update_with_its_document_and_the_one_before() -> None:
    row = decoded(
        event(
            "u",
            before=extended({"_id": ObjectId(OID), "label": "old"}),
            after=extended({"_id": ObjectId(OID), "label": "new", "count": Int64(3)}),
            updateDescription={"removedFields": None, "updatedFields": '{"label":"new"}', "truncatedArrays": None},
        )
    )
    assert (row.op, row.op_inferred, row.source_system, row.source_table) == ("UPDATE", False, "shop", "store.things")
    assert row.payload == f'{{"_id":"{OID}","label":"new","count":3}}'.encode()
    assert row.before == f'{{"_id":"{OID}","label":"old"}}'.encode()


PARTIAL: dict[str, dict[str, Any]] = {
    "change stream": {
        "updateDescription": {
            "updatedFields": extended({"label": "new", "detail.a": 1, "at": DatetimeMS(0)}),
            "removedFields": ["count", "other.b"],
            "truncatedArrays": [{"field": "tags", "size": 2}],
        }
    },
    "oplog, first form": {
        "patch": extended(
            {"$v": 1, "$set": {"label": "new", "detail.a": 1, "at": DatetimeMS(0)}, "$unset": {"count": True}}
        ),
        "filter": extended({"_id": ObjectId(OID)}),
    },
    "oplog, second form": {
        "patch": extended(
            {"$v": 2, "diff": {
                "u": {"label": "new"}, "i": {"at": DatetimeMS(0)}, "d": {"count": False}, "sdetail": {"u": {"a": 1}},
            }}
        ),
        "filter": extended({"_id": ObjectId(OID)}),
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", PARTIAL)
def test_an_update_without_its_document_lands_what_it_tells(shape: str) -> None:
    key = None if "filter" in PARTIAL[shape] else ObjectId(OID)
    row = decoded(event("u", **PARTIAL[shape]), key=key)
    image = json.loads(row.payload or b"")
    description = image.pop("__update_description")
    assert "new" in json.dumps(description)
    assert image == {
        "_id": OID, "label": "new", "count": None, "price": UNAVAILABLE_VALUE, "detail": UNAVAILABLE_VALUE,
        "at": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert (row.op, row.key) == ("UPDATE", b'{"_id":"%s"}' % OID.encode())


def test_a_patch_that_replaces_the_document_is_the_document() -> None:
    patch = extended({"_id": ObjectId(OID), "price": Decimal128("1.50")})
    row = decoded(event("u", patch=patch, filter=extended({"_id": ObjectId(OID)})))
    image = json.loads(row.payload or b"")
    assert image == {"_id": OID, "price": "1.50"}
    assert Decimal(image["price"]) == Decimal("1.5")


def test_the_document_before_gives_a_partial_update_its_key() -> None:
    before = extended({"_id": ObjectId(OID), "label": "old"})
    row = decoded(event("u", before=before, updateDescription={"updatedFields": '{"label":"new"}'}))
    assert row.key == b'{"_id":"%s"}' % OID.encode()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (event("c", after={"_id": 1}), "invalid_extended_json"),
        (event("c", after="[1]"), "invalid_extended_json"),
        (event("c", after='{"_id":{"$oid":"short"}}'), "invalid_extended_json"),
        (event("c", after='{"_id":1,"x":{"$numberDecimal":"many"}}'), "invalid_extended_json"),
        (event("c", after='{"_id":1,'), "invalid_json"),
        (event("c", after='{"x":1}'), "missing_key"),
        (event("u", patch="{}", filter="{}"), "missing_key"),
        (event("u", updateDescription={"updatedFields": "{}"}), "missing_key"),
        (event("c", after='{"_id":1}', source=SOURCE | {"ord": None}), "missing_position"),
        (event("c", after='{"_id":1}', source=SOURCE | {"collection": "others"}), "wrong_table"),
    ],
)
def test_a_fault_has_a_reason(sent: dict[str, Any], reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(sent)
    assert caught.value.reason == reason


def test_an_update_that_tells_nothing_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(event("u"), key=ObjectId(OID))
    assert caught.value.reason == "missing_payload"
