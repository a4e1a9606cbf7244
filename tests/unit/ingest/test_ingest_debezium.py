"""Debezium events become raw rows, digit for digit; whatever else comes becomes a reason, never a crash."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import load_contracts
from core.errors import DecodeError
from devstack.world import World
from devstack.world.poison import EVENT_POISON
from ingest.decode import DIALECTS
from ingest.message import Message
from ingest.row import RawRow

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
MEMBERS = CONTRACTS["members"]
OPERATIONS = {"c": "INSERT", "u": "UPDATE", "d": "DELETE", "r": "SNAPSHOT", "t": "TRUNCATE"}
SOURCE = {"name": "loyalty", "schema": "member", "table": "members", "lsn": 42, "ts_us": 1_767_323_045_678_901}

decode_members = DIALECTS["debezium"](MEMBERS, "load-1")


def message(data: bytes, ordering_key: str = '{"member_id":7}', **fields: object) -> Message:
    return msgspec.structs.replace(
        Message("projects/p/subscriptions/s", MEMBERS.topic, "event-1", data, ordering_key=ordering_key, publish_ts=5),
        **fields,
    )


def event(**fields: object) -> bytes:
    return json.dumps({"op": "c", "before": None, "after": {"member_id": 7}, "source": SOURCE} | fields).encode()


def landed(data: bytes, **fields: object) -> RawRow:
    row = decode_members(message(data, **fields))
    assert row is not None
    return row


def reason(data: bytes, **fields: object) -> str:
    with pytest.raises(DecodeError) as caught:
        decode_members(message(data, **fields))
    return caught.value.reason


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, 150, CONTRACTS)


def test_every_message_of_a_world_is_understood_as_what_it_is(world: World) -> None:
    """The generator writes events from Debezium's documentation; the plain json module is the oracle."""
    decoders = {c.topic: DIALECTS["debezium"](c, "load-1") for c in CONTRACTS.values()}
    world.evolve(3_000, truncate=("member_cases",))
    kinds = set()
    for sent in world.deliver(final=True):
        if sent.topic not in decoders or sent.kind == "poison":
            continue
        kinds.add(sent.kind)
        row = decoders[sent.topic](message(sent.data, sent.ordering_key, attributes=sent.attributes))
        if sent.kind == "control":
            assert row is None
            continue
        assert row is not None
        if sent.kind == "tombstone":
            assert (row.op, row.op_inferred, row.payload, row.source_position) == ("DELETE", True, None, None)
            assert json.loads(row.key or b"") == json.loads(sent.ordering_key)
            continue
        body = json.loads(sent.data)
        body = body.get("payload", body)
        assert (row.op, row.op_inferred) == (OPERATIONS[body["op"]], False)
        assert json.loads(row.payload or b"null") == body["after"]
        assert json.loads(row.before or b"null") == body["before"]
        assert row.source_position == f"{body['source']['lsn']:020d}"
        assert row.source_ts == body["source"]["ts_us"]
        assert row.source_sequence == (body["transaction"] or {"total_order": 0})["total_order"]
        assert (row.source_system, row.source_table) == ("loyalty", f"member.{sent.table}")
        if body["op"] == "t":
            assert row.key is None
        else:
            assert json.loads(row.key or b"") == json.loads(sent.ordering_key)
    assert kinds == {"event", "tombstone", "control"}


def test_every_kind_of_poison_is_refused() -> None:
    world = World(11, 100, CONTRACTS)
    world.evolve(2_000)
    poison = [sent for sent in world.deliver(final=True) if sent.kind == "poison" and sent.detail in EVENT_POISON]
    assert {sent.detail for sent in poison} == set(EVENT_POISON)
    for sent in poison:
        decode = DIALECTS["debezium"](CONTRACTS[sent.table or ""], "load-1")
        with pytest.raises(DecodeError):
            decode(message(sent.data, sent.ordering_key, attributes=sent.attributes))


def test_the_row_image_keeps_every_byte() -> None:
    image = '{ "member_id" :7, "balance": 123456789012345678901234567890.10, "note":"\\u00e4ä" , "new_field":[ 1 ]}'
    data = f'{{"source":{json.dumps(SOURCE)},"after": {image} ,"before":{image},"op":"u"}}'.encode()
    row = landed(data)
    assert row.payload == row.before == image.encode()
    assert row.key == b'{"member_id":7}'


def outcome(data: bytes) -> RawRow | str | None:
    try:
        return decode_members(message(data))
    except DecodeError as error:
        return error.reason


@given(st.binary(max_size=200).filter(lambda data: data != b"null"))
def test_noise_is_refused_never_a_crash(data: bytes) -> None:
    # Nothing at all is a tombstone; everything else has a reason.
    assert isinstance(outcome(data), str if data else RawRow)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_event_is_refused_or_still_holds_json(place: int, noise: bytes) -> None:
    good = event()
    place %= len(good)
    told = outcome(good[:place] + noise + good[place + len(noise) :])
    if isinstance(told, RawRow) and told.payload is not None:
        assert isinstance(json.loads(told.payload), dict)
        assert json.loads(told.key or b"").keys() == {"member_id"}


def test_the_schema_wrapper_changes_nothing() -> None:
    plain = event(transaction={"id": "700:42", "total_order": 3, "data_collection_order": 1})
    assert landed(b'{"schema":{"type":"struct"},"payload":' + plain + b"}") == landed(plain)
    assert landed(plain).source_sequence == 3


@pytest.mark.parametrize("data", [b"", b"null", b'{"schema":null,"payload":null}'])
@pytest.mark.parametrize(
    "ordering_key", ['{"member_id":7}', '{"schema":{"type":"struct"},"payload":{"member_id":7}}', '{"member_id":"7"}']
)
def test_a_tombstone_lands_as_evidence_without_a_position(data: bytes, ordering_key: str) -> None:
    row = landed(data, ordering_key=ordering_key)
    assert (row.op, row.op_inferred, row.key) == ("DELETE", True, b'{"member_id":7}')
    assert (row.payload, row.source_position, row.source_sequence) == (None, None, None)
    assert (row.source_system, row.source_table) == ("loyalty", "member.members")


def test_a_delete_without_an_image_takes_the_record_key() -> None:
    row = landed(event(op="d", after=None))
    assert (row.op, row.key, row.payload, row.schema_fingerprint) == ("DELETE", b'{"member_id":7}', None, None)


def test_a_truncate_has_neither_key_nor_payload() -> None:
    row = landed(event(op="t", after=None), ordering_key="default")
    assert (row.op, row.key, row.payload, row.source_position) == ("TRUNCATE", None, None, f"{42:020d}")


@pytest.mark.parametrize(
    "data",
    [
        b'{"ts_ms":1}',
        b'{"schema":{},"payload":{"ts_ms":1}}',
        b'{"status":"BEGIN","id":"7:8","event_count":null,"data_collections":null,"ts_ms":1}',
        b'{"status":"END","id":"7:8","event_count":2,"data_collections":[],"ts_ms":1}',
        b'{"op":"m","message":{"prefix":"app","content":"aGk="},"source":{"name":"loyalty","table":""}}',
    ],
)
def test_control_messages_are_no_rows(data: bytes) -> None:
    assert decode_members(message(data)) is None


@pytest.mark.parametrize(
    "data",
    [b'{"ts_ms":1,"member_id":7}', b'{"status":"BEGIN","id":"7","member_id":7}', b'{"status":"END"}', b"{}"],
)
def test_what_only_resembles_a_control_message_is_kept(data: bytes) -> None:
    assert reason(data) == "unknown_operation"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"ts_us": 5_000_001, "ts_ns": 9, "ts_ms": 9}, 5_000_001),
        ({"ts_us": None, "ts_ns": 5_000_001_999, "ts_ms": 9}, 5_000_001),
        ({"ts_us": None, "ts_ms": 5_000}, 5_000_000),
        ({"ts_us": None}, None),
    ],
)
def test_the_finest_instant_is_taken(source: dict[str, object], expected: int | None) -> None:
    assert landed(event(source=SOURCE | source)).source_ts == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (event(source=SOURCE | {"table": "member_emails"}), "wrong_table"),
        (event(source=SOURCE | {"lsn": None}), "missing_position"),
        (event(source=SOURCE | {"connector": "spanner"}), "unknown_connector"),
        (event(source=SOURCE | {"ts_us": 10**18}), "timestamp_out_of_range"),
        (event(source=None), "invalid_envelope"),
        (event(op="x"), "unknown_operation"),
        (event(after=None), "missing_payload"),
        (event(after={"other": 1}), "missing_key"),
        (event(after={"member_id": "x"}), "invalid_key"),
        (event(transaction={"total_order": 2**63}), "invalid_envelope"),
        (event(op=7), "invalid_envelope"),
        (b'{"op":"c"', "invalid_json"),
        (event().replace(b'"member_id": 7}', b'"member_id": 7, "points": 1e999}'), "number_out_of_range"),
        (event().replace(b'"member_id": 7}', b'"member_id": 7, "points": NaN}'), "non_finite_number"),
        (event().replace(b'"member_id": 7}', b'"member_id": 7, "name": "\xff"}'), "invalid_utf8"),
    ],
)
def test_a_fault_has_a_reason(data: bytes, expected: str) -> None:
    assert reason(data) == expected


def test_a_trace_is_kept() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert landed(event(), attributes={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}).trace_id == trace
