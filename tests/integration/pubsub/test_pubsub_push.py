"""Push subscriptions of the stand-in, seen from the endpoint."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.auth import jwt
from pubsub_clients import PATIENCE_S, Clients
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devstack.pubsub import control
from ingest.http.address import Address, bind
from ingest.http.server import serving


@dataclass
class Endpoint:
    """What was posted, and what it is answered with."""

    url: str
    answers: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body)["message"] for body in self.bodies]

    def texts(self) -> list[str]:
        return [base64.b64decode(message["data"]).decode() for message in self.messages()]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():  # noqa: ASYNC110 - requests come when they come
                await asyncio.sleep(0.01)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    listening = bind(Address("127.0.0.1", 0))
    made = Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}/push")

    async def take(request: Request) -> Response:
        made.headers.append(dict(request.headers))
        made.bodies.append(await request.body())
        return Response(status_code=made.answers.pop(0) if made.answers else 204)

    async with serving(Starlette(routes=[Route("/push", take, methods=["POST"])]), listening):
        yield made


def subscribe(clients: Clients, topic: str, url: str, **push_config: Any) -> str:
    name = f"projects/{clients.project}/subscriptions/{topic.rpartition('/')[2]}-push"
    clients.subscriber.create_subscription(
        request={
            "name": name,
            "topic": topic,
            "enable_message_ordering": True,
            "push_config": {"push_endpoint": url, **push_config},
        }
    )
    return name


async def test_messages_are_posted_wrapped_and_again_until_they_are_taken(ours: Clients) -> None:
    topic = ours.topic()
    async with endpoint() as served:
        served.answers = [500, 429]
        name = subscribe(ours, topic, served.url)
        await asyncio.to_thread(ours.publish, topic, ["a"], key="k", colour="red")
        await served.until(lambda: len(served.bodies) == 3)
        assert served.texts() == ["a"] * 3
        first, *_ = served.messages()
        assert first["attributes"] == {"colour": "red"}
        assert first["orderingKey"] == "k"
        assert first["messageId"] == first["message_id"]
        assert {json.loads(body)["subscription"] for body in served.bodies} == {name}
        await served.until(lambda: control.stats(ours.address)[name].acked == 1)


async def test_of_an_ordering_key_a_message_waits_for_the_one_before_it(ours: Clients) -> None:
    topic = ours.topic()
    async with endpoint() as served:
        served.answers = [204, 503]
        subscribe(ours, topic, served.url)
        await asyncio.to_thread(ours.publish, topic, ["1", "2", "3"], key="k")
        await served.until(lambda: len(served.bodies) >= 4)
        assert served.texts() == ["1", "2", "2", "3"]


async def test_a_message_may_be_posted_bare_with_its_metadata_in_headers(ours: Clients) -> None:
    topic = ours.topic()
    async with endpoint() as served:
        name = subscribe(ours, topic, served.url, no_wrapper={"write_metadata": True})
        await asyncio.to_thread(ours.publish, topic, ["bare"], colour="red")
        await served.until(lambda: bool(served.bodies))
    assert served.bodies == [b"bare"]
    (headers,) = served.headers
    assert headers["x-goog-pubsub-subscription-name"] == name
    assert headers["x-goog-pubsub-message-id"].isdecimal()
    assert headers["colour"] == "red"
    assert "authorization" not in headers


async def test_a_token_is_signed_for_the_account_and_the_audience(ours: Clients) -> None:
    topic = ours.topic()
    async with endpoint() as served:
        subscribe(ours, topic, served.url, oidc_token={"service_account_email": "push@acme.example", "audience": "us"})
        await asyncio.to_thread(ours.publish, topic, ["signed"])
        await served.until(lambda: bool(served.bodies))
    certificates = control.certificates(ours.address)
    token = served.headers[0]["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, certs=certificates, audience="us")
    assert (claims["email"], claims["email_verified"]) == ("push@acme.example", True)
    with pytest.raises(ValueError, match="audience"):
        jwt.decode(token, certs=certificates, audience="them")


async def test_a_subscription_can_be_turned_to_push_and_back(ours: Clients) -> None:
    topic = ours.topic()
    name = ours.subscription(topic)
    async with endpoint() as served:
        ours.subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": served.url})
        await asyncio.to_thread(ours.publish, topic, ["pushed"])
        await served.until(lambda: bool(served.bodies))
        ours.subscriber.modify_push_config(subscription=name, push_config={})
        await asyncio.to_thread(ours.publish, topic, ["pulled"])
        assert [one.message.data for one in await asyncio.to_thread(ours.pull, name, 1)] == [b"pulled"]
        ours.subscriber.delete_subscription(subscription=name)
        assert served.texts() == ["pushed"]
