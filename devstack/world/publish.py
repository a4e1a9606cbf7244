"""Publishes messages in batches, as fast as one caller can, in their order."""

from collections.abc import Callable, Iterable
from typing import Final

from google.api_core.exceptions import GoogleAPICallError
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from core.clients import publisher_client
from core.errors import UnavailableError
from core.settings import Settings
from devstack.world.changes import Message

Progress = Callable[[int], None]
"""Called with the number of messages published so far."""

_MOST_MESSAGES: Final = 1_000
_MOST_BYTES: Final = 5_000_000
_WINDOW: Final = 6_000
_TIMEOUT_S: Final = 60.0

# A million messages a second fit through the protobuf classes themselves, a tenth through their wrappers.
_Request: Final = PublishRequest.pb()
_Message: Final = PubsubMessage.pb()


def publish(messages: Iterable[Message], settings: Settings, progress: Progress | None = None) -> int:
    """Publish messages, every one exactly once.

    A topic's messages keep their order. Topics advance together, within a few thousand messages.

    Args:
        messages: what to publish; their topics must exist.
        settings: where to.
        progress: told of every batch.

    Returns:
        How many were published.

    Raises:
        UnavailableError: when a batch was refused, or its answer was lost. Nothing is tried again, for a batch
            whose answer was lost may be there, and the ledger must stay exact: begin anew with empty topics.
    """
    stock = publisher_client(settings)
    batches = _Batches(PublisherClient(transport=stock.transport), settings.project, progress)
    try:
        for message in messages:
            batches.add(message)
        batches.flush_all()
    finally:
        stock.transport.close()
    return batches.published


class _Batches:
    """A batch a topic, published when it is full or when the window is."""

    def __init__(self, client: PublisherClient, project: str, progress: Progress | None) -> None:
        self.published = 0
        self._client = client
        self._project = project
        self._progress = progress
        self._waiting: dict[str, list[object]] = {}
        self._bytes: dict[str, int] = {}
        self._in_window = 0

    def add(self, message: Message) -> None:
        topic = message.topic
        size = len(message.data) + len(message.ordering_key)
        if self._bytes.get(topic, 0) + size > _MOST_BYTES or len(self._waiting.get(topic, ())) >= _MOST_MESSAGES:
            self._flush(topic)
        self._waiting.setdefault(topic, []).append(
            _Message(data=message.data, ordering_key=message.ordering_key, attributes=dict(message.attributes))
        )
        self._bytes[topic] = self._bytes.get(topic, 0) + size
        self._in_window += 1
        if self._in_window >= _WINDOW:
            self.flush_all()

    def flush_all(self) -> None:
        self._in_window = 0
        for topic in list(self._waiting):
            self._flush(topic)

    def _flush(self, topic: str) -> None:
        batch = self._waiting.pop(topic, [])
        self._bytes[topic] = 0
        if not batch:
            return
        request = _Request(topic=f"projects/{self._project}/topics/{topic}", messages=batch)
        try:
            self._client.publish(request=PublishRequest.wrap(request), retry=None, timeout=_TIMEOUT_S)
        except GoogleAPICallError as error:
            raise UnavailableError(f"publishing {len(batch)} messages to {topic} failed: {error}") from error
        self.published += len(batch)
        if self._progress is not None:
            self._progress(self.published)
