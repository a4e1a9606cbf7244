"""Acknowledgements and lease changes, gathered into few requests per subscription."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import grpc
import structlog

from core.errors import MillraceError
from core.retry import retrying_async
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.rpc import AcknowledgeRequest, ModifyAckDeadlineRequest, PubSub, routing, translate

_log = structlog.get_logger(__name__)

_ACK_ATTEMPTS: Final = 4
_TIMEOUT_S: Final = 10.0


class Acknowledger:
    """Sends acknowledgements, and takes messages' leases up or gives them back.

    An acknowledgement that is lost costs a redelivery, never a message, so a failure here is logged and left.
    """

    def __init__(
        self,
        pubsub: PubSub,
        context: RunContext,
    ) -> None:
        self._pubsub = pubsub
        self._context = context
        self._settings = context.settings
        self._failpoint = context.failpoint
        self._acks: dict[str, MicroBatches[str]] = {}
        self._nacks: dict[str, MicroBatches[str]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether every acknowledgement has been answered."""
        return all(batches.is_empty for batches in self._all())

    def ack(self, subscription: str, ack_id: str) -> None:
        """Acknowledge a delivery, soon.

        Args:
            subscription: full name of the subscription.
            ack_id: the delivery's token.
        """
        batches = self._acks.get(subscription)
        if batches is None:
            batches = self._acks[subscription] = self._batches(subscription, self._send_acks)
        batches.add(ack_id)

    def nack(self, subscription: str, ack_id: str) -> None:
        """Give a delivery back, soon, for anybody to take.

        Args:
            subscription: full name of the subscription.
            ack_id: the delivery's token.
        """
        batches = self._nacks.get(subscription)
        if batches is None:
            batches = self._nacks[subscription] = self._batches(subscription, self._send_nacks)
        batches.add(ack_id)

    async def extend(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take up the leases of deliveries anew, for the whole deadline.

        Args:
            subscription: full name of the subscription.
            ack_ids: the deliveries' tokens.
        """
        await self._modify(subscription, ack_ids, self._settings.ack_deadline_s)

    async def drain(self) -> None:
        """Send what waits and return when all of it has been answered."""
        for batches in self._all():
            await batches.drain()

    def _all(self) -> list[MicroBatches[str]]:
        return [*self._acks.values(), *self._nacks.values()]

    def _batches(self, subscription: str, send: Callable[[str, list[str]], Awaitable[None]]) -> MicroBatches[str]:
        async def sender(ack_ids: list[str]) -> None:
            await send(subscription, ack_ids)

        limits = BatchLimits(self._settings.ack_batch, self._settings.ack_wait_ms / 1_000)
        return MicroBatches(sender, limits, self._context.fail)

    async def _send_acks(self, subscription: str, ack_ids: list[str]) -> None:
        self._failpoint.hit("before_ack", len(ack_ids))
        request = AcknowledgeRequest(subscription=subscription, ack_ids=ack_ids)
        if await self._call(self._pubsub.acknowledge, request, subscription, "acknowledge"):
            self._context.progress.acked += len(ack_ids)
            self._failpoint.hit("after_ack", len(ack_ids))

    async def _send_nacks(self, subscription: str, ack_ids: list[str]) -> None:
        if await self._modify(subscription, ack_ids, 0):
            self._context.progress.nacked += len(ack_ids)

    async def _modify(self, subscription: str, ack_ids: Sequence[str], deadline_s: int) -> bool:
        done = True
        for chunk in _chunks(ack_ids, self._settings.ack_batch):
            request = ModifyAckDeadlineRequest(
                subscription=subscription, ack_ids=chunk, ack_deadline_seconds=deadline_s
            )
            done &= await self._call(self._pubsub.modify_ack_deadline, request, subscription, "modify_ack_deadline")
        return done

    async def _call(self, method: Any, request: Any, subscription: str, what: str) -> bool:
        async def attempt() -> None:
            try:
                await method(request, timeout=_TIMEOUT_S, metadata=routing("subscription", subscription))
            except grpc.aio.AioRpcError as error:
                raise translate(error, f"{what} {subscription}") from error

        try:
            await retrying_async(self._settings.retry_policy(_ACK_ATTEMPTS), what)(attempt)
        except MillraceError as error:
            _log.warning("redelivery expected", what=what, subscription=subscription, error=str(error))
            return False
        return True


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
