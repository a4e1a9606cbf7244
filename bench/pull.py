"""Pulling and acknowledging: the ingester's source against the stock client, by CPU time of the client."""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.conditions import Conditions
from bench.events import check_drained, generated
from bench.measure import Contender, contest, start
from bench.result import Result, Run, ratio
from core.clients import publisher_client, subscriber_client
from core.contracts import load_contracts
from core.settings import Settings
from devstack.world.publish import publish
from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.leases import Leases
from ingest.message import Message
from ingest.progress import Progress
from ingest.pubsub import PubSubTransport
from ingest.resources import subscription_path, topic_path
from ingest.rpc import AcknowledgeRequest, PubSub, StreamingPullRequest, pubsub_channel
from ingest.settings import IngestSettings
from ingest.streaming_pull import StreamingPullResponse

_TOPIC: Final = "bench.pull"
_PROJECT: Final = "bench-pull"
_TIMEOUT_S: Final = 120.0
_PULLED_AT_ONCE: Final = 1_000


@dataclass(frozen=True)
class Job:
    """A backlog to pull.

    Attributes:
        settings: where Pub/Sub is; the suffix of its subscriptions tells the contenders' apart.
        messages: how many messages the subscription holds.
    """

    settings: Settings
    messages: int

    @property
    def subscription(self) -> str:
        """Full name of the subscription."""
        return subscription_path(self.settings, _TOPIC)


def run(conditions: Conditions) -> Result:
    """Publish a backlog to a subscription for each contender, and let each pull and acknowledge its own.

    Args:
        conditions: how often, how much, and where the services are.

    Returns:
        Messages per CPU second of the client.
    """
    settings = conditions.stand_ins.pubsub_settings(_PROJECT)
    events = generated(load_contracts(settings.contracts_path), conditions.size(20_000, 1_000))
    messages = [replace(event, topic=_TOPIC) for event in events]
    jobs = {
        contender.name: Job(
            settings.model_copy(update={"subscription_suffix": f"-{contender.name.replace(' ', '-')}"}), len(messages)
        )
        for contender in CONTENDERS
    }
    _set_up(settings, list(jobs.values()))

    def published(_: int) -> dict[str, Job]:
        publish(messages, settings)
        return jobs

    cases = contest(CONTENDERS, published, rounds=conditions.rounds, apart=not conditions.quick)
    ours, subscribe, pull, floor = cases
    return Result(
        name="pull",
        title="pull and acknowledge a backlog, with leases and duplicates looked after",
        item="messages",
        cases=cases,
        ratios=(
            ratio(ours, subscribe, "times the stock client as its guide shows it"),
            ratio(ours, pull, "times the stock client's fastest way"),
            ratio(ours, floor, "of the speed of the bare stream"),
        ),
    )


def _set_up(settings: Settings, jobs: Sequence[Job]) -> None:
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    try:
        publisher.create_topic(request={"name": topic_path(settings, _TOPIC)})
        for job in jobs:
            # Ordered, as the ingester's subscriptions are.
            subscriber.create_subscription(
                request={
                    "name": job.subscription,
                    "topic": topic_path(settings, _TOPIC),
                    "ack_deadline_seconds": 60,
                    "enable_message_ordering": True,
                }
            )
    finally:
        publisher.stop()
        subscriber.close()


def ingester(job: Job) -> Run:
    """Pull with the ingester's source, leases and acknowledgements."""
    return asyncio.run(_ingester(job))


async def _ingester(job: Job) -> Run:
    ended = asyncio.get_running_loop().create_future()
    seen = 0
    began = start()
    async with asyncio.timeout(_TIMEOUT_S), pubsub_channel(job.settings) as channel:
        pubsub = PubSub(channel)
        context = RunContext(IngestSettings(), Progress("bench"), ended.set_exception)
        flow = FlowControl(context.settings.outstanding_messages, context.settings.outstanding_bytes)
        leases = Leases(flow, context)

        def deliver(messages: Sequence[Message]) -> None:
            nonlocal seen
            admitted = leases.admit(messages)
            leases.settle(admitted)
            seen += len(admitted)
            if seen == job.messages:
                ended.set_result(None)

        source = PubSubTransport(job.subscription, _TOPIC, pubsub, context, flow=flow, deliver=deliver)
        leases.attach(source)
        pulling = asyncio.create_task(source.pull_forever())
        await asyncio.wait({pulling, ended}, return_when=asyncio.FIRST_COMPLETED)
        await source.drain()
        measured = began.stop(seen)
        pulling.cancel()
        await asyncio.wait({pulling})
    check_drained(job.settings, [_TOPIC])
    return measured


def stock_subscribe(job: Job) -> Run:
    """Pull with `SubscriberClient.subscribe` and a callback that acknowledges."""
    client = subscriber_client(job.settings)
    done = threading.Event()
    numbers = itertools.count(1)

    def take(message: Any) -> None:
        message.ack()
        if next(numbers) == job.messages:
            done.set()

    began = start()
    # Its own flow control, 1,000 messages in flight: with the ingester's 20,000 it is slower.
    streaming = client.subscribe(job.subscription, take)
    if not done.wait(_TIMEOUT_S):
        raise TimeoutError(f"subscribe() did not bring {job.messages} messages within {_TIMEOUT_S:.0f} s")
    # Ends only once the acknowledgements are sent.
    streaming.cancel()
    streaming.result()
    measured = began.stop(job.messages)
    client.close()
    check_drained(job.settings, [_TOPIC])
    return measured


def stock_pull(job: Job) -> Run:
    """Pull with `SubscriberClient.pull`, and acknowledge each answer in one request."""
    client = subscriber_client(job.settings)
    left = job.messages
    began = start()
    while left > 0:
        answer = client.pull(subscription=job.subscription, max_messages=_PULLED_AT_ONCE, timeout=_TIMEOUT_S)
        ack_ids = [received.ack_id for received in answer.received_messages if received.message.data is not None]
        if ack_ids:
            client.acknowledge(subscription=job.subscription, ack_ids=ack_ids)
        left -= len(ack_ids)
    measured = began.stop(job.messages)
    client.close()
    check_drained(job.settings, [_TOPIC])
    return measured


def bare_stream(job: Job) -> Run:
    """Pull on a stream with nothing behind it: no message is looked at, each answer is acknowledged at once."""
    return asyncio.run(_bare_stream(job))


async def _bare_stream(job: Job) -> Run:
    left = job.messages
    began = start()
    async with asyncio.timeout(_TIMEOUT_S), pubsub_channel(job.settings) as channel:
        pubsub = PubSub(channel)
        call = pubsub.streaming_pull()
        await call.write(StreamingPullRequest(subscription=job.subscription, stream_ack_deadline_seconds=60))
        async for response in call:
            ack_ids = [received.ack_id for received in StreamingPullResponse.FromString(response).received_messages]
            await pubsub.acknowledge(AcknowledgeRequest(subscription=job.subscription, ack_ids=ack_ids))
            left -= len(ack_ids)
            if left <= 0:
                break
        measured = began.stop(job.messages)
        call.cancel()
    check_drained(job.settings, [_TOPIC])
    return measured


CONTENDERS: Final = (
    Contender("ingester", "ours", "StreamingPull on grpc.aio, leases, duplicates, batched acknowledgements", ingester),
    Contender("subscribe", "peer", "SubscriberClient.subscribe() with a callback", stock_subscribe),
    Contender("unary pull", "peer", "SubscriberClient.pull() and acknowledge(), 1,000 at a time", stock_pull),
    Contender("bare stream", "floor", "StreamingPull on grpc.aio, acknowledged unread", bare_stream),
)
