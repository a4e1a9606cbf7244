"""The server's clock, which tests can push forward."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from devstack.pubsub.model import SECOND


@dataclass(slots=True)
class Clock:
    """A clock that runs like another one, ahead of it by what it was advanced.

    Attributes:
        source: tells the time in nanoseconds since the epoch.
        ahead: how far this clock is ahead of it, in nanoseconds.
    """

    source: Callable[[], int] = time.time_ns
    ahead: int = 0

    def now(self) -> int:
        """Returns the time in nanoseconds since the epoch (UTC)."""
        return self.source() + self.ahead

    def advance(self, seconds: float) -> None:
        """Moves the clock forward.

        Raises:
            ValueError: when asked to go back.
        """
        if seconds < 0:
            raise ValueError(f"A clock cannot go back by {-seconds} s.")
        self.ahead += round(seconds * SECOND)
