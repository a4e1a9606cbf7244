"""From a response of StreamingPull to messages."""

from itertools import repeat
from typing import Any, Final

from ingest.message import NO_ATTRIBUTES, Message
from ingest.streaming_pull import (
    StreamingPullBodies,
    StreamingPullColumns,
    StreamingPullResponse,
    attributes_of,
    micros_of,
)

_DATA: Final = b"\x0a"
"""What the body of a message begins with that has data: the tag of `data`, whose number is the lowest.

Fields are written in the order of their numbers (https://protobuf.dev/programming-guides/encoding/#order), though they
need not be; where they are not, the count of these is not that of the data.
"""


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
        ValueError: when it holds an instant that is none.
    """
    columns = StreamingPullColumns.FromString(response).received_messages
    bodies = columns.message
    tokens, ids, instants = columns.ack_id, bodies.message_id, bodies.publish_time
    keys, attempts = bodies.ordering_key, columns.delivery_attempt
    count = len(tokens)
    if (
        not (count == len(ids) == len(instants))
        or len(keys) not in (0, count)
        or len(attempts) not in (0, count)
        or bodies.attributes
        or not count
    ):
        # Some messages have what others have not: then it must be seen which.
        return _one_by_one(subscription, topic, response)
    # The fields are copied by slices: a call each, and iterating over the copies is quicker too.
    data = bodies.data[:]
    if len(data) != count:
        has_data = [
            body.startswith(_DATA) for body in StreamingPullBodies.FromString(response).received_messages.message
        ]
        if len(has_data) != count or sum(has_data) != len(data):
            return _one_by_one(subscription, topic, response)
        present = iter(data)
        data = [next(present) if has else b"" for has in has_data]
    return list(
        map(
            Message,
            repeat(subscription),
            repeat(topic),
            ids[:],
            data,
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
