"""Exactly-once subscriptions say which acknowledgements they took; what they refuse for now is tried again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, empty_pb2
from google.pubsub_v1 import types
from google.rpc import error_details_pb2, status_pb2
from ingest_river import River, topic_of

from core.settings import Settings
from ingest.context import RunContext
from ingest.progress import Progress
from ingest.pubsub.acks import Acks
from ingest.rpc import AcknowledgeRequest, PubSub, pubsub_channel
from ingest.settings import IngestSettings

Failures = Callable[[Sequence[str]], dict[str, str]]


@asynccontextmanager
async def acknowledging(failures: Failures) -> AsyncIterator[tuple[Settings, list[list[str]]]]:
    """A service whose acknowledgements fail as told; yields its settings and the requests it took."""
    requests: list[list[str]] = []

    async def acknowledge(request: Any, context: Any) -> Any:
        requests.append(list(request.ack_ids))
        if failed := failures(request.ack_ids):
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.ErrorInfo(reason="EXACTLY_ONCE_ACKID_FAILURE", metadata=failed))
            code = grpc.StatusCode.FAILED_PRECONDITION
            status = status_pb2.Status(code=code.value[0], details=[detail]).SerializeToString()
            await context.abort(code, "some failed", (("grpc-status-details-bin", status),))
        return empty_pb2.Empty()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        acknowledge, AcknowledgeRequest.FromString, lambda reply: reply.SerializeToString()
    )
    service = grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", {"Acknowledge": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Settings(pubsub_emulator_host=f"127.0.0.1:{port}"), requests
    finally:
        await server.stop(None)


async def acknowledged(failures: Failures, ack_ids: list[str]) -> tuple[list[list[str]], int]:
    """Acknowledge and return the requests that took, and how many tokens counted as taken."""
    async with acknowledging(failures) as (settings, requests), pubsub_channel(settings) as channel:
        context = RunContext(IngestSettings(retry_first_wait_s=0.01), Progress("load"), pytest.fail)
        acks = Acks("projects/p/subscriptions/s", PubSub(channel), context)
        acks.ack(ack_ids)
        async with asyncio.timeout(10):
            await acks.drain()
        return requests, context.progress.acked


async def test_only_what_failed_for_now_is_sent_again() -> None:
    seen: set[str] = set()

    def once(ack_ids: Sequence[str]) -> dict[str, str]:
        failed = {one: "TRANSIENT_FAILURE_SERVICE_UNAVAILABLE" for one in ack_ids if one == "b" and one not in seen}
        return failed if seen.update(failed) is None else {}

    requests, acked = await acknowledged(once, ["a", "b", "c"])
    assert requests == [["a", "b", "c"], ["b"]]
    # The service did not say that it took the others, so they are not counted.
    assert acked == 1


async def test_what_failed_for_good_is_left_to_its_redelivery() -> None:
    requests, acked = await acknowledged(lambda _: {"a": "PERMANENT_FAILURE_INVALID_ACK_ID"}, ["a", "b"])
    assert (requests, acked) == ([["a", "b"]], 0)


async def test_what_fails_for_ever_is_given_up() -> None:
    requests, acked = await acknowledged(lambda ids: dict.fromkeys(ids, "TRANSIENT_FAILURE_SERVICE_UNAVAILABLE"), ["a"])
    assert (set(map(tuple, requests)), acked) == ({("a",)}, 0)
    assert len(requests) > 1


async def test_an_exactly_once_subscription_lands_every_message_once(river: River) -> None:
    name = river._subscription(topic_of("members"))
    subscriber = river._subscriber()
    topic = f"projects/{river.settings.project}/topics/{topic_of('members')}"
    subscriber.delete_subscription(subscription=name)
    subscriber.create_subscription(
        types.Subscription(
            name=name, topic=topic, enable_message_ordering=True, enable_exactly_once_delivery=True,
            ack_deadline_seconds=60,
        )
    )  # fmt: skip
    river.publish_members(range(500))
    summary = await river.run()
    assert (summary.landed, summary.acked, summary.duplicates) == (500, 500, 0)
    assert len(river.landed_ids()) == 500
    river.assert_nothing_lost()
