"""From a response of StreamingPull to messages."""

from collections.abc import Iterable
from typing import Any

from ingest.message import NO_ATTRIBUTES, Message


def messages_of(subscription: str, topic: str, received: Iterable[Any]) -> list[Message]:
    """Copy the deliveries out of the response that brought them.

    The copies let go of the response, whose memory would otherwise live as long as its slowest message.

    Args:
        subscription: full name of the subscription.
        topic: short name of its topic.
        received: raw `google.pubsub.v1.ReceivedMessage`s.

    Returns:
        The messages, in the same order.
    """
    # Every attribute of a protocol buffer that is read costs a call, so each is read once.
    return [
        Message(
            subscription,
            topic,
            body.message_id,
            body.data,
            dict(attributes) if (attributes := body.attributes) else NO_ATTRIBUTES,
            body.ordering_key,
            (published := body.publish_time).seconds * 1_000_000 + published.nanos // 1_000,
            one.ack_id,
            one.delivery_attempt,
        )
        for one in received
        for body in (one.message,)
    ]
