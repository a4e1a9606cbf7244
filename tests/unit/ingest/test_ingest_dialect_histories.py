"""A table's history, told in any dialect and delivered in any order, ends in the same rows."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dialect_encoders import Sent, Told, history, moving_history, ways
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import load_contracts
from core.errors import DecodeError
from ingest.decode import DIALECTS
from ingest.decode.batch import batch_decoder
from ingest.decode.recognise import SHAPES, recognise
from ingest.message import Message
from ingest.row import RawRow

EMAILS = load_contracts(Path("dbt_project/models/raw"))["member_emails"]
WAYS = ways(EMAILS)

FEW = settings(settings.get_profile("millrace"), max_examples=15)
"""Examples a way; there are about a hundred ways."""

PLANS = st.lists(
    st.tuples(st.integers(1, 3), st.booleans(), st.one_of(st.none(), st.text(max_size=8))), min_size=1, max_size=12
)
TRANSACTIONS = st.lists(st.integers(1, 4), max_size=12)


def messages(sent: Sequence[Sent]) -> list[Message]:
    return [
        Message(
            "projects/p/subscriptions/s", EMAILS.topic, f"{number + 1}", each.data, each.attributes, each.ordering_key
        )
        for number, each in enumerate(sent)
    ]


def published(told: Told, steps: Any) -> list[Message]:
    """The messages, two published at every instant."""
    sent = messages(list(told.encode(steps)))
    for number, message in enumerate(sent):
        message.publish_ts = 1_000 + number // 2
    return sent


def order_key(row: RawRow) -> str:
    """As the macro `cdc_order_key` builds it."""
    deleted = int(row.op == "DELETE")
    return f"{row.source_position} {row.source_sequence or 0:020d} {row.source_ts or 0:020d} {deleted}"


def replay(rows: Sequence[RawRow]) -> dict[int, Any]:
    """Of every key the row that its newest change left, whatever order they came in."""
    newest: dict[bytes, RawRow] = {}
    for row in rows:
        assert row.key is not None
        assert row.source_position is not None
        held = newest.get(row.key)
        if held is None or order_key(row) > order_key(held):
            newest[row.key] = row
    return {
        json.loads(key)["email_id"]: json.loads(row.payload or b"null")
        for key, row in newest.items()
        if row.op != "DELETE"
    }


@pytest.mark.parametrize("way", WAYS)
@FEW
@given(plan=PLANS, transactions=TRANSACTIONS, random=st.randoms(use_true_random=False))
def test_a_history_ends_in_the_truth(way: str, plan: list[Any], transactions: list[int], random: Any) -> None:
    told = WAYS[way]
    steps, truth = history(plan, transactions)
    decode = DIALECTS[told.contract.wire_format](told.contract, "load-1")
    deliveries = published(told, steps)
    random.shuffle(deliveries)
    rows = [row for message in deliveries if (row := decode(message)) is not None]
    left = replay(rows)
    if told.contract.cursor:
        for row in left.values():
            del row["updated_at"]
    assert left == truth
    assert {row.event_id for row in rows} <= {message.event_id for message in deliveries}
    for row in rows:
        # Not the marker of a producer, only columns.
        assert {"_op", "Op", "_deleted", "transact_id"}.isdisjoint(json.loads(row.payload or b"{}"))


MOVES = st.lists(
    st.tuples(st.integers(1, 3), st.one_of(st.none(), st.integers(1, 3), st.integers(1, 3)), st.text(max_size=3)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("way", [way for way in WAYS if "maxwell" in way or "dms with" in way or "dms by" in way])
@FEW
@given(plan=MOVES, transactions=TRANSACTIONS, random=st.randoms(use_true_random=False))
def test_a_row_that_moves_leaves_its_old_key(way: str, plan: list[Any], transactions: list[int], random: Any) -> None:
    told = WAYS[way]
    steps, truth = moving_history(plan, transactions)
    deliveries = published(told, steps)
    random.shuffle(deliveries)
    decoded = batch_decoder(told.contract, "load-1")(deliveries)
    assert not decoded.refused
    rows = [landing.row for landing in decoded.landings]
    assert replay(rows) == truth
    moves = [step for step in steps if step.before and step.after and step.before["email_id"] != step.after["email_id"]]
    assert len(rows) == len(steps) + len(moves)
    assert len(decoded.in_two) == len(moves)
    for message in decoded.in_two:
        gone, come = [landing for landing in decoded.landings if landing.message is message]
        assert gone.row.event_id == come.row.event_id == message.event_id
        assert (gone.row.op, gone.row.payload, come.row.op, come.row.before) == ("DELETE", None, "INSERT", None)
        assert gone.row.op_inferred
        assert come.row.op_inferred


@given(order=st.permutations(range(5)), numbered=st.booleans())
def test_rows_that_one_statement_moves_along_all_stay(order: list[int], numbered: bool) -> None:
    """Each moves to the key that the one before it has left, and Maxwell does not always number them."""
    contract = dataclasses.replace(EMAILS, wire_format="maxwell")
    sent = []
    for number in range(5):
        event = {"database": "member", "table": contract.name, "type": "update", "ts": 1, "position": "b.1:4"}
        event |= {"data": {"email_id": 10 - number, "n": number}, "old": {"email_id": 9 - number}}
        event |= {"xoffset": number} if numbered else {}
        sent.append(Sent(json.dumps(event).encode()))
    decoded = batch_decoder(contract, "load-1")([messages(sent)[number] for number in order])
    left = replay([landing.row for landing in decoded.landings])
    assert left == {10 - number: {"email_id": 10 - number, "n": number} for number in range(5)}


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith(("maxwell", "dms with", "debezium"))])
@FEW
@given(plan=PLANS, transactions=TRANSACTIONS)
def test_the_row_before_an_update_is_the_row_there_was(way: str, plan: list[Any], transactions: list[int]) -> None:
    told = WAYS[way]
    steps, _ = history(plan, transactions)
    decode = DIALECTS[told.contract.wire_format](told.contract, "load-1")
    rows = [row for message in published(told, steps) if (row := decode(message)) is not None]
    for step, row in zip(steps, rows, strict=True):
        before = json.loads(row.before or b"null")
        if way.startswith("dms") and step.op == "update":
            # It holds the old values of two columns only.
            assert step.before is not None
            assert (before["email_id"], before["email"]) == (step.before["email_id"], step.before["email"])
        else:
            assert before == step.before


@pytest.mark.parametrize(
    "way", [way for way in WAYS if not way.startswith("auto") and WAYS[way].contract.encoding == "json"]
)
@FEW
@given(plan=PLANS, transactions=TRANSACTIONS)
def test_no_message_has_the_shape_of_another_dialect(way: str, plan: list[Any], transactions: list[int]) -> None:
    told = WAYS[way]
    if " structured" in way or "cloudevents" in way:
        return
    for message in published(told, history(plan, transactions)[0]):
        assert recognise(message, told.contract) == told.contract.wire_format
        row = json.loads(message.data) if message.data else {}
        fitting = [name for name, fits in SHAPES.items() if fits(row)]
        assert fitting == [name for name in [told.contract.wire_format] if name != "plain"] or not message.data


@FEW
@given(plan=PLANS, other=PLANS, transactions=TRANSACTIONS, data=st.data())
def test_what_has_the_shape_of_two_dialects_is_refused(
    plan: list[Any], other: list[Any], transactions: list[int], data: st.DataObject
) -> None:
    names = ["datastream mysql", "maxwell", "dms by time", "debezium"]
    one, two = data.draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True))
    auto = dataclasses.replace(EMAILS, wire_format="auto")
    decode = DIALECTS["auto"](auto, "load-1")
    steps, others = history(plan, transactions)[0], history(other, transactions)[0]
    for left, right in zip(WAYS[one].encode(steps), WAYS[two].encode(others), strict=False):
        first, second = json.loads(left.data), json.loads(right.data)
        mixed = first.get("payload", first) if one == "debezium" else first
        mixed = second.get("payload", second) | mixed if two == "debezium" else second | mixed
        with pytest.raises(DecodeError) as caught:
            decode(messages([Sent(json.dumps(mixed).encode())])[0])
        assert caught.value.reason == "unrecognised_dialect"


# Hostile input ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(["", "x", "I", "insert", "1/1", "mysql-bin.1:1", "2026-01-01", "9" * 50, "backfill", "\ud800"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted({told.contract.wire_format for told in WAYS.values()})


def outcome(told: Told, sent: Sent) -> RawRow | str | None:
    """What became of a message; anything but a row, a control message or a reason is a crash."""
    decode = DIALECTS[told.contract.wire_format](told.contract, "load-1")
    try:
        row = decode(messages([sent])[0])
    except DecodeError as error:
        return error.reason
    if row is not None:
        for image in (row.payload, row.before):
            assert image is None or isinstance(json.loads(image), dict)
        assert json.loads(row.key or b"").keys() == {"email_id"} or row.op == "TRUNCATE"
    return row


@pytest.mark.parametrize("way", WAYS)
@FEW
@given(data=st.binary(max_size=60), prefix=st.sampled_from([b"", b"Obj\x01", b"{", b"[", b'{"specversion"']))
def test_noise_is_refused_never_a_crash(way: str, data: bytes, prefix: bytes) -> None:
    told = WAYS[way]
    if data:
        assert isinstance(outcome(told, Sent(prefix + data, {"content-type": "application/json"})), str)
    assert isinstance(outcome(told, Sent(b"{" + data, {"content-type": "application/cloudevents+json"})), str)


def one_event(way: str) -> Sent:
    """An update in that dialect."""
    steps, _ = history([(1, False, "a"), (1, False, "b"), (1, False, "c")], [])
    return list(WAYS[way].encode(steps))[-1]


@pytest.mark.parametrize("way", WAYS)
@FEW
@given(place=st.integers(0, 2_000), noise=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_a_damaged_event_is_refused_or_still_holds_json(way: str, place: int, noise: bytes, cut: bool) -> None:
    sent = one_event(way)
    place %= len(sent.data)
    damaged = sent.data[:place] if cut else sent.data[:place] + noise + sent.data[place + len(noise) :]
    outcome(WAYS[way], dataclasses.replace(sent, data=damaged))


def replaced(document: Any, path: list[int], value: Any) -> Any:
    """The document with what the path leads to replaced."""
    if not path or not isinstance(document, dict) or not document:
        return value
    name = list(document)[path[0] % len(document)]
    return {**document, name: replaced(document[name], path[1:], value)}


@pytest.mark.parametrize("way", [way for way in WAYS if WAYS[way].contract.encoding == "json"])
@FEW
@given(path=st.lists(st.integers(0, 12), min_size=1, max_size=3), value=JSON)
def test_a_value_of_another_type_is_refused_or_landed(way: str, path: list[int], value: Any) -> None:
    sent = one_event(way)
    document = replaced(json.loads(sent.data), path, value)
    outcome(WAYS[way], dataclasses.replace(sent, data=json.dumps(document).encode()))


@pytest.mark.parametrize("way", [way for way in WAYS if WAYS[way].contract.encoding == "json"])
def test_deep_nesting_huge_numbers_and_non_numbers_are_refused(way: str) -> None:
    sent = one_event(way)
    for poison in (b"[" * 100_000, b'{"a":' * 100_000, b"1e999", b"NaN", b"-Infinity", b'"\xff"'):
        data = sent.data.replace(b'"email": "c"', b'"email": ' + poison)
        if data != sent.data:
            assert isinstance(outcome(WAYS[way], dataclasses.replace(sent, data=data)), str)


@pytest.mark.parametrize("way", [way for way in WAYS if "plain" not in way and "dms rows" not in way])
def test_an_event_of_another_table_is_refused(way: str) -> None:
    told = WAYS[way]
    elsewhere = dataclasses.replace(told.contract, name="member_phones")
    assert outcome(Told(elsewhere, told.encode), one_event(way)) == "wrong_table"
