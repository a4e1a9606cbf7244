"""The method `google.pubsub.v1.Subscriber.StreamingPull`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from google.pubsub_v1 import types

from devstack.pubsub import wire
from devstack.pubsub.calls import Context, Method, refuse
from devstack.pubsub.errors import PubSubError, invalid
from devstack.pubsub.model import SECOND, UNLIMITED, Consumer, Verdict
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.wire import Proto

_Response: Final[Any] = types.StreamingPullResponse.pb()
_LEASE_BOUNDS_S: Final = (10, 600)


def streaming_pull(runtime: Runtime) -> Method:
    """Returns the handler of StreamingPull over a runtime."""

    async def answer(requests: AsyncIterator[Proto], context: Context) -> None:
        try:
            first = await anext(requests, None)
            if first is not None:
                await _Stream(runtime, context, first).serve(first, requests)
        except PubSubError as error:
            await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=types.StreamingPullRequest.pb().FromString,
        response_serializer=_Response.SerializeToString,
    )


class _Stream:
    """One open stream: reads acknowledgements on one side while messages go out on the other."""

    def __init__(self, runtime: Runtime, context: Context, first: Proto) -> None:
        least, most = _LEASE_BOUNDS_S
        if not least <= first.stream_ack_deadline_seconds <= most:
            raise invalid(f"stream_ack_deadline_seconds is out of bounds; use {least} to {most} seconds.")
        self._runtime = runtime
        self._context = context
        self._subscription: str = first.subscription
        self._state = runtime.broker.active(self._subscription)
        self._lease = first.stream_ack_deadline_seconds * SECOND
        self._consumer = Consumer(
            holder=first.client_id or object(),
            max_messages=max(UNLIMITED, first.max_outstanding_messages),
            max_bytes=max(UNLIMITED, first.max_outstanding_bytes),
        )
        # The first response goes out at once: it tells the client that the stream is open.
        self._pending: Proto = _Response()

    async def serve(self, first: Proto, rest: AsyncIterator[Proto]) -> None:
        """Serves the stream until the client closes it or the subscription is gone.

        Args:
            first: the request that opened the stream.
            rest: the requests after it.
        """
        with self._runtime.waiter(self._subscription) as changed:
            self._accept(first)
            reader = asyncio.create_task(self._read(rest))
            reader.add_done_callback(lambda _: changed.set())
            try:
                while not reader.done():
                    changed.clear()
                    await self._send()
                    await changed.wait()
                reader.result()
            finally:
                reader.cancel()

    async def _send(self) -> None:
        """Sends what there is: confirmations at once, and messages as far as flow control allows."""
        while True:
            broker = self._runtime.broker
            if broker.active(self._subscription) is not self._state:
                raise invalid(f"Subscription {self._subscription} was replaced; open a new stream.")
            entries = broker.take(self._subscription, self._consumer, self._runtime.now(), lease=self._lease)
            response, self._pending = self._pending, None
            if not entries and response is None:
                return
            if entries:
                self._runtime.arm()
                response = response or _Response()
                attempts = self._state.settings.dead_letter is not None
                wire.fill(response.received_messages, entries, attempts=attempts)
            response.subscription_properties.CopyFrom(self._properties())
            await self._context.write(response)

    async def _read(self, requests: AsyncIterator[Proto]) -> None:
        async for request in requests:
            if request.subscription or request.client_id:
                raise invalid("Only the first request of a stream may name the subscription and the client.")
            self._accept(request)

    def _accept(self, request: Proto) -> None:
        """Applies the acknowledgements and deadlines of one request."""
        broker, now = self._runtime.broker, self._runtime.now()
        if request.stream_ack_deadline_seconds:
            self._lease = request.stream_ack_deadline_seconds * SECOND
        if request.ack_ids:
            verdict = broker.acknowledge(self._subscription, request.ack_ids, now)
            self._confirm(request.ack_ids, verdict, "acknowledge_confirmation")
        if len(request.modify_deadline_seconds) != len(request.modify_deadline_ack_ids):
            raise invalid("modify_deadline_seconds and modify_deadline_ack_ids differ in length; pair them.")
        leases: dict[int, list[str]] = {}
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
            leases.setdefault(seconds, []).append(ack_id)
        for seconds, ack_ids in leases.items():
            verdict = broker.modify_deadline(self._subscription, ack_ids, seconds, now)
            self._confirm(ack_ids, verdict, "modify_ack_deadline_confirmation")
        self._runtime.arm()

    def _confirm(self, ack_ids: Sequence[str], verdict: Verdict, field: str) -> None:
        """Notes what became of the ids for the next response; only exactly-once streams are told."""
        if not self._state.settings.exactly_once:
            return
        self._pending = self._pending or _Response()
        confirmation = getattr(self._pending, field)
        failed = {*verdict.invalid, *verdict.unordered}
        confirmation.ack_ids.extend(ack_id for ack_id in ack_ids if ack_id not in failed)
        confirmation.invalid_ack_ids.extend(verdict.invalid)
        if verdict.unordered:
            confirmation.unordered_ack_ids.extend(verdict.unordered)

    def _properties(self) -> Proto:
        """Returns what every response has to tell: clients take a missing value for "no"."""
        settings = self._state.settings
        return types.StreamingPullResponse.SubscriptionProperties.pb()(
            exactly_once_delivery_enabled=settings.exactly_once,
            message_ordering_enabled=settings.ordered,
        )
