"""Decoding by the batch gives what decoding message by message gives, whatever the messages."""

import gc
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile_events import POSTGRESQL, SCALARS, TABLES, json_object, messages, table
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import TableContract, load_contracts
from core.errors import DecodeError
from devstack.world import World
from ingest.decode import DIALECTS, debezium_batch, usual_events
from ingest.decode.batch import BatchDecoder, batch_decoder
from ingest.decode.debezium.envelope import Envelope
from ingest.decode.debezium.images import RowImages
from ingest.decode.shapes import MAX_SHAPES, Shapes
from ingest.decode.usual_events import MAX_NAMES, UsualEvent, UsualEvents
from ingest.drift.forms import FORMS
from ingest.drift.watch import DriftWatch, ignore
from ingest.message import Message
from ingest.row import Landing

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
SIMPLE = table(["int64"], SCALARS)
ROW = {"id0": 7, "c_int64": 1, "c_numeric": "1.5", "c_string": "x", "c_bool": True, "c_timestamp": 5, "c_date": 1}


def one_by_one(contract: TableContract, batch: Iterable[Message]) -> tuple[list[Any], list[Message], list[Any]]:
    """The oracle: the dialect itself."""
    decode = DIALECTS[contract.wire_format](contract, "load")
    rows, control, refused = [], [], []
    for message in batch:
        try:
            row = decode(message)
        except DecodeError as error:
            refused.append((message.event_id, error.reason, str(error)))
            continue
        if row is None:
            control.append(message)
        else:
            rows.append((message.event_id, row))
    return rows, control, refused


def assert_same(contract: TableContract, decode: BatchDecoder, batch: Sequence[Message]) -> None:
    decoded = decode(batch)
    rows, control, refused = one_by_one(contract, batch)
    assert [(landing.message.event_id, landing.row) for landing in decoded.landings] == rows
    assert decoded.control == control
    assert [(message.event_id, error.reason, str(error)) for message, error in decoded.refused] == refused


def told(data: bytes, contract: TableContract = SIMPLE) -> Message:
    return Message("sub", contract.topic, "1", data, {}, '{"id0":7}', 5)


def event(row: dict[str, Any] = ROW, *, source: dict[str, Any] = POSTGRESQL, **fields: Any) -> Message:
    body = {"before": None, "after": row, "source": source, "transaction": None, "op": "c"} | fields
    return told(json.dumps(body, separators=(",", ":")).encode())


tables_and_batches = st.sampled_from(range(len(TABLES))).flatmap(
    lambda number: st.tuples(st.just(TABLES[number]), messages(TABLES[number]))
)


@settings(max_examples=150)
@given(tables_and_batches)
def test_a_batch_is_decoded_as_its_messages_are(case: tuple[TableContract, list[list[Message]]]) -> None:
    contract, batches = case
    decode = batch_decoder(contract, "load")
    for batch in batches:
        assert_same(contract, decode, batch)
        # What was learned from a batch must not change what becomes of it.
        assert_same(contract, decode, batch)


def test_every_message_of_a_world_is_decoded_as_alone() -> None:
    world = World(7, 150, CONTRACTS)
    world.evolve(2_000, truncate=("member_cases",))
    decoders = {topic: batch_decoder(contract, "load") for topic, contract in CONTRACTS.by_topic().items()}
    sent_to: dict[str, list[Message]] = {topic: [] for topic in decoders}
    for number, sent in enumerate(world.deliver(final=True)):
        if sent.topic in decoders:
            message = Message("sub", sent.topic, str(number), sent.data, sent.attributes, sent.ordering_key, 5)
            sent_to[sent.topic].append(message)
    for topic, all_of_it in sent_to.items():
        for start in range(0, len(all_of_it), 100):
            assert_same(CONTRACTS.by_topic()[topic], decoders[topic], all_of_it[start : start + 100])


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("wire_format", ["auto", "maxwell", "dms", "datastream", "plain"])
def test_other_dialects_are_decoded_as_alone(wire_format: Any, wrapped: bool) -> None:
    contract = table(["int64"], SCALARS, wire_format=wire_format, pattern="upsert")
    row = json.dumps(ROW).encode()
    data = json_object([("data", row), ("type", b'"insert"')]) if wrapped else row
    batch = [event(), told(data), told(b"1],[2"), told(b"")]
    assert_same(contract, batch_decoder(contract, "load"), batch)


# What the quick path must take: else it is merely right, and slow.


def never(message: Message) -> Any:
    raise AssertionError(f"not taken the quick way: {message.data!r}")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        POSTGRESQL,
        {"connector": "mysql", "name": "m", "db": "sales", "table": "t", "file": "bin.03", "pos": 154, "row": 2},
        {"connector": "mariadb", "name": "m", "db": "sales", "table": "T", "file": "bin.03", "pos": 154, "ts_ms": 9},
    ],
)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"op": "r"},
        {"op": "u", "before": ROW},
        {"op": "u", "before": {"id0": 7}, "transaction": {"id": "1", "total_order": 3}},
        {"op": "d", "before": ROW, "after": None},
    ],
)
def test_a_usual_event_is_taken_the_quick_way(fields: dict[str, Any], source: dict[str, Any], wrapped: bool) -> None:
    message = event(source=source, **fields)
    if wrapped:
        schema = {"type": "struct", "fields": [{"field": name} for name in ("before", "after")]}
        data = json_object([("schema", json.dumps(schema).encode()), ("payload", message.data)])
        message = msgspec.structs.replace(message, data=data)
    quick = debezium_batch.quick_decoder(SIMPLE, "load", DriftWatch(SIMPLE, ignore))
    [(_, expected)] = one_by_one(SIMPLE, [message])[0]
    landings: list[Landing] = []
    others: list[Message] = []
    for _ in range(3):
        # One by one, until its names are known and its schema, and then by one call.
        quick([message] * 3, landings.append, others.append)
    assert [landing.row for landing in landings] == [expected] * 9
    assert not others


def test_a_new_set_of_names_is_learned_once_it_came_twice() -> None:
    shapes = Shapes(SIMPLE, with_keys=True)
    text = json.dumps(ROW | {"new": 1}).encode()
    with pytest.raises(LookupError):
        shapes.read(text)
    for _ in range(2):
        shape, image = shapes.read(text)
        assert (shape.is_declared, shape.key(image)) == (False, b'{"id0":7}')


def test_what_is_learned_is_bounded() -> None:
    shapes = Shapes(SIMPLE, with_keys=True)
    for number in range(3 * MAX_SHAPES):
        text = json.dumps(ROW | {f"new{number}": 1}).encode()
        with pytest.raises(LookupError):
            shapes.read(text)
        assert not shapes.read(text)[0].is_declared
    assert len(shapes._known) <= MAX_SHAPES
    parser = UsualEvents(SIMPLE, RowImages(SIMPLE))
    quick = 0
    for number in range(2 * MAX_NAMES):
        try:
            parser.read(event(source=POSTGRESQL | {"schema": f"shard{number}"}).data)
        except LookupError:
            continue
        quick += 1
    assert quick == MAX_NAMES


def test_the_usual_event_leaves_no_field_of_the_envelope_unchecked() -> None:
    """A field that the dialect reads and the quick path skips would be decoded in two ways."""
    usual = {field.encode_name for field in msgspec.structs.fields(UsualEvent)}
    assert {field.encode_name for field in msgspec.structs.fields(Envelope)} <= usual


@pytest.mark.parametrize("data_type", FORMS)
def test_parsers_of_every_type_may_be_thrown_away(data_type: Any) -> None:
    """Some unions crash msgspec when they are collected."""
    for _ in range(50):
        msgspec.json.Decoder(msgspec.defstruct("Image", [("a", FORMS[data_type])], gc=False))
    gc.collect()


# Mutants: each leaves a check out, and must be found by a message that the property holds as well.


@pytest.mark.parametrize(
    ("module", "name", "mutant", "message"),
    [
        (
            debezium_batch,
            "_holds_marker",
            lambda *_: False,
            event(ROW | {"c_string": (b"__debezium_unavailable_value").hex()}),
        ),
        (usual_events.UsualEvents, "_learn_schema", lambda *_: None, None),
        (debezium_batch, "_trace", lambda _: None, None),
    ],
)
def test_a_check_left_out_is_found(
    module: Any, name: str, mutant: Any, message: Message | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "_learn_schema":
        fields = [{"field": "c_timestamp", "type": "int64", "name": "io.debezium.time.Timestamp"}]
        schema = {"type": "struct", "fields": [{"field": "before"}, {"field": "after", "fields": fields}]}
        data = json_object([("schema", json.dumps(schema).encode()), ("payload", event().data)])
        message = msgspec.structs.replace(event(), data=data)
    if name == "_trace":
        message = msgspec.structs.replace(event(), attributes={"content-type": "application/cloudevents+json"})
    assert message is not None
    assert_same(SIMPLE, batch_decoder(SIMPLE, "load"), [message])
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError):
        assert_same(SIMPLE, batch_decoder(SIMPLE, "load"), [message])


@given(st.data())
@settings(max_examples=50)
def test_a_batch_of_any_size_keeps_the_order_of_its_rows(data: st.DataObject) -> None:
    batch = [
        msgspec.structs.replace(event(ROW | {"id0": number}), event_id=str(number))
        for number in data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
    ]
    decoded = batch_decoder(SIMPLE, "load")(batch)
    assert [landing.message for landing in decoded.landings] == batch
    assert [json.loads(landing.row.key or b"") for landing in decoded.landings] == [
        {"id0": int(message.event_id)} for message in batch
    ]
