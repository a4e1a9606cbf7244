"""Acknowledgements and lease changes of one subscription, gathered into few requests.

An acknowledgement that is lost costs a redelivery, never a message, so a failure here is logged and left. With
exactly-once delivery the service says which acknowledgements it took; those that failed for now are tried again. See
https://cloud.google.com/pubsub/docs/exactly-once-delivery.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
import structlog
from google.rpc import error_details_pb2, status_pb2

from core.errors import MillraceError, UnavailableError
from core.retry import retrying_async
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.rpc import AcknowledgeRequest, ModifyAckDeadlineRequest, PubSub, routing, translate

_log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 4
_TIMEOUT_S: Final = 10.0
_FAILED_FOR_NOW: Final = "TRANSIENT_FAILURE_"
_DETAILS: Final = "grpc-status-details-bin"


class Acks:
    """Sends the acknowledgements of a subscription, and takes its messages' leases up or gives them back."""

    def __init__(self, subscription: str, pubsub: PubSub, context: RunContext) -> None:
        """Prepare to send.

        Args:
            subscription: full name of the subscription.
            pubsub: the service.
            context: the run.
        """
        self._subscription = subscription
        self._pubsub = pubsub
        self._context = context
        self._settings = settings = context.settings
        limits = BatchLimits(settings.ack_batch, settings.ack_wait_ms / 1_000)
        self._acks: MicroBatches[str] = MicroBatches(self._send_acks, limits, context.fail)
        self._nacks: MicroBatches[str] = MicroBatches(self._send_nacks, limits, context.fail)

    @property
    def is_idle(self) -> bool:
        """Whether everything that was sent has been answered, and nothing waits."""
        return self._acks.is_empty and self._nacks.is_empty

    def ack(self, ack_ids: Sequence[str]) -> None:
        """Acknowledge deliveries, soon.

        Args:
            ack_ids: the deliveries' tokens.
        """
        self._acks.add_all(ack_ids)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """Give deliveries back, soon, for anybody to take.

        Args:
            ack_ids: the deliveries' tokens.
        """
        self._nacks.add_all(ack_ids)

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """Take up the leases of deliveries anew, for the whole deadline.

        Args:
            ack_ids: the deliveries' tokens.
        """
        await self._modify(ack_ids, self._settings.ack_deadline_s)

    async def drain(self) -> None:
        """Send what waits and return when all of it has been answered."""
        await self._acks.drain()
        await self._nacks.drain()

    async def _send_acks(self, ack_ids: list[str]) -> None:
        self._context.failpoint.hit("before_ack", len(ack_ids))

        def request(ids: Sequence[str]) -> Any:
            return AcknowledgeRequest(subscription=self._subscription, ack_ids=ids)

        taken = await self._call(self._pubsub.acknowledge, request, ack_ids, "acknowledge")
        self._context.progress.acked += taken
        self._context.failpoint.hit("after_ack", taken)

    async def _send_nacks(self, ack_ids: list[str]) -> None:
        self._context.progress.nacked += await self._modify(ack_ids, 0)

    async def _modify(self, ack_ids: Sequence[str], deadline_s: int) -> int:
        def request(ids: Sequence[str]) -> Any:
            return ModifyAckDeadlineRequest(
                subscription=self._subscription, ack_ids=ids, ack_deadline_seconds=deadline_s
            )

        method = self._pubsub.modify_ack_deadline
        return sum([await self._call(method, request, ids, "modify_ack_deadline") for ids in self._chunks(ack_ids)])

    async def _call(self, method: Any, request: Any, ack_ids: Sequence[str], what: str) -> int:
        """Send tokens until none of them has failed for now; return how many were taken."""
        left, taken = ack_ids, 0

        async def attempt() -> None:
            nonlocal left, taken
            try:
                await method(request(left), timeout=_TIMEOUT_S, metadata=routing("subscription", self._subscription))
            except grpc.aio.AioRpcError as error:
                failures = ack_failures(error)
                again = [ack_id for ack_id in left if failures.get(ack_id, "").startswith(_FAILED_FOR_NOW)]
                if not again:
                    raise translate(error, f"{what} {self._subscription}") from error
                # What is not named may have been taken or not: it counts as taken only when the service says so.
                left = again
                raise UnavailableError(f"{what} {self._subscription}: {len(again)} failed for now") from error
            taken += len(left)

        try:
            await retrying_async(self._settings.retry_policy(_ATTEMPTS), what)(attempt)
        except MillraceError as error:
            _log.warning("redelivery expected", what=what, subscription=self._subscription, error=str(error))
        return taken

    def _chunks(self, ack_ids: Sequence[str]) -> Iterator[Sequence[str]]:
        for start in range(0, len(ack_ids), self._settings.ack_batch):
            yield ack_ids[start : start + self._settings.ack_batch]


def ack_failures(error: grpc.aio.AioRpcError) -> Mapping[str, str]:
    """Read which tokens of a request failed, and whether for good.

    Args:
        error: the failed call; with exactly-once delivery it carries a `google.rpc.ErrorInfo`.

    Returns:
        `TRANSIENT_FAILURE_..` or `PERMANENT_FAILURE_..` by token; empty when the service did not say.
    """
    metadata: Any = error.trailing_metadata() or ()
    for name, value in metadata:
        if name == _DETAILS and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return dict(info.metadata)
    return {}
