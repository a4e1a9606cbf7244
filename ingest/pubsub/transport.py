"""Pulling: one StreamingPull per subscription, reconnected for as long as the run lasts."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError as MalformedError

from core.errors import UnavailableError
from core.retry import retrying_async
from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.pubsub.acks import Acks
from ingest.pubsub.received import messages_of
from ingest.rpc import GetSubscriptionRequest, PubSub, StreamingPullRequest, routing, translate
from ingest.transport import Deliver

_CHECK_ATTEMPTS: Final = 5
_CHECK_TIMEOUT_S: Final = 10.0
_HEARTBEAT_S: Final = 30.0


class PubSubTransport:
    """A subscription being pulled: an `ingest.transport.Transport`.

    Attributes:
        name: full name, `projects/<project>/subscriptions/<name>`.
        is_connected: whether the stream stood when last looked at.
    """

    def __init__(
        self, name: str, topic: str, pubsub: PubSub, context: RunContext, *, flow: FlowControl, deliver: Deliver
    ) -> None:
        """Prepare to pull.

        Args:
            name: full name of the subscription.
            topic: short name of its topic.
            pubsub: the service.
            context: the run; its load id tells the service that a reconnecting stream is the same client.
            flow: makes the stream wait while too much is in flight.
            deliver: takes the messages of one response.
        """
        self.name = name
        self.is_connected = False
        self._topic = topic
        self._pubsub = pubsub
        self._settings = context.settings
        self._measures = context.measures
        self._client_id = context.progress.load_id
        self._flow = flow
        self._deliver = deliver
        self._acks = Acks(name, pubsub, context)

    @property
    def is_idle(self) -> bool:
        """Whether every acknowledgement has been answered."""
        return self._acks.is_idle

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.ack`."""
        self._acks.ack(ack_ids)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.nack`."""
        self._acks.nack(ack_ids)

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.extend`."""
        await self._acks.extend(ack_ids)

    async def drain(self) -> None:
        """See `Transport.drain`."""
        await self._acks.drain()

    async def check(self) -> None:
        """Make sure that the subscription is there and answers.

        Raises:
            ConfigurationError: when it does not exist or may not be read.
            UnavailableError: when the service does not answer.
        """

        async def attempt() -> None:
            request = GetSubscriptionRequest(subscription=self.name)
            try:
                await self._pubsub.get_subscription(
                    request, timeout=_CHECK_TIMEOUT_S, metadata=routing("subscription", self.name)
                )
            except grpc.aio.AioRpcError as error:
                raise translate(error, f"subscription {self.name}") from error

        await retrying_async(self._settings.retry_policy(_CHECK_ATTEMPTS), f"look up {self.name}")(attempt)

    async def pull_forever(self) -> None:
        """Pull until cancelled; a lost stream is opened again, after a wait when it brought nothing.

        Raises:
            ConfigurationError: when the service refuses for good.
        """
        policy = self._settings.retry_policy(sys.maxsize)
        while True:
            await retrying_async(policy, f"pull {self.name}")(self._pull)

    async def _pull(self) -> None:
        """Pull on one stream; return normally when it was of use before it broke."""
        useful = False
        try:
            async with self._stream() as call:
                self.is_connected = True
                async for response in call:
                    useful = True
                    received = self._read(response)
                    await self._flow.deliver(received, self._deliver)
                    # The next response is as large as this one, more or less: it is read when it can be taken in.
                    async with self._flow.room(len(received)):
                        pass
        except grpc.aio.AioRpcError as error:
            failure = translate(error, f"pull {self.name}")
            self._measures.pull_failed("unavailable" if failure.retryable else "configuration")
            if not (useful and failure.retryable):
                raise failure from error
        else:
            if not useful:
                raise UnavailableError(f"pull {self.name}: the service ended the stream")
        finally:
            self.is_connected = False

    def _read(self, response: bytes) -> list[Message]:
        """Read a response; one that cannot be read ends its stream, since nobody knows what it brought.

        Its messages are neither acknowledged nor extended, so they come again once their leases have run out.
        """
        try:
            return messages_of(self.name, self._topic, response)
        except (MalformedError, ValueError) as error:
            self._measures.pull_failed("malformed")
            raise UnavailableError(
                f"pull {self.name}: a response of {len(response)} bytes is none of StreamingPull "
                f"({type(error).__name__}); what it brought comes again"
            ) from error

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[Any]:
        call = self._pubsub.streaming_pull(metadata=routing("subscription", self.name))
        heartbeat: asyncio.Task[None] | None = None
        try:
            await call.write(
                StreamingPullRequest(
                    subscription=self.name,
                    stream_ack_deadline_seconds=self._settings.ack_deadline_s,
                    client_id=self._client_id,
                    max_outstanding_messages=self._settings.outstanding_messages,
                    max_outstanding_bytes=self._settings.outstanding_bytes,
                )
            )
            heartbeat = asyncio.create_task(_keep_alive(call))
            yield call
        finally:
            if heartbeat is not None:
                heartbeat.cancel()
                await asyncio.wait({heartbeat})
            call.cancel()


async def _keep_alive(call: Any) -> None:
    """Send the empty requests that keep a quiet stream from being closed."""
    # A broken stream is noticed, and told of, by its reader.
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            await call.write(StreamingPullRequest())
