"""The copy of a dead letter on the dead-letter topic: the message, and why, within what Pub/Sub takes.

Kafka's headers, keys and the names of files know other limits than Pub/Sub's attributes, and a message may have as many
attributes as it can before the reason comes beside them. What does not fit is left out here, and counted; the row in
`audit.dead_letters` has all of it.
"""

from typing import Any, Final, Protocol

from ingest.message import Message
from ingest.rpc import PubsubMessage

# https://cloud.google.com/pubsub/quotas#resource_limits
_MAX_ATTRIBUTES: Final = 100
_MAX_NAME_BYTES: Final = 256
_MAX_VALUE_BYTES: Final = 1_024
_MAX_ORDERING_KEY_BYTES: Final = 1_024
MAX_MESSAGE_BYTES: Final = 9_900_000
"""Of a request; its limit is 10 MB."""

_RESERVED: Final = "goog"
_OURS: Final = 8
"""Attributes that are kept free for what is told here."""


class Told(Protocol):
    """A message that cannot be landed, and why."""

    @property
    def message(self) -> Message:
        """The message."""

    @property
    def reason(self) -> str:
        """A stable code."""

    @property
    def error(self) -> str:
        """The error in words."""


def copy_of(letter: Told, uri: str | None) -> Any:
    """Return what is published of a dead letter.

    Args:
        letter: the message and the reason.
        uri: the object that holds its body; None when that lies nowhere else.

    Returns:
        A `PubsubMessage` that Pub/Sub takes, whatever the message held.
    """
    message = letter.message
    attributes = _taken(message)
    left_out = len(message.attributes) - len(attributes)
    attributes |= {
        "millrace_reason": letter.reason,
        "millrace_error": letter.error.encode()[:_MAX_VALUE_BYTES].decode(errors="ignore"),
        "millrace_topic": message.topic,
        "millrace_event_id": message.event_id.encode()[:_MAX_VALUE_BYTES].decode(errors="ignore"),
    }
    if left_out:
        attributes["millrace_attributes_left_out"] = str(left_out)
    if uri is not None:
        attributes["millrace_data_uri"] = uri
    copy = PubsubMessage(data=message.data, attributes=attributes)
    key_bytes = len(message.ordering_key.encode())
    if key_bytes <= _MAX_ORDERING_KEY_BYTES:
        copy.ordering_key = message.ordering_key
    else:
        copy.attributes["millrace_ordering_key_bytes"] = str(key_bytes)
    excess = copy.ByteSize() - MAX_MESSAGE_BYTES
    if excess > 0:
        # What came in at the very limit of Pub/Sub does not fit again with the reason beside it.
        copy.attributes["millrace_truncated"] = str(len(message.data))
        copy.data = message.data[: -excess - 64]
    return copy


def _taken(message: Message) -> dict[str, str]:
    """Return the attributes that Pub/Sub takes, as many as fit."""
    fitting = {name: value for name, value in message.attributes.items() if _fits(name, value)}
    return dict(list(fitting.items())[: _MAX_ATTRIBUTES - _OURS])


def _fits(name: str, value: str) -> bool:
    is_name = 0 < len(name.encode()) <= _MAX_NAME_BYTES and not name.startswith(_RESERVED)
    return is_name and len(value.encode()) <= _MAX_VALUE_BYTES
