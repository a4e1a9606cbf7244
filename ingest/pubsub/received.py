"""From a response of StreamingPull to messages."""

from itertools import repeat
from typing import Any

from ingest.message import NO_ATTRIBUTES, Message
from ingest.streaming_pull import StreamingPullColumns, StreamingPullResponse, attributes_of, micros_of


def messages_of(subscription: str, topic: str, response: bytes) -> list[Message]:
    """Read the deliveries of a response.

    Args:
        subscription: full name of the subscription.
        topic: short name of its topic.
        response: an encoded `google.pubsub.v1.StreamingPullResponse`. The service gives every message an id, an
            instant and a token.

    Returns:
        The messages, in the same order.

    Raises:
        google.protobuf.message.DecodeError: when it is no such response.
    """
    columns = StreamingPullColumns.FromString(response).received_messages
    bodies = columns.message
    tokens, ids, instants, data = columns.ack_id, bodies.message_id, bodies.publish_time, bodies.data
    keys, attempts = bodies.ordering_key, columns.delivery_attempt
    count = len(tokens)
    if (
        not (count == len(ids) == len(instants) == len(data))
        or len(keys) not in (0, count)
        or len(attempts) not in (0, count)
        or bodies.attributes
        or not count
    ):
        # Some messages have what others have not, such as a body: then it must be seen which.
        return _one_by_one(subscription, topic, response)
    # The fields are copied by slices: a call each, and iterating over the copies is quicker too.
    return list(
        map(
            Message,
            repeat(subscription),
            repeat(topic),
            ids[:],
            data[:],
            repeat(NO_ATTRIBUTES),
            keys[:] or repeat(""),
            map(_Instants().__getitem__, instants[:]),
            tokens[:],
            attempts[:] or repeat(0),
        )
    )


def _one_by_one(subscription: str, topic: str, response: bytes) -> list[Message]:
    received: Any = StreamingPullResponse.FromString(response).received_messages
    instants = _Instants()
    # Every attribute of a protocol buffer that is read costs a call, so each is read once.
    return [
        Message(
            subscription,
            topic,
            body.message_id,
            body.data,
            attributes_of(attributes) if (attributes := body.attributes) else NO_ATTRIBUTES,
            body.ordering_key,
            instants[body.publish_time],
            one.ack_id,
            one.delivery_attempt,
        )
        for one in received
        for body in (one.message,)
    ]


class _Instants(dict[bytes, int]):
    """Instants by their bytes: what was published together has one, which is read once."""

    def __missing__(self, instant: bytes) -> int:
        micros = self[instant] = micros_of(instant)
        return micros
