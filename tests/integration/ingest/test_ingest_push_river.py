"""Push delivery from end to end: published, pushed with a signed token, landed, and only then answered."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from ingest_river import QUICK, River, topic_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.errors import ConfigurationError
from devstack.pubsub import control
from devstack.pubsub.model import SubscriptionStats
from ingest.http.address import Address, bind
from ingest.http.server import serving
from ingest.push.endpoint import PUSH_PATH
from ingest.runner import Run, RunOptions
from ingest.settings import IngestSettings
from ingest.stages import Plan

AUDIENCE = "https://ingest.acme.example/push"
ACCOUNT = "push@acme-millrace.iam.gserviceaccount.com"


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


@asynccontextmanager
async def certificates(river: River) -> AsyncIterator[str]:
    """Serve the stand-in's certificates, as Google serves its own."""
    found = await asyncio.to_thread(control.certificates, river.settings.pubsub_emulator_host or "")

    async def answer(_request: Request) -> JSONResponse:
        return JSONResponse(found)

    listening = bind(Address("127.0.0.1", 0))
    async with serving(Starlette(routes=[Route("/certs", answer)]), listening):
        yield f"http://127.0.0.1:{port_of(listening)}/certs"


def push_to(river: River, url: str, account: str = ACCOUNT) -> None:
    """Turn the subscription of members to push."""
    config = {"push_endpoint": url, "oidc_token": {"service_account_email": account, "audience": AUDIENCE}}
    subscription = river._subscription(topic_of("members"))
    river._subscriber().modify_push_config(subscription=subscription, push_config=config)


@asynccontextmanager
async def pushed_river(river: River, monkeypatch: pytest.MonkeyPatch, **tunables: object) -> AsyncIterator[Run]:
    """The ingester, being pushed to."""
    async with certificates(river) as url:
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_AUDIENCE", AUDIENCE)
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_SERVICE_ACCOUNT", ACCOUNT)
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_CERTIFICATES_URL", url)
        listening = bind(Address("127.0.0.1", 0))
        port = port_of(listening)
        settings = IngestSettings.model_validate(QUICK | tunables | {"transport": "push"})
        run = Run(Plan(river.settings, river.contracts), settings, None, RunOptions(listening=listening))
        task = asyncio.create_task(run.run())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(is_ready)
        await asyncio.to_thread(push_to, river, f"http://127.0.0.1:{port}{PUSH_PATH}")
        try:
            yield run
        finally:
            run.stop()
            await task


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await reached():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


async def settled(run: Run, messages: int) -> None:
    async def reached() -> bool:
        return run.progress.acked >= messages

    await until(reached)


async def stats_of(river: River) -> SubscriptionStats:
    found = await asyncio.to_thread(control.stats, river.settings.pubsub_emulator_host or "")
    return found[river._subscription(topic_of("members"))]


async def test_what_is_pushed_lands_and_what_cannot_land_is_dead_lettered(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushed_river(river, monkeypatch) as run:
        await asyncio.to_thread(river.publish_members, range(50))
        await asyncio.to_thread(river.publish, topic_of("members"), [{"data": b"{"}])
        await settled(run, 51)

        async def is_done() -> bool:
            return (await stats_of(river)).backlog == 0

        await until(is_done)
    assert run.progress.summary().reasons == {"invalid_json": 1}
    river.assert_nothing_lost()
    assert Counter(river.landed_ids()).most_common(1)[0][1] == 1


async def test_more_than_fits_comes_again_until_all_of_it_has_landed(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each refusal doubles the pause before the next try: of a few messages none waits for long.
    async with pushed_river(river, monkeypatch, outstanding_messages=2, batch_rows=2) as run:
        await asyncio.to_thread(river.publish_members, range(6))
        await settled(run, 6)
    river.assert_nothing_lost()


async def test_another_account_lands_nothing_and_its_messages_stay(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushed_river(river, monkeypatch) as run:
        endpoint = river._subscriber().get_subscription(subscription=river._subscription(topic_of("members")))
        url = endpoint.push_config.push_endpoint
        await asyncio.to_thread(push_to, river, url, "somebody@acme.example")
        await asyncio.to_thread(river.publish_members, range(3))

        async def was_tried() -> bool:
            return (await stats_of(river)).delivered >= 6

        await until(was_tried)
        assert run.progress.received == 0
        assert (await stats_of(river)).backlog == 3
        await asyncio.to_thread(push_to, river, url)
        await settled(run, 3)


async def test_push_without_a_server_is_told_with_the_fix(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_PUSH_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("MILLRACE_INGEST_PUSH_SERVICE_ACCOUNT", ACCOUNT)
    settings = IngestSettings.model_validate(QUICK | {"transport": "push"})
    with pytest.raises(ConfigurationError, match="--http-port"):
        await Run(Plan(river.settings, river.contracts), settings).run()
