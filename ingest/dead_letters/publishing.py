"""Publishing messages to where the ingester takes them from: what every way of it has in common, and Pub/Sub's."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import grpc
import msgspec

from core.errors import DecodeError
from core.retry import RetryPolicy, retrying_async
from core.settings import Settings
from ingest.resources import topic_path
from ingest.rpc import PublishRequest, PubSub, PubsubMessage, routing, translate

_TIMEOUT_S: Final = 60.0
_REFUSED: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND})


class Outgoing(msgspec.Struct, frozen=True):
    """A message to be published.

    Attributes:
        data: its body.
        attributes: its attributes.
        ordering_key: its ordering key; empty when it has none.
    """

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str


class Refusal(msgspec.Struct, frozen=True):
    """Why a message was not taken, and never will be as it is.

    Attributes:
        words: the reason.
    """

    words: str


class Publisher(Protocol):
    """Publishes messages."""

    async def publish(self, topic: str, messages: Sequence[Outgoing]) -> list[str | Refusal]:
        """Publish messages of one topic, in their order.

        Args:
            topic: its short name.
            messages: what to publish; together they fit a request.

        Returns:
            For each the event id that it now has, or why it was refused.

        Raises:
            ConfigurationError: when the caller is refused.
            UnavailableError: when the other side does not answer; some may have been published.
        """


class PubSubPublisher:
    """Publishes to topics of Pub/Sub: a `Publisher`."""

    def __init__(self, pubsub: PubSub, settings: Settings) -> None:
        """Prepare to publish.

        Args:
            pubsub: the service.
            settings: the project.
        """
        self._pubsub = pubsub
        self._settings = settings
        self._policy = RetryPolicy()

    async def publish(self, topic: str, messages: Sequence[Outgoing]) -> list[str | Refusal]:
        """See `Publisher.publish`; around a message that is refused, the others are published."""
        try:
            return await self._request(topic_path(self._settings, topic), messages)
        except DecodeError as error:
            if len(messages) > 1 and error.reason == grpc.StatusCode.INVALID_ARGUMENT.name:
                return [one for message in messages for one in await self.publish(topic, [message])]
            return [Refusal(str(error))] * len(messages)

    async def _request(self, topic: str, messages: Sequence[Outgoing]) -> list[str | Refusal]:
        request = PublishRequest(
            topic=topic, messages=[PubsubMessage(**msgspec.structs.asdict(message)) for message in messages]
        )

        async def attempt() -> Any:
            try:
                return await self._pubsub.publish(request, timeout=_TIMEOUT_S, metadata=routing("topic", topic))
            except grpc.aio.AioRpcError as error:
                told = translate(error, f"publish to {topic}")
                if error.code() in _REFUSED:
                    raise DecodeError(error.code().name, str(told)) from error
                raise told from error

        answer: Any = await retrying_async(self._policy, "publish")(attempt)
        return list(answer.message_ids)
