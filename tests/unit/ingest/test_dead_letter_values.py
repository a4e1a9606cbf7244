"""What is said of dead letters, and which are meant, without any service."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError
from devstack.pubsub.limits import check_publish
from ingest.dead_letters.archive import Letter
from ingest.dead_letters.copies import copy_of
from ingest.dead_letters.filters import Filters, instant
from ingest.dead_letters.masking import hexdump, masked, masked_attributes, revealed
from ingest.dead_letters.replay import _batches
from ingest.dead_letters.writer import DeadLetter
from ingest.message import Message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.just("name"), inner))


def letter(event_id: str, topic: str = "t", size: int = 0, uri: str | None = None, length: int | None = None) -> Letter:
    return Letter(
        event_id, "reason", None, 1, topic, None, "", b"x" * size, {}, NOW, NOW, None, length, uri, None
    )  # fmt: skip


def texts(value: object) -> list[str]:
    """Every text in a document, names aside."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@given(st.binary() | st.text().map(str.encode) | documents.map(msgspec.json.encode))
def test_a_mask_lets_no_letter_and_no_digit_of_a_value_through(data: bytes) -> None:
    shape = masked(data)
    try:
        shown = texts(msgspec.json.decode(shape))
    except msgspec.DecodeError:
        shown = [shape]
    told = {"<int>", "<float>", f"<{len(data)} bytes that are no text>"}
    assert not [text for text in shown if text not in told and any(one.isalnum() and one not in "x0" for one in text)]


@given(documents)
def test_a_mask_keeps_the_form(document: object) -> None:
    def form(value: object) -> object:
        if isinstance(value, dict):
            return {name: form(inner) for name, inner in value.items()}
        return [form(inner) for inner in value] if isinstance(value, list) else None

    assert form(msgspec.json.decode(masked(msgspec.json.encode(document)))) == form(document)


def test_a_mask_of_broken_json_shows_where_it_breaks() -> None:
    assert masked(b'{"email": "eva@example.com", "age": 41') == '{"xxxxx": "xxx@xxxxxxx.xxx", "xxx": 00'
    assert masked(b"\xff\x00") == "<2 bytes that are no text>"
    assert masked_attributes({"millrace_reason": "late", "who": "Eva 7"}) == {"millrace_reason": "late", "who": "xxx 0"}


def test_a_body_cannot_steer_the_terminal() -> None:
    assert revealed("a\x1b[31m\nä".encode()) == "a\\x1b[31m\nä"
    assert revealed(b"\xff" + bytes(range(48, 65))) == hexdump(b"\xff" + bytes(range(48, 65)))
    assert hexdump(b"\xff0123456789:;<=>?@") == (
        "00000000  ff 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e  |.0123456789:;<=>|\n"
        "00000010  3f 40                                            |?@|"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("90m", NOW - timedelta(minutes=90)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_instants_are_read_as_people_write_them(text: str, expected: datetime) -> None:
    assert instant(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "0d", "-1d", "7 d", "2026-02-30", "999999d", "1w"])
def test_what_is_no_instant_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write 2026-01-31"):
        instant(text, NOW)


def test_values_are_bound_and_never_part_of_the_condition() -> None:
    nasty = "x' or 1=1 --"
    filters = Filters(nasty, nasty, nasty, (nasty, "1"), NOW, NOW)
    assert nasty not in filters.condition()
    assert filters.condition().count("@") == len(filters.parameters()) - 1 == 6
    assert not filters.are_empty
    assert Filters(limit=5).are_empty
    assert Filters().condition() == "true"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3_000_000), st.booleans()), max_size=40))
def test_batches_keep_the_order_and_fit_a_request(kinds: list[tuple[str, int, bool]]) -> None:
    letters = [
        letter(str(number), topic, 0 if aside else size, "s3://b/k" if aside else None)
        for number, (topic, size, aside) in enumerate(kinds)
    ]
    batches = list(_batches(letters))
    assert [one for batch in batches for one in batch] == letters
    for batch in batches:
        assert len({one.topic for one in batch}) == 1
        assert len(batch) == 1 or sum(len(one.data) for one in batch) <= 5_000_000
        assert len(batch) == 1 or all(one.data_uri is None for one in batch[:-1])


def test_a_cut_body_is_known_by_its_length() -> None:
    assert not letter("1", size=10, length=10).is_cut
    assert letter("1", size=10, length=11).is_cut
    assert not letter("1", length=9_000_000, uri="s3://b/k").is_cut
    assert not letter("1", size=10).is_cut
    assert letter("1", size=7_900_000).is_cut


names = st.text(max_size=4) | st.sampled_from(["", "google", "googclient_traceparent", "n" * 257, "\u00e4" * 128])
values = st.text(max_size=4) | st.sampled_from(["v" * 1_024, "v" * 1_025, "\u00e4" * 513])


@given(st.dictionaries(names, values), st.integers(0, 120), values, st.sampled_from([0, 1, 9_899_000]), st.booleans())
def test_a_copy_is_one_that_pubsub_takes(
    attributes: dict[str, str], more: int, key: str, size: int, is_elsewhere: bool
) -> None:
    attributes |= {f"more-{number}": "x" for number in range(more)}
    message = Message("s", "t", "topic-0-17", b"x" * size, attributes, key)
    copy = copy_of(DeadLetter(message, "invalid_json", "\u00e4" * 600), "s3://b/o" if is_elsewhere else None)
    check_publish([copy], copy.ByteSize())
    left_out = {name for name, value in attributes.items() if copy.attributes.get(name) != value}
    assert int(copy.attributes.get("millrace_attributes_left_out", "0")) == len(left_out)
    fit = {n for n, v in attributes.items() if n and not n.startswith("goog") and len(n) < 50 and len(v) < 50}
    assert len(attributes) > 90 or not left_out & fit, "nothing is left out that fits"
    assert copy.attributes["millrace_reason"] == "invalid_json"
    assert copy.data == message.data[: len(copy.data)]
    if copy.ordering_key != key:
        assert copy.attributes["millrace_ordering_key_bytes"] == str(len(key.encode()))
