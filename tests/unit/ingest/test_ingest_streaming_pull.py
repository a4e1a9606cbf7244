"""What is read of StreamingPull's responses is what the service's own type reads of them."""

from contextlib import suppress

from google.protobuf.message import DecodeError
from google.pubsub_v1 import types as pubsub_types
from hypothesis import given
from hypothesis import strategies as st

from ingest.message import Message
from ingest.pubsub.received import messages_of

IDS = st.text(min_size=1, max_size=20)
TEXTS = st.text(max_size=20)
INSTANTS = st.fixed_dictionaries({"seconds": st.integers(0, 253_402_300_799), "nanos": st.integers(0, 999_999_999)})
ATTEMPTS = st.integers(0, 2**31 - 1)


def received(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A delivery with what the service gives every one, and some fields that it may have."""
    body = {"message_id": IDS, "publish_time": INSTANTS}
    body |= {name: strategy for name, strategy in fields.items() if name != "delivery_attempt"}
    own = {name: fields[name] for name in ("delivery_attempt",) if name in fields}
    return st.fixed_dictionaries({"ack_id": IDS, "message": st.fixed_dictionaries(body), **own})


# What some deliveries of a response have and others lack, or what all of them have, or none.
ANY = received(
    data=st.binary(max_size=50),
    attributes=st.dictionaries(TEXTS, TEXTS, max_size=3),
    ordering_key=TEXTS,
    delivery_attempt=ATTEMPTS,
)
ALIKE = st.sampled_from(
    [
        received(data=st.binary(min_size=1, max_size=50)),
        received(data=st.binary(max_size=2)),
        received(data=st.binary(min_size=1, max_size=50), ordering_key=IDS),
        received(data=st.binary(min_size=1, max_size=50), ordering_key=IDS, delivery_attempt=ATTEMPTS.filter(bool)),
        received(data=st.binary(min_size=1, max_size=50), ordering_key=TEXTS, delivery_attempt=ATTEMPTS),
    ]
)


@given(st.lists(ANY, max_size=5) | ALIKE.flatmap(lambda one: st.lists(one, max_size=5)))
def test_messages_are_those_that_the_service_sent(received: list[dict[str, object]]) -> None:
    sent = pubsub_types.StreamingPullResponse.pb()(
        received_messages=received,
        acknowledge_confirmation={"ack_ids": ["a"]},
        subscription_properties={"exactly_once_delivery_enabled": True},
    )
    found = messages_of("subscription", "topic", sent.SerializeToString())
    assert found == [
        Message(
            "subscription",
            "topic",
            one.message.message_id,
            one.message.data,
            dict(one.message.attributes),
            one.message.ordering_key,
            one.message.publish_time.seconds * 1_000_000 + one.message.publish_time.nanos // 1_000,
            one.ack_id,
            one.delivery_attempt,
        )
        for one in sent.received_messages
    ]


def test_what_the_service_left_out_is_empty() -> None:
    sent = pubsub_types.StreamingPullResponse.pb()(received_messages=[{}])
    assert messages_of("s", "t", sent.SerializeToString()) == [Message("s", "t", "", b"")]


def test_bodies_that_are_written_in_another_order_are_read_as_well() -> None:
    """The data of the first comes last, so that its body does not begin with it."""
    data, rest = b"\x0a\x01d", b"\x1a\x01%d\x22\x02\x08\x05"
    bodies = [rest % 1 + data, rest % 2, data + rest % 3]
    received = [b"\x0a\x01%d\x12%c%b" % (place, len(body), body) for place, body in enumerate(bodies)]
    response = b"".join(b"\x0a%c%b" % (len(one), one) for one in received)
    found = messages_of("s", "t", response)
    assert [(one.ack_id, one.event_id, one.data) for one in found] == [
        ("0", "1", b"d"),
        ("1", "2", b""),
        ("2", "3", b"d"),
    ]


@given(st.binary(max_size=60), st.lists(ANY, min_size=1, max_size=3), st.data())
def test_what_is_no_response_is_refused_in_the_ways_that_are_told(
    noise: bytes, sent: list[dict[str, object]], data: st.DataObject
) -> None:
    response = pubsub_types.StreamingPullResponse.pb()(received_messages=sent).SerializeToString()
    place = data.draw(st.integers(0, len(response)))
    for text in (noise, response[:place], response[:place] + noise, response[:place] + noise + response[place:]):
        with suppress(DecodeError, ValueError):
            messages_of("s", "t", text)
