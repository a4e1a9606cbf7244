"""A circuit breaker: a host that is down is left alone, then tried with one request.

The pattern is Michael Nygard's ("Release It!", chapter "Stability Patterns"): closed, requests pass; open, none does;
half open, one does, and its outcome decides.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from core.errors import MillraceError
from ingest.fetch.errors import CircuitOpenError, ServiceDownError

CircuitState = Literal["closed", "open", "half_open"]


def _nobody(_: CircuitState) -> None:
    return


class CircuitBreaker:
    """Counts a host's failures in a row, and keeps requests from it while it is down."""

    def __init__(
        self,
        failures: int,
        open_s: float,
        now: Callable[[], float] = time.monotonic,
        on_change: Callable[[CircuitState], None] = _nobody,
    ) -> None:
        """Begin closed.

        Args:
            failures: failures in a row at which it opens.
            open_s: how long it stays open before one request tries the host, in seconds.
            now: a clock in seconds that never goes back.
            on_change: told of every new state.
        """
        self._limit = failures
        self._open_s = open_s
        self._now = now
        self._on_change = on_change
        self._state: CircuitState = "closed"
        self._failures = 0
        self._retry_at = 0.0
        # Outcomes of requests that began before the last change of state say nothing about the present one.
        self._era = 0

    @property
    def state(self) -> CircuitState:
        """What it does with requests now."""
        return self._state

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let one request pass, and take note of how it ends.

        `ServiceDownError` is a failure; any other of our errors stands for an answer, whatever it says. What ends a
        request without one, such as its cancellation or a fault of this program, is neither.

        Raises:
            CircuitOpenError: when the request must not be made.
        """
        era = self._admit()
        try:
            yield
        except ServiceDownError:
            self._fail(era)
            raise
        except MillraceError:
            self._succeed(era)
            raise
        except BaseException:
            self._abandon(era)
            raise
        else:
            self._succeed(era)

    def _admit(self) -> int:
        if self._state == "open" and self._now() >= self._retry_at:
            self._change("half_open")
            return self._era
        if self._state != "closed":
            # While the one request is on its way, its outcome is worth waiting for.
            wait_s = max(self._retry_at - self._now(), 0.0) or self._open_s / 4
            raise CircuitOpenError("the API is down; it is tried again in a moment", wait_s)
        return self._era

    def _succeed(self, era: int) -> None:
        if era != self._era:
            return
        self._failures = 0
        if self._state == "half_open":
            self._change("closed")

    def _fail(self, era: int) -> None:
        if era != self._era:
            return
        self._failures += 1
        if self._state == "half_open" or self._failures >= self._limit:
            self._retry_at = self._now() + self._open_s
            self._change("open")

    def _abandon(self, era: int) -> None:
        if era == self._era and self._state == "half_open":
            # Nothing was learnt: the next request may try at once.
            self._change("open")

    def _change(self, state: CircuitState) -> None:
        self._state = state
        self._era += 1
        self._failures = 0
        self._on_change(state)
