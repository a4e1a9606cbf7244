"""The gate to a host: so many requests at once, none while it asks for patience or is down."""

import asyncio
import email.utils
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from ingest.fetch.breaker import CircuitBreaker


class HostGate:
    """What all requests to one host pass through, so that a slow host holds up nobody but itself."""

    def __init__(self, concurrency: int, breaker: CircuitBreaker, longest_pause_s: float) -> None:
        """Open the gate.

        Args:
            concurrency: requests at once.
            breaker: knows whether the host is down.
            longest_pause_s: how long the host may hold requests back, in seconds, whatever it asks for.
        """
        # Held for a request only, not for the waits between two: a row that fails must not slow the others.
        self._slots = asyncio.Semaphore(concurrency)
        self._breaker = breaker
        self._longest_pause_s = longest_pause_s
        self._resume_at = 0.0

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of a request.

        Raises:
            CircuitOpenError: when the host is down.
        """
        await self._wait_for_turn()
        async with self._slots:
            with self._breaker.guard():
                yield

    def pause(self, wait_s: float | None) -> None:
        """Hold all requests back, because the host asked one of them to wait.

        Args:
            wait_s: how long it asked for, in seconds; None when it did not say.
        """
        pause_s = min(wait_s or 0.0, self._longest_pause_s)
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + pause_s)

    async def _wait_for_turn(self) -> None:
        wait_s = self._resume_at - asyncio.get_running_loop().time()
        if wait_s > 0:
            # Spread a little, or all that waited would come back in one instant.
            await asyncio.sleep(wait_s * random.uniform(1, 1.2))  # noqa: S311


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3).

    Args:
        header: seconds or an HTTP date; None when absent.
        now: the present instant.

    Returns:
        Seconds to wait, at least 0; None when the header is absent or not valid.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        instant = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, (instant - now).total_seconds())
