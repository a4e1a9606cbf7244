"""The state machine in an event loop: the clock, the timer, and consumers that wait for messages."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.pubsub.broker import Broker
from devstack.pubsub.clock import Clock
from devstack.pubsub.model import SECOND


class Runtime:
    """One broker, its clock, and who waits for what.

    Attributes:
        broker: the state; touch it from the event loop's thread only.
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        """Starts with an empty broker; needs a running event loop only once messages are leased."""
        self.clock = clock
        # Microseconds, so that ids of a later run are larger as long as fewer than a million are used per second.
        self.broker = Broker(first_sequence=clock.now() // 1000, on_change=self._wake)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0

    def now(self) -> int:
        """Returns the time in nanoseconds since the epoch."""
        return self.clock.now()

    @contextmanager
    def waiter(self, subscription: str) -> Iterator[asyncio.Event]:
        """Registers an event that is set whenever something may have become deliverable on a subscription."""
        event = asyncio.Event()
        self._waiting[subscription].add(event)
        try:
            yield event
        finally:
            self._waiting[subscription].discard(event)

    def arm(self) -> None:
        """Sets the timer to the broker's next event; call it after leases or rests were set."""
        moment = self.broker.next_event()
        if moment is None or (self._timer is not None and self._timer_at <= moment):
            return
        self.disarm()
        delay = max(0, moment - self.now()) / SECOND
        self._timer_at = moment
        self._timer = asyncio.get_running_loop().call_later(delay, self.tick)

    def disarm(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self) -> None:
        """Lets the broker do what is due."""
        self.disarm()
        self.broker.tick(self.now())
        self.arm()

    def advance(self, seconds: float) -> None:
        """Moves the clock forward and lets the broker do what is due then."""
        self.clock.advance(seconds)
        self.tick()

    def _wake(self, subscription: str) -> None:
        for event in self._waiting.get(subscription, ()):
            event.set()
