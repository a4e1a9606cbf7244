"""Messages parsed by one call become what each of them becomes alone, whatever they are made to do together."""

import json
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hostile_events import SCHEMAS as HOSTILE_SCHEMAS
from hostile_events import events
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_ingest_batch_decode import ROW, SIMPLE, assert_same, event, told

from ingest.decode import debezium_batch, usual_events
from ingest.decode.batch import batch_decoder
from ingest.decode.joined import CHUNK, LARGEST, LEFT_OUT, LONGEST_PAUSE, join, joined_parser, new_separator, part
from ingest.message import Message

GUESS = 7

# The texts themselves, whatever they hold. ----------------------------------------------------------------------------


class Value(msgspec.Struct):
    a: Any = None


PIECES = [
    b'{"a":1}', b'{"a":[1', b'2]}', b'{"a":"', b'"}', b'{"a":{"a":', b"}", b"{}", b"[", b"]", b",", b'"', b"\\", b" ",
    b"\n", b"5", b"-", b"1e", b".5", b"null", b"nul", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\\u00", b"7", b",7,",
    b"[" * 2_000,
]  # fmt: skip
VALID = [b'{"a":1}', b' {"a":[1,{"b":"],["}]}\n', b"{}", b"5", b'{"a":"\\",7,"}', b'{"b":[[],[7,7]]}', b'{"a":7}']


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """Texts that are one JSON array only together: each reaches into the next."""
    text = b",".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=4)))
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    parts = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    # Where one was cut at a comma, the joint brings it back.
    return [one.removeprefix(b",") for one in parts]


made_of_pieces = st.lists(st.sampled_from(PIECES), max_size=4).map(b"".join)
texts = st.one_of(
    st.lists(st.sampled_from(VALID), min_size=1, max_size=5),
    st.lists(st.one_of(st.sampled_from(VALID), st.sampled_from(VALID), made_of_pieces), min_size=1, max_size=5),
    cut(),
)
parse_alone, parse_joined = msgspec.json.Decoder(Value | int).decode, joined_parser(Value)


@settings(max_examples=600, deadline=None)
@given(texts)
def test_joined_texts_are_parsed_if_each_of_them_is_and_then_alike(bodies: list[bytes]) -> None:
    expected: list[Any] | None
    try:
        expected = [parse_alone(body) for body in bodies]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        expected = None
    separator = new_separator()
    found: list[Any] | None
    try:
        found = part(parse_joined(join(bodies, separator)), len(bodies), separator)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError):
        found = None
    assert found == expected


@given(st.lists(st.integers(0, 3 * LARGEST).map(lambda size: b" " * size + b"5"), min_size=1, max_size=CHUNK))
@settings(max_examples=20)
def test_a_joined_text_is_bounded(bodies: list[bytes]) -> None:
    bodies += [bodies[0]] * (CHUNK - len(bodies))
    separator = new_separator()
    text = join(bodies, separator)
    assert len(text) <= CHUNK * (LARGEST + len(str(2**63)) + 2)
    values = part(parse_joined(text), CHUNK, separator)
    assert all(value == 5 or len(body) > LARGEST for value, body in zip(values, bodies, strict=True))
    assert {value for value in values if value != 5} <= {int(LEFT_OUT)}


def test_separators_are_never_the_same() -> None:
    drawn = {new_separator() for _ in range(1_000)}
    assert len(drawn) == 1_000
    assert sum(one.bit_length() > 53 for one in drawn) > 900
    assert max(drawn) < 2**63


# The batch. -----------------------------------------------------------------------------------------------------------

GOOD = event().data
OPEN = GOOD[:-1] + b',"x":[1'
NUMBER = str(GUESS).encode()


SCHEMAS = [
    json.dumps({"type": "struct", "fields": [{"field": name} for name in names]}).encode()
    for names in (("before", "after"), ("before", "after", "source"))
]


def wrapped(body: bytes, schema: bytes = SCHEMAS[0]) -> bytes:
    return b'{"schema":' + schema + b',"payload":' + body + b"}"


def bodies_of(*bodies: bytes) -> list[Message]:
    return [msgspec.structs.replace(told(body), event_id=str(number)) for number, body in enumerate(bodies)]


@st.composite
def batches(draw: st.DrawFn) -> list[Message]:
    """Usual events, and among them at times what is cut, doubled, or made to reach over."""
    usual = st.integers(0, 10**6).map(lambda number: event(ROW | {"id0": number, "c_string": f"],[{number}"}).data)
    if draw(st.booleans()):
        usual = st.builds(wrapped, usual, st.sampled_from([*SCHEMAS[:1] * 9, *SCHEMAS]))
    bodies = draw(st.lists(usual, min_size=1, max_size=8))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(bodies) - 1))
        one = bodies[place]
        here = draw(st.integers(0, len(one)))
        end = draw(st.sampled_from([len(one), here + 1, here]))
        odd = st.one_of(made_of_pieces, st.sampled_from([b"", b"null", b"[]", b" 5 ", OPEN, b"2]}"]), events(SIMPLE))
        changed = {
            "halves": [one[:here], one[here:]],
            "halves at a joint": [one[:here].removesuffix(b","), one[here:].removeprefix(b",")],
            "two in one": [one + b"," + one],
            "two in one, and one open": [one + b"," + one, OPEN, b"2]}"],
            "damaged": [one[:here] + draw(made_of_pieces) + one[end:]],
            "spaced": [b"\n\t " + one + b" \r\n"],
            "odd": [draw(odd), one],
        }
        bodies[place : place + 1] = changed[draw(st.sampled_from(sorted(changed)))]
    return bodies_of(*bodies)


def check(batch: Sequence[Message]) -> None:
    decode = batch_decoder(SIMPLE, "load")
    # What the names of the source are, and what the schema, must be known before messages are joined.
    assert_same(SIMPLE, decode, bodies_of(GOOD, wrapped(GOOD)))
    assert_same(SIMPLE, decode, batch)


@settings(max_examples=200, deadline=None)
@given(batches())
def test_a_joined_batch_becomes_what_its_messages_become_alone(batch: list[Message]) -> None:
    check(batch)


@pytest.mark.parametrize(
    ("module", "name", "mutant", "bodies"),
    [
        # Nothing stands between the messages: two that are one event, and one that is two, are two events.
        (debezium_batch, "join", lambda bodies, _: b"[" + b",".join(bodies) + b"]", [OPEN, b"2]}," + GOOD]),
        # The separators are there, and not looked at.
        (debezium_batch, "part", lambda values, *_: values[::2], [GOOD + b"," + GOOD, GOOD]),
        # Only as many values as there must be: three events in one, and two that are one, of which a joint is lost.
        (
            debezium_batch,
            "part",
            lambda values, count, _: values[::2] if len(values) == 2 * count - 1 else [0] * count,
            [GOOD + b",5," + GOOD, OPEN, b"2]}"],
        ),
        # Only as many separators as there must be: the last one is two.
        (
            debezium_batch,
            "part",
            lambda values, count, between: values[::2] if values[1::2].count(between) == count - 1 else [0] * count,
            [GOOD, GOOD + b"," + GOOD],
        ),
        # The schema of a wrapped event is not looked at.
        (
            usual_events.UsualEvents,
            "unwrap",
            lambda _, values: [value.payload for value in values],
            [wrapped(GOOD), wrapped(GOOD, json.dumps(HOSTILE_SCHEMAS[1]).encode()), wrapped(GOOD)],
        ),
        # A separator that can be foreseen: the first brings one of its own, in place of that which the second swallows.
        (debezium_batch, "new_separator", lambda: GUESS, [GOOD + b"," + NUMBER + b"," + GOOD, OPEN, b"2]}"]),
    ],
)
def test_a_joint_that_is_not_checked_is_found(
    module: Any, name: str, mutant: Any, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = bodies_of(*bodies)
    check(batch)
    if name == "join":
        monkeypatch.setattr(debezium_batch, "part", lambda values, count, _: values if len(values) == count else 0)
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError):
        check(batch)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a parser was called, for joined messages and for one."""
    counted: Counter[str] = Counter()

    def counting(name: str, parse: Any) -> Any:
        def parse_counted(text: bytes) -> Any:
            counted[name] += 1
            return parse(text)

        return parse_counted

    parsers = usual_events._parsers
    names = ("one", "one", "joined", "joined")
    monkeypatch.setattr(usual_events, "_parsers", lambda of: tuple(map(counting, names, parsers(of))))
    return counted


def test_many_messages_are_parsed_by_one_call_and_a_broken_one_costs_its_neighbours_no_more_than_that(
    calls: Counter[str],
) -> None:
    decode = batch_decoder(SIMPLE, "load")
    decode([event()])
    calls.clear()
    batch = [event(ROW | {"id0": number}) for number in range(3 * CHUNK)]
    assert len(decode(batch).landings) == 3 * CHUNK
    assert calls == {"joined": 3}
    calls.clear()
    batch[CHUNK + 5] = told(GOOD[:-1])
    decoded = decode(batch)
    assert ([error.reason for _, error in decoded.refused], len(decoded.landings)) == (["invalid_json"], 3 * CHUNK - 1)
    # The broken one is tried by the parser for names that are not known yet, too.
    assert calls == {"joined": 3, "one": CHUNK + 1}
    calls.clear()
    batch[CHUNK + 5] = told(wrapped(GOOD))
    batch[0] = told(b"")
    assert len(decode(batch).landings) == 3 * CHUNK
    # A tombstone, and an event of another form, stand apart without the others' having to.
    assert calls == {"joined": 3, "one": 1}
    calls.clear()
    assert len(decode(bodies_of(*[wrapped(GOOD)] * 9, wrapped(GOOD, SCHEMAS[1]))).landings) == 10
    assert calls == {"joined": 1, "one": 1}


def test_joining_is_tried_less_and_less_where_it_is_in_vain(calls: Counter[str]) -> None:
    decode = batch_decoder(SIMPLE, "load")
    decode([event()])
    calls.clear()
    poisoned, usual = [event(), event(), told(GOOD[:-1])], [event()] * 3
    for _ in range(400):
        assert len(decode(poisoned).landings) == 2
    # The first, the second, the fourth, the eighth, the sixteenth, and from then on every sixteenth.
    assert calls["joined"] == 4 + 400 // (LONGEST_PAUSE + 1)
    for _ in range(LONGEST_PAUSE + 1):
        decode(usual)
    # Once it works again, it is done again every time, and one broken message is not held against the next batch.
    calls.clear()
    for batch in (usual, poisoned, usual, usual):
        decode(batch)
    assert calls == {"joined": 4, "one": 4}


def test_no_row_holds_on_to_the_messages_it_was_parsed_with() -> None:
    decode = batch_decoder(SIMPLE, "load")
    decode([event()])
    tracemalloc.start()
    try:
        held = [
            decode([event(ROW | {"id0": number}, padding="x" * 10_000) for number in range(CHUNK)]).landings[5].row
            for _ in range(3)
        ]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(type(row.payload), row.key) for row in held] == [(bytes, b'{"id0":5}')] * 3
    # Three rows of a few hundred bytes; what they were parsed with is two million.
    assert kept < 200_000


def test_what_is_too_long_or_too_deep_to_be_joined_is_read_alone() -> None:
    deep = b'{"a":' * 2_000 + b"1" + b"}" * 2_000
    long = [event(ROW | {"c_string": "x" * 100_000}) for _ in range(CHUNK // 2)]
    check([event(), *long, *([event()] * 20), told(b'{"x":' + deep + b"," + GOOD[1:]), event()])


@given(st.lists(st.integers(0, CHUNK + 1), min_size=1, max_size=3), st.randoms())
@settings(max_examples=15, deadline=None)
def test_marked_values_are_found_in_any_message_of_a_chunk(sizes: list[int], random: Any) -> None:
    batch = [event(ROW | {"id0": number}) for number in range(sum(sizes))]
    assume(batch)
    marked = event(ROW | {"c_string": b"__debezium_unavailable_value".hex()})
    batch[random.randrange(len(batch))] = marked
    check(batch)
