"""What is read of StreamingPull's responses is what the service's own type reads of them."""

from google.pubsub_v1 import types as pubsub_types
from hypothesis import given
from hypothesis import strategies as st

from ingest.message import Message
from ingest.pubsub.received import messages_of
from ingest.streaming_pull import StreamingPullResponse

TEXTS = st.text(max_size=20)
RECEIVED = st.fixed_dictionaries(
    {
        "ack_id": TEXTS,
        "delivery_attempt": st.integers(0, 2**31 - 1),
        "message": st.fixed_dictionaries(
            {
                "data": st.binary(max_size=50),
                "attributes": st.dictionaries(TEXTS, TEXTS, max_size=3),
                "message_id": TEXTS,
                "ordering_key": TEXTS,
                "publish_time": st.fixed_dictionaries(
                    {"seconds": st.integers(0, 253_402_300_799), "nanos": st.integers(0, 999_999_999)}
                ),
            }
        ),
    }
)


@given(st.lists(RECEIVED, max_size=5))
def test_messages_are_those_that_the_service_sent(received: list[dict[str, object]]) -> None:
    sent = pubsub_types.StreamingPullResponse.pb()(
        received_messages=received,
        acknowledge_confirmation={"ack_ids": ["a"]},
        subscription_properties={"exactly_once_delivery_enabled": True},
    )
    found = messages_of(
        "subscription", "topic", StreamingPullResponse.FromString(sent.SerializeToString()).received_messages
    )
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
    [found] = messages_of("s", "t", StreamingPullResponse.FromString(sent.SerializeToString()).received_messages)
    assert found == Message("s", "t", "", b"")
