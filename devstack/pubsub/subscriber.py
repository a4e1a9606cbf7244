"""The service `google.pubsub.v1.Subscriber`; its streaming and snapshot methods have modules of their own."""

import asyncio
from typing import Final

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from devstack.pubsub import broker, wire
from devstack.pubsub.calls import INVALID_ACK_ID, UNORDERED_ACK_ID, Context, Service, service, unary
from devstack.pubsub.errors import Code, PubSubError, invalid
from devstack.pubsub.model import Consumer, Entry, Verdict
from devstack.pubsub.push import Pushes
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.snapshots import snapshot_methods
from devstack.pubsub.streaming import streaming_pull
from devstack.pubsub.wire import Proto

# As long as Google's emulator waits. A call whose deadline is nearer is answered when half of its time is left, so that
# no message is leased to a caller who has gone.
PULL_WAIT_S: Final = 2.0


def subscriber_service(runtime: Runtime, pushes: Pushes) -> Service:
    """Returns the service's handlers over a runtime."""
    api = _Subscriber(runtime, pushes)
    subscription, empty = types.Subscription.pb(), empty_pb2.Empty
    return service(
        "google.pubsub.v1.Subscriber",
        {
            "CreateSubscription": unary(api.create_subscription, subscription, subscription),
            "GetSubscription": unary(api.get_subscription, types.GetSubscriptionRequest.pb(), subscription),
            "UpdateSubscription": unary(api.update_subscription, types.UpdateSubscriptionRequest.pb(), subscription),
            "ListSubscriptions": unary(
                api.list_subscriptions, types.ListSubscriptionsRequest.pb(), types.ListSubscriptionsResponse.pb()
            ),
            "DeleteSubscription": unary(api.delete_subscription, types.DeleteSubscriptionRequest.pb(), empty),
            "ModifyAckDeadline": unary(api.modify_ack_deadline, types.ModifyAckDeadlineRequest.pb(), empty),
            "Acknowledge": unary(api.acknowledge, types.AcknowledgeRequest.pb(), empty),
            "Pull": unary(api.pull, types.PullRequest.pb(), types.PullResponse.pb()),
            "StreamingPull": streaming_pull(runtime),
            "ModifyPushConfig": unary(api.modify_push_config, types.ModifyPushConfigRequest.pb(), empty),
            **snapshot_methods(runtime),
        },
    )


class _Subscriber:
    def __init__(self, runtime: Runtime, pushes: Pushes) -> None:
        self._runtime = runtime
        self._pushes = pushes
        self._broker = runtime.broker

    async def create_subscription(self, request: Proto, _: Context) -> Proto:
        created = self._broker.create_subscription(request)
        self._pushes.refresh()
        return created

    async def get_subscription(self, request: Proto, _: Context) -> Proto:
        return self._broker.subscription(request.subscription).resource

    async def update_subscription(self, request: Proto, _: Context) -> Proto:
        updated = self._broker.update_subscription(request.subscription, request.update_mask.paths)
        self._pushes.refresh()
        return updated

    async def list_subscriptions(self, request: Proto, _: Context) -> Proto:
        mine = (name for name in self._broker.subscriptions if name.startswith(f"{request.project}/"))
        names, token = broker.page(mine, request.page_size, request.page_token)
        found = [self._broker.subscriptions[name].resource for name in names]
        return types.ListSubscriptionsResponse.pb()(subscriptions=found, next_page_token=token)

    async def delete_subscription(self, request: Proto, _: Context) -> Proto:
        self._broker.delete_subscription(request.subscription)
        self._pushes.refresh()
        return empty_pb2.Empty()

    async def modify_push_config(self, request: Proto, _: Context) -> Proto:
        change = types.Subscription.pb()(name=request.subscription, push_config=request.push_config)
        self._broker.update_subscription(change, ["push_config"])
        self._pushes.refresh()
        return empty_pb2.Empty()

    async def modify_ack_deadline(self, request: Proto, _: Context) -> Proto:
        verdict = self._broker.modify_deadline(
            request.subscription, request.ack_ids, request.ack_deadline_seconds, self._runtime.now()
        )
        self._runtime.arm()
        return _answer(verdict)

    async def acknowledge(self, request: Proto, _: Context) -> Proto:
        if not request.ack_ids:
            raise invalid("No ack ids specified.")
        return _answer(self._broker.acknowledge(request.subscription, request.ack_ids, self._runtime.now()))

    async def pull(self, request: Proto, context: Context) -> Proto:
        if request.max_messages <= 0:
            raise invalid("No max_messages specified; it must be positive.")
        entries = await self._take(request, context)
        settings = self._broker.active(request.subscription).settings
        response = types.PullResponse.pb()()
        wire.fill(response.received_messages, entries, attempts=settings.dead_letter is not None)
        return response

    async def _take(self, request: Proto, context: Context) -> list[Entry]:
        name, consumer = request.subscription, Consumer()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + (0 if request.return_immediately else _patience(context))
        with self._runtime.waiter(name) as changed:
            while True:
                changed.clear()
                entries = self._broker.take(name, consumer, self._runtime.now(), limit=request.max_messages)
                self._runtime.arm()
                if entries or loop.time() >= give_up:
                    return entries
                try:
                    async with asyncio.timeout_at(give_up):
                        await changed.wait()
                except TimeoutError:
                    return []


def _patience(context: Context) -> float:
    remaining = context.time_remaining()
    return PULL_WAIT_S if remaining is None else max(0.0, min(PULL_WAIT_S, remaining / 2))


def _answer(verdict: Verdict) -> Proto:
    if verdict.invalid or verdict.unordered:
        failures = dict.fromkeys(verdict.invalid, INVALID_ACK_ID) | dict.fromkeys(verdict.unordered, UNORDERED_ACK_ID)
        raise PubSubError(
            Code.INVALID_ARGUMENT,
            "Some acknowledgement ids in the request were invalid: expired, malformed or out of order. "
            f"The first is (ack_id={next(iter(failures))}).",
            failures,
        )
    return empty_pb2.Empty()
