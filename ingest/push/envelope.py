"""From a push request to a message: wrapped in JSON, or the bare payload with its metadata in headers.

See https://cloud.google.com/pubsub/docs/push#receive_push and https://cloud.google.com/pubsub/docs/payload-unwrapping.
"""

import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from core.clock import to_micros
from core.errors import DecodeError
from ingest.message import NO_ATTRIBUTES, Message

_META: Final = "x-goog-pubsub-"
_ID_HEADER: Final = f"{_META}message-id"
_NAME_HEADER: Final = f"{_META}subscription-name"
_OF_HTTP: Final = frozenset(
    {
        "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "expect",
        "forwarded", "from", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
        "upgrade-insecure-requests", "user-agent", "via", "x-cloud-trace-context", "x-serverless-authorization",
    }
)  # fmt: skip


class _PushedMessage(msgspec.Struct, rename="camel"):
    message_id: str
    data: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    ordering_key: str = ""
    publish_time: str = ""


class _Pushed(msgspec.Struct, rename="camel"):
    message: _PushedMessage
    subscription: str
    delivery_attempt: int = 0


_DECODER: Final = msgspec.json.Decoder(_Pushed)


def read_push(headers: Mapping[str, str], body: bytes) -> Message:
    """Read the message of a push request.

    Args:
        headers: the request's headers, their names in lower case.
        body: its body.

    Returns:
        The message; its `topic` is left empty, for only the subscription's name is known, and its `ack_id` is its id.

    Raises:
        DecodeError: when this is no push request, or one without metadata: a message without an id cannot be told from
            another.
    """
    return _unwrapped(headers, body) if _ID_HEADER in headers else _wrapped(body)


def _wrapped(body: bytes) -> Message:
    try:
        pushed = _DECODER.decode(body)
        data = binascii.a2b_base64(pushed.message.data, strict_mode=True)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
        raise DecodeError("invalid_push", f"this is no push request of Pub/Sub: {error}") from error
    message = pushed.message
    return Message(
        subscription=pushed.subscription,
        topic="",
        event_id=_known_id(message.message_id),
        data=data,
        attributes=message.attributes or NO_ATTRIBUTES,
        ordering_key=message.ordering_key,
        publish_ts=_micros(message.publish_time),
        ack_id=message.message_id,
        delivery_attempt=pushed.delivery_attempt,
    )


def _unwrapped(headers: Mapping[str, str], body: bytes) -> Message:
    event_id = _known_id(headers[_ID_HEADER])
    if _NAME_HEADER not in headers:
        raise DecodeError("invalid_push", f"the header {_NAME_HEADER} is missing: have Pub/Sub write metadata")
    # Each attribute is a header of its own name. Header names have no case, and there is no telling which of them are
    # attributes but by leaving out those that HTTP, Google's front ends and tracing add.
    attributes = {
        name: value
        for name, value in headers.items()
        if name not in _OF_HTTP and not name.startswith((_META, "x-forwarded-"))
    }
    return Message(
        subscription=headers[_NAME_HEADER],
        topic="",
        event_id=event_id,
        data=body,
        attributes=attributes or NO_ATTRIBUTES,
        ordering_key=headers.get(f"{_META}ordering-key", ""),
        publish_ts=_micros(headers.get(f"{_META}publish-time", "")),
        ack_id=event_id,
    )


def _known_id(event_id: str) -> str:
    if not event_id:
        raise DecodeError("invalid_push", "the message has no id")
    return event_id


def _micros(text: str) -> int:
    """Return an instant in RFC 3339 as microseconds since 1970; 0 when there is none that could be read."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return to_micros(read if read.tzinfo else read.replace(tzinfo=UTC))
