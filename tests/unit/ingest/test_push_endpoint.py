"""The push endpoint over real HTTP: who may push, how much, and what each answer means."""

import asyncio
import base64
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from push_issuer import ACCOUNT, AUDIENCE, Issuer, port_of
from starlette.applications import Starlette

from core.errors import DecodeError
from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.http.address import Address, bind
from ingest.http.server import serving
from ingest.message import Message
from ingest.progress import Progress
from ingest.push.certificates import Certificates
from ingest.push.endpoint import PUSH_PATH, PushEndpoint
from ingest.push.envelope import read_push
from ingest.push.settings import PushSettings
from ingest.push.tokens import TokenVerifier
from ingest.push.transport import PushTransport
from ingest.settings import IngestSettings

SUBSCRIPTION = "projects/acme-millrace/subscriptions/members-push"
MOST_BYTES = 20_000


def pushed(event_id: str = "7", data: bytes = b"{}", **message: object) -> dict[str, Any]:
    """A request's body, as Pub/Sub writes it: some names come twice, in both spellings."""
    body = {
        "messageId": event_id,
        "message_id": event_id,
        "publishTime": "2026-01-02T03:04:05.678Z",
        "publish_time": "2026-01-02T03:04:05.678Z",
        "data": base64.b64encode(data).decode(),
    } | message
    return {"message": body, "subscription": SUBSCRIPTION, "deliveryAttempt": 3}


@dataclass
class Stage:
    """What stands behind the endpoint: takes messages, and settles them as a test says.

    Attributes:
        transport: the transport.
        flow: counts what is in flight.
        taken: what was delivered.
        settle: what becomes of a message as soon as it is delivered; None leaves it in flight.
    """

    flow: FlowControl
    settle: Callable[["Stage", Message], None] | None
    taken: list[Message] = field(default_factory=list)
    transport: PushTransport = field(init=False)

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.taken.append(message)
            self.flow.take(1, message.size)
            if self.settle is not None:
                asyncio.get_running_loop().call_soon(self.settle, self, message)

    def land(self, message: Message) -> None:
        self.flow.give_back(1, message.size)
        self.transport.ack([message.ack_id])

    def give_back(self, message: Message) -> None:
        self.flow.give_back(1, message.size)
        self.transport.nack([message.ack_id])


@dataclass
class Served:
    """An endpoint being served."""

    url: str
    stage: Stage
    issuer: Issuer
    client: httpx.AsyncClient
    progress: Progress

    async def push(self, body: object = None, token: str | None = "", **headers: str) -> httpx.Response:
        """Push as Pub/Sub does; an empty token stands for a good one."""
        if token is not None:
            headers = {"authorization": f"Bearer {token or self.issuer.token()}"} | headers
        content = body if isinstance(body, bytes) else json.dumps(pushed() if body is None else body).encode()
        return await self.client.post(self.url, content=content, headers=headers)


@asynccontextmanager
async def endpoint(
    settle: Callable[[Stage, Message], None] | None = Stage.land, *, most_messages: int = 100, wait_s: float = 20.0
) -> AsyncIterator[Served]:
    issuer = Issuer()
    settings, progress = IngestSettings(), Progress("load")
    stage = Stage(FlowControl(most_messages, 10_000_000), settle)
    context = RunContext(settings, progress, fail=lambda error: pytest.fail(str(error)))
    stage.transport = PushTransport(SUBSCRIPTION, "members", context, flow=stage.flow, deliver=stage.deliver)
    listening = bind(Address("127.0.0.1", 0))
    url = f"http://127.0.0.1:{port_of(listening)}{PUSH_PATH}"
    async with issuer.served() as certificates_url, httpx.AsyncClient(trust_env=False) as client:
        push = PushSettings(
            audience=AUDIENCE,
            service_account=ACCOUNT,
            certificates_url=certificates_url,
            max_bytes=MOST_BYTES,
            wait_s=wait_s,
        )
        verifier = TokenVerifier(push, Certificates(certificates_url, client))
        app = Starlette(routes=[PushEndpoint([stage.transport], verifier, push).route()])
        serve_requests = asyncio.create_task(stage.transport.pull_forever())
        async with serving(app, listening):
            yield Served(url, stage, issuer, client, progress)
        serve_requests.cancel()


async def test_a_pushed_message_arrives_whole_and_is_answered_once_it_landed() -> None:
    async with endpoint() as served:
        answer = await served.push(pushed(data=b"\xff{1.50}", attributes={"a": "1"}, orderingKey="k"))
        assert (answer.status_code, answer.content) == (204, b"")
        assert served.stage.taken == [
            Message(
                subscription=SUBSCRIPTION,
                topic="members",
                event_id="7",
                data=b"\xff{1.50}",
                attributes={"a": "1"},
                ordering_key="k",
                publish_ts=1_767_323_045_678_000,
                ack_id="7",
                delivery_attempt=3,
            )
        ]
        assert served.progress.acked == 1


async def test_an_unwrapped_message_has_its_metadata_in_headers() -> None:
    async with endpoint() as served:
        headers = {
            "x-goog-pubsub-subscription-name": SUBSCRIPTION,
            "x-goog-pubsub-message-id": "8",
            "x-goog-pubsub-publish-time": "2026-01-02T03:04:05Z",
            "x-goog-pubsub-ordering-key": "k",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "colour": "red",
        }
        assert (await served.push(b'{"bare": 1}', **headers)).status_code == 204
        (message,) = served.stage.taken
    assert (message.event_id, message.data, message.ordering_key) == ("8", b'{"bare": 1}', "k")
    assert message.publish_ts == 1_767_323_045_000_000
    assert message.attributes == {"traceparent": headers["traceparent"], "colour": "red"}


FORGERIES: dict[str, Callable[[Issuer], str | None]] = {
    "no header": lambda _: None,
    "another audience": lambda issuer: issuer.token(aud="https://elsewhere.example"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://issuer.example"),
    "another account": lambda issuer: issuer.token(email="somebody@acme-millrace.iam.gserviceaccount.com"),
    "no account": lambda issuer: issuer.token(email=None),
    "account not verified": lambda issuer: issuer.token(email_verified=False),
    "account verified as text": lambda issuer: issuer.token(email_verified="true"),
    "expired": lambda issuer: issuer.token(iat=1_700_000_000, exp=1_700_003_600),
    "no expiry": lambda issuer: issuer.token(exp=None),
    "expiry that is no number": lambda issuer: issuer.token(exp="never"),
    "from the future": lambda issuer: issuer.token(iat=4_000_000_000, exp=4_000_003_600),
    "tampered": lambda issuer: issuer.tampered(),
    "alg none": lambda issuer: issuer.unsigned(),
    "HS256 with the public key": lambda issuer: issuer.signed_with_the_certificate(),
    "another key under a known id": lambda issuer: Issuer(issuer.key_id, "another").token(),
    "an unknown key": lambda _: Issuer("k2").token(),
    "no key id": lambda issuer: issuer.without_key_id(),
    "no token at all": lambda _: "not.a.token",
    "too long": lambda issuer: issuer.token(sub="x" * 9_000),
}


async def test_whoever_cannot_prove_that_it_may_push_is_refused_and_delivers_nothing() -> None:
    async with endpoint() as served:
        assert (await served.push()).status_code == 204  # the control: the same request with a good token
        for name, forge in FORGERIES.items():
            answer = await served.push(pushed(f"forged-{name}"), token=forge(served.issuer))
            assert answer.status_code == 401, name
        basic = await served.push(token=None, authorization="Basic cHVzaDpwdXNo")
        assert basic.status_code == 401
        assert [message.event_id for message in served.stage.taken] == ["7"]
        # Unknown keys must not let anybody have the certificates fetched at will.
        assert served.issuer.fetches == 1


async def test_certificates_that_cannot_be_had_are_no_reason_to_trust_nor_to_give_up() -> None:
    async with endpoint() as served:
        served.issuer.is_down = True
        answer = await served.push()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        served.issuer.is_down = False
        assert (await served.push()).status_code == 204


async def test_old_certificates_are_fetched_anew_and_kept_when_that_fails() -> None:
    now = [0.0]
    issuer = Issuer()
    async with issuer.served() as url, httpx.AsyncClient(trust_env=False) as client:
        certificates = Certificates(url, client, lambda: now[0])
        assert list(await certificates.for_key("k1")) == ["k1"]
        now[0] = 3_000.0
        await certificates.for_key("k1")
        assert issuer.fetches == 1
        now[0] = 3_700.0
        issuer.is_down = True
        assert list(await certificates.for_key("k1")) == ["k1"]
        assert issuer.fetches == 2
        now[0] = 3_800.0
        issuer.is_down, issuer.key_id = False, "k2"
        assert list(await certificates.for_key("k2")) == ["k2"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    async with endpoint() as served:
        authorization = f"authorization: Bearer {served.issuer.token()}"
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
        head = f"POST {PUSH_PATH} HTTP/1.1\r\nhost: x\r\n{authorization}\r\ncontent-length: {MOST_BYTES + 1}\r\n\r\n"
        writer.write(head.encode())  # and not one byte of the body
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        assert served.stage.taken == []


async def test_a_body_of_unknown_length_is_read_no_further_than_it_may_be() -> None:
    async with endpoint() as served:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 10_000
                yield b"x" * 10_000

        headers = {"authorization": f"Bearer {served.issuer.token()}"}
        try:
            answer = await served.client.post(served.url, content=endless(), headers=headers)
            assert answer.status_code == 413
        except (httpx.WriteError, httpx.ReadError):
            pass  # the connection was closed while more was being sent
        # What the sockets' buffers took in; without the limit this would never end.
        assert sent < 20_000_000
        assert served.stage.taken == []


async def test_a_packed_body_is_refused_however_small() -> None:
    async with endpoint() as served:
        bomb = gzip.compress(b"0" * 50_000_000)
        packed = await served.push(gzip.compress(json.dumps(pushed()).encode()), **{"content-encoding": "gzip"})
        assert packed.status_code == 415
        assert (await served.push(bomb[: MOST_BYTES - 1], **{"content-encoding": "gzip"})).status_code == 415
        assert (await served.push(**{"content-encoding": "identity"})).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"[" * 10_000,
        json.dumps({"message": {"data": "e30="}, "subscription": SUBSCRIPTION}).encode(),
        json.dumps(pushed(event_id="")).encode(),
        json.dumps(pushed() | {"subscription": 7}).encode(),
        json.dumps({"message": {"messageId": "1", "data": "no base64!"}, "subscription": SUBSCRIPTION}).encode(),
    ],
)
async def test_what_is_no_push_request_is_a_bad_request(body: bytes) -> None:
    async with endpoint() as served:
        assert (await served.push(body)).status_code == 400
        assert served.stage.taken == []


async def test_a_subscription_that_nobody_reads_is_not_found() -> None:
    async with endpoint() as served:
        other = pushed() | {"subscription": "projects/acme-millrace/subscriptions/other"}
        assert (await served.push(other)).status_code == 404


async def test_a_message_that_is_given_back_comes_again() -> None:
    async with endpoint(Stage.give_back) as served:
        answer = await served.push()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert served.progress.nacked == 1


async def test_too_much_in_flight_is_said_before_the_body_is_read() -> None:
    async with endpoint(None, most_messages=1) as served:
        first = asyncio.create_task(served.push(pushed("1")))
        async with asyncio.timeout(5):
            while not served.stage.taken:  # noqa: ASYNC110 - the endpoint has no event to wait for
                await asyncio.sleep(0.005)
        second = await served.push(pushed("2"))
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        served.stage.land(served.stage.taken[0])
        assert (await first).status_code == 204
        assert [message.event_id for message in served.stage.taken] == ["1"]


async def test_a_row_that_is_not_confirmed_in_time_comes_again() -> None:
    async with endpoint(None, wait_s=0.05) as served:
        assert (await served.push()).status_code == 503
        assert served.stage.transport.is_idle


async def test_a_message_that_comes_again_on_its_way_gets_the_same_answer() -> None:
    async with endpoint(None) as served:
        both = [asyncio.create_task(served.push()) for _ in range(2)]
        async with asyncio.timeout(5):
            while len(served.stage.taken) < 2:  # noqa: ASYNC110 - the endpoint has no event to wait for
                await asyncio.sleep(0.005)
        served.stage.land(served.stage.taken[0])
        assert [answer.status_code for answer in await asyncio.gather(*both)] == [204, 204]
        await served.stage.transport.drain()
        assert served.stage.transport.is_idle


async def test_an_endpoint_that_drains_takes_nothing_more() -> None:
    async with endpoint() as served:
        served.stage.transport.is_connected = False
        answer = await served.push()
        assert (answer.status_code, answer.json()) == (503, {"error": "draining"})


async def test_neither_token_nor_body_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    async with endpoint() as served:
        canary = base64.b64encode(b"canary-4711").decode()
        token = served.issuer.token(aud="elsewhere", sub="canary-4711")
        assert (await served.push(pushed(data=b"canary-4711"), token=token)).status_code == 401
        assert (await served.push(b'{"message": "canary-4711')).status_code == 400
    told = "".join(capfd.readouterr())
    assert "push refused" in told
    assert not [word for word in ("canary-4711", canary, token, token.split(".")[1]) if word in told]


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert read_push({}, body).event_id


@given(
    event_id=st.text(min_size=1, max_size=20),
    data=st.binary(max_size=50),
    attributes=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3),
    key=st.text(max_size=10),
)
def test_whatever_is_wrapped_comes_out_as_it_was(
    event_id: str, data: bytes, attributes: dict[str, str], key: str
) -> None:
    body = json.dumps(pushed(event_id, data, attributes=attributes, orderingKey=key)).encode()
    message = read_push({}, body)
    assert (message.event_id, message.data, dict(message.attributes), message.ordering_key) == (
        event_id,
        data,
        attributes,
        key,
    )
