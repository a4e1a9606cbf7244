"""A Pub/Sub message as every stage sees it: a plain value, free of the client that brought it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

NO_ATTRIBUTES: Final[Mapping[str, str]] = {}
OVERHEAD: Final = 512
"""Bytes that a message takes beside its body: ids, keys and what makes them objects."""


class Message(msgspec.Struct, gc=False):
    """One delivery of a Pub/Sub message.

    A struct without garbage-collector tracking: a hundred thousand of them may be in flight.

    Attributes:
        subscription: full name of the subscription that delivered it.
        topic: short name of the topic it was published to.
        event_id: Pub/Sub message id, unique within the topic.
        data: the body, exactly as published.
        attributes: the attributes, exactly as published.
        ordering_key: the ordering key; empty when there is none.
        publish_ts: when the service took the message, in microseconds since 1970 UTC.
        ack_id: the token that acknowledges this delivery.
        delivery_attempt: how often it was delivered; 0 when the service does not count.
    """

    subscription: str
    topic: str
    event_id: str
    data: bytes
    attributes: Mapping[str, str] = NO_ATTRIBUTES
    ordering_key: str = ""
    publish_ts: int = 0
    ack_id: str = ""
    delivery_attempt: int = 0

    @property
    def size(self) -> int:
        """What it weighs against flow control, in bytes: its body, and about what everything else of it takes."""
        return len(self.data) + OVERHEAD


def size_of(messages: Sequence[Message]) -> int:
    """Return what messages weigh together, in bytes: the sum of `Message.size`, without a call for each.

    Args:
        messages: any number.
    """
    return sum([len(message.data) for message in messages]) + OVERHEAD * len(messages)
