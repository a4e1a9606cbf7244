"""The push endpoint: 204 once the row is safe, and otherwise an answer that makes Pub/Sub send the message again.

Who asks is checked first, then how much, and only then what: nobody without a token costs more than a look at headers.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.errors import DecodeError, UnavailableError
from ingest.push.body import BodyError, check_headers, read_body
from ingest.push.envelope import read_push
from ingest.push.settings import PushSettings
from ingest.push.tokens import TokenError, TokenVerifier
from ingest.push.transport import PushTransport

_log = structlog.get_logger(__name__)

PUSH_PATH: Final = "/push"

_NO_HEADERS: Final[Mapping[str, str]] = {}
_UNREAD: Final[Mapping[str, str]] = {"connection": "close"}
"""Of an answer given before the body was read: otherwise the server would read, and drop, all that is sent."""


class PushEndpoint:
    """Answers push requests for some subscriptions."""

    def __init__(self, transports: Sequence[PushTransport], verifier: TokenVerifier, settings: PushSettings) -> None:
        """Prepare to answer.

        Args:
            transports: one a subscription.
            verifier: knows who may push.
            settings: how much and how long.
        """
        self._transports = {transport.name: transport for transport in transports}
        self._verifier = verifier
        self._settings = settings

    def route(self) -> Route:
        """Return the route that Pub/Sub posts to."""
        return Route(PUSH_PATH, self._answer, methods=["POST"])

    async def _answer(self, request: Request) -> Response:
        try:
            await self._verifier.verify(request.headers.get("authorization"))
            announced = check_headers(request, self._settings.max_bytes)
            if not any(transport.has_room(announced) for transport in self._transports.values()):
                return self._busy(_UNREAD)
            body = await read_body(request, self._settings.max_bytes)
        except TokenError as error:
            _log.warning("push refused", why=str(error))
            return _refusal(401, str(error), {"www-authenticate": "Bearer", **_UNREAD})
        except BodyError as error:
            _log.warning("push refused", why=str(error))
            return _refusal(error.status, str(error), _UNREAD)
        except UnavailableError as error:
            _log.warning("push cannot be verified", why=str(error))
            return self._unavailable("tokens cannot be verified now", _UNREAD)
        return await self._take(request, body)

    async def _take(self, request: Request, body: bytes) -> Response:
        try:
            message = read_push(request.headers, body)
        except DecodeError as error:
            _log.warning("push refused", why=str(error))
            return _refusal(400, "this is no push request of Pub/Sub with metadata")
        transport = self._transports.get(message.subscription)
        if transport is None:
            _log.warning("push refused", why="unknown subscription", subscription=message.subscription[:200])
            return _refusal(404, "no table here is read from this subscription")
        message.topic = transport.topic
        if not transport.has_room(message.size):
            return self._busy()
        try:
            async with asyncio.timeout(self._settings.wait_s):
                is_safe = await transport.receive(message)
        except TimeoutError:
            return self._unavailable("the row is not confirmed yet")
        return Response(status_code=204) if is_safe else self._unavailable("the row could not be landed now")

    def _busy(self, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
        if not any(transport.is_connected for transport in self._transports.values()):
            return self._unavailable("draining", headers)
        return _refusal(429, "too much is in flight", {**self._retry_after(), **headers})

    def _unavailable(self, words: str, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
        return _refusal(503, words, {**self._retry_after(), **headers})

    def _retry_after(self) -> dict[str, str]:
        return {"retry-after": str(self._settings.retry_after_s)}


def _refusal(status: int, words: str, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    return JSONResponse({"error": words}, status_code=status, headers=headers)
