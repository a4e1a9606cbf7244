"""Faults the API can be told to show, the same ones for the same seed."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Fault = Literal["error", "throttle", "drop", "slow_body", "malformed"]
Share = Annotated[float, Field(ge=0, le=1)]

FAULTS: Final[tuple[Fault, ...]] = ("error", "throttle", "drop", "slow_body", "malformed")
_FAULTY_PREFIX: Final = "/v1/"
_SLOW_CHUNKS: Final = 8


class FaultPlan(BaseModel):
    """Which share of the requests fails, and how; the shares must not exceed 1 together.

    Attributes:
        seed: what the choice comes from, together with the path and how often it was asked for.
        latency_ms: how long every answer waits, in milliseconds.
        error_share: answers with `error_status`.
        error_status: a status from 500 to 599.
        throttle_share: answers 429 with `Retry-After`.
        retry_after_s: what `Retry-After` says, in whole seconds.
        drop_share: connections closed in the middle of an answer.
        slow_body_share: answers whose body takes `slow_body_s`.
        slow_body_s: how long a slow body takes, in seconds.
        malformed_share: answers 200 whose JSON is cut off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] = 0
    error_share: Share = 0
    error_status: Annotated[int, Field(ge=500, le=599)] = 503
    throttle_share: Share = 0
    retry_after_s: Annotated[int, Field(ge=0, le=3_600)] = 1
    drop_share: Share = 0
    slow_body_share: Share = 0
    slow_body_s: Annotated[float, Field(ge=0, le=600)] = 1
    malformed_share: Share = 0

    @model_validator(mode="after")
    def _check_total(self) -> "FaultPlan":
        total = sum(self.share(fault) for fault in FAULTS)
        if total > 1 + 1e-9:
            raise ValueError(f"the shares add up to {total}, which is more than 1")
        return self

    def share(self, fault: Fault) -> float:
        """Return the share of a fault."""
        return float(getattr(self, f"{fault}_share"))

    def choose(self, path: str, attempt: int) -> Fault | None:
        """Return the fault of one request.

        Args:
            path: the request's path.
            attempt: how often the path was asked for before.

        Returns:
            The fault; None for a good answer. The order of other requests does not matter.
        """
        digest = hashlib.blake2b(f"{self.seed}|{path}|{attempt}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        for fault in FAULTS:
            draw -= self.share(fault)
            if draw < 0:
                return fault
        return None


@dataclass
class FaultInjector:
    """The plan in force, and what it has done.

    Attributes:
        plan: which faults to show.
        shown: how often each fault was shown since the plan came into force.
    """

    plan: FaultPlan = field(default_factory=FaultPlan)
    shown: Counter[str] = field(default_factory=Counter)
    _attempts: Counter[str] = field(default_factory=Counter, repr=False)

    def follow(self, plan: FaultPlan) -> None:
        """Follow another plan from now on, and forget what was before."""
        self.plan = plan
        self.shown.clear()
        self._attempts.clear()

    def next_fault(self, path: str) -> Fault | None:
        """Return the fault of the next request for a path, and count it."""
        attempt = self._attempts[path]
        self._attempts[path] += 1
        fault = self.plan.choose(path, attempt)
        if fault is not None:
            self.shown[fault] += 1
        return fault


@dataclass
class FaultMiddleware:
    """Shows faults in front of the rows; health and administration never fail.

    Attributes:
        app: the application behind.
        injector: which faults.
    """

    app: ASGIApp
    injector: FaultInjector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application answer it."""
        if scope["type"] != "http" or not scope["path"].startswith(_FAULTY_PREFIX):
            await self.app(scope, receive, send)
            return
        plan = self.injector.plan
        fault = self.injector.next_fault(scope["path"])
        if plan.latency_ms:
            await asyncio.sleep(plan.latency_ms / 1_000)
        match fault:
            case None:
                await self.app(scope, receive, send)
            case "error":
                await JSONResponse({"detail": "injected"}, plan.error_status)(scope, receive, send)
            case "throttle":
                headers = {"Retry-After": str(plan.retry_after_s)}
                await JSONResponse({"detail": "injected"}, 429, headers)(scope, receive, send)
            case "drop":
                await _drop(send)
            case "slow_body":
                await self.app(scope, receive, _Slow(send, plan.slow_body_s))
            case "malformed":
                await self.app(scope, receive, _Malformed(send))


async def _drop(send: Send) -> None:
    # The server closes the connection of an answer that ends before its announced length.
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"data":', "more_body": True})


@dataclass
class _Slow:
    send: Send
    seconds: float

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await self.send(message)
            return
        size = -(-len(body) // _SLOW_CHUNKS)
        for start in range(0, len(body), size):
            await asyncio.sleep(self.seconds / _SLOW_CHUNKS)
            await self.send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        await self.send({"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)})


@dataclass
class _Malformed:
    send: Send
    _start: MutableMapping[str, Any] | None = None

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        body = message.get("body", b"")
        if start is not None:
            kept = body[: len(body) // 2]
            headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            start["headers"] = [*headers, (b"content-length", str(len(kept)).encode())]
            await self.send(start)
            await self.send({**message, "body": kept})
