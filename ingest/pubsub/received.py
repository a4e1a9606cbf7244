"""From a response of StreamingPull to messages."""

from collections.abc import Iterable
from typing import Any

from ingest.message import NO_ATTRIBUTES, Message
from ingest.streaming_pull import attributes_of, micros_of


def messages_of(subscription: str, topic: str, received: Iterable[Any]) -> list[Message]:
    """Copy the deliveries out of the response that brought them.

    The copies let go of the response, whose memory would otherwise live as long as its slowest message.

    Args:
        subscription: full name of the subscription.
        topic: short name of its topic.
        received: the received messages of an `ingest.streaming_pull.StreamingPullResponse`.

    Returns:
        The messages, in the same order.
    """
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
