"""The limits Pub/Sub sets to names and messages, and ours to where it may push.

Sources: https://cloud.google.com/pubsub/quotas#resource_limits and
https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names.
"""

import re
import urllib.parse
from collections.abc import Sequence
from typing import Final

from devstack.pubsub.errors import Code, PubSubError, invalid
from devstack.pubsub.wire import Proto

MAX_REQUEST_BYTES: Final = 10_000_000
MAX_MESSAGES: Final = 1000
MAX_ATTRIBUTES: Final = 100
MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 1024
MAX_ORDERING_KEY_BYTES: Final = 1024
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_NAME: Final = re.compile(r"projects/[^/]+/(topics|subscriptions|snapshots)/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")


def check_name(collection: str, name: str) -> None:
    """Refuses a resource name that is not well formed.

    Args:
        collection: "topics", "subscriptions" or "snapshots".
        name: the full resource name.

    Raises:
        PubSubError: INVALID_ARGUMENT.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[1] != collection:
        raise invalid(
            f"Invalid [{collection}] name: (name={name}). It is projects/PROJECT/{collection}/ID, where ID has "
            "3 to 255 letters, digits and -_.~+%, starts with a letter and not with goog."
        )


def check_publish(messages: Sequence[Proto], request_bytes: int) -> None:
    """Refuses a publish request that breaks a limit.

    Args:
        messages: the `PubsubMessage`s.
        request_bytes: the size of the whole request.

    Raises:
        PubSubError: INVALID_ARGUMENT.
    """
    if not messages:
        raise invalid("No messages to publish.")
    if len(messages) > MAX_MESSAGES:
        raise invalid(f"Too many messages to publish: {len(messages)}; send at most {MAX_MESSAGES} per request.")
    if request_bytes > MAX_REQUEST_BYTES:
        raise invalid(f"The request has {request_bytes} bytes; send at most {MAX_REQUEST_BYTES} per request.")
    for message in messages:
        if message.attributes:
            _check_attributes(message.attributes)
        elif not message.data:
            raise invalid("Some messages are empty; each needs data or at least one attribute.")
        if len(message.ordering_key) > MAX_ORDERING_KEY_BYTES // 4:
            _check_size("An ordering key", message.ordering_key, MAX_ORDERING_KEY_BYTES)


def _check_attributes(attributes: Proto) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(f"A message has {len(attributes)} attributes; at most {MAX_ATTRIBUTES} are allowed.")
    for key in attributes:
        value = attributes[key]
        if not key or key.startswith("goog"):
            raise invalid(f"The attribute key {key!r} is not allowed; it may not be empty or start with goog.")
        # A character takes at most four bytes, so short ones need not be encoded to be measured.
        if len(key) > MAX_KEY_BYTES // 4:
            _check_size("An attribute key", key, MAX_KEY_BYTES)
        if len(value) > MAX_VALUE_BYTES // 4:
            _check_size(f"The value of attribute {key!r}", value, MAX_VALUE_BYTES)


def _check_size(what: str, text: str, most: int) -> None:
    size = len(text.encode())
    if size > most:
        raise invalid(f"{what} has {size} bytes; at most {most} are allowed.")


def check_endpoint(endpoint: str) -> None:
    """Refuses a push endpoint that is elsewhere.

    Args:
        endpoint: its address; empty for a subscription that is pulled.

    Raises:
        PubSubError: INVALID_ARGUMENT for what is no address, UNIMPLEMENTED for one beyond loopback.
    """
    if not endpoint:
        return
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(f"Invalid push endpoint (endpoint={endpoint}); give an http or https address.")
    if parts.hostname not in _LOOPBACK:
        raise PubSubError(Code.UNIMPLEMENTED, "Only endpoints on loopback are pushed to here.")
