"""Messages in flight: who holds which lease, what has landed, and how much is held.

A message id counts as seen only once its row is confirmed. Until then a redelivery waits with the first delivery; after
that it is acknowledged at once and not landed again.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from ingest.acks import Acknowledger
from ingest.context import RunContext
from ingest.message import Message

_Id = tuple[str, str]


class _Held(msgspec.Struct, gc=False):
    ack_id: str
    leased_at: float
    size: int


class Leases:
    """The ledger of messages in flight, and the flow control that follows from it."""

    def __init__(
        self,
        acks: Acknowledger,
        context: RunContext,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._acks = acks
        self._settings = context.settings
        self._progress = context.progress
        self._now = now
        self._held: dict[_Id, _Held] = {}
        self._landed: dict[_Id, None] = {}  # in order of landing: the oldest is forgotten first
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def messages(self) -> int:
        """Messages in flight."""
        return len(self._held)

    @property
    def bytes(self) -> int:
        """Bytes in flight."""
        return self._bytes

    def admit(self, message: Message) -> bool:
        """Take a delivery in.

        Args:
            message: what was delivered.

        Returns:
            True when it must be processed; False when it is in flight already, or has landed.
        """
        identity = (message.subscription, message.event_id)
        held = self._held.get(identity)
        if held is not None:
            # Only the newest token is sure to be valid; keeping one bounds memory in a redelivery storm.
            held.ack_id = message.ack_id
            held.leased_at = self._now()
            self._progress.duplicates += 1
            return False
        if identity in self._landed:
            self._progress.duplicates += 1
            self._acks.ack(message.subscription, message.ack_id)
            return False
        size = message.size
        self._held[identity] = _Held(message.ack_id, self._now(), size)
        self._bytes += size
        if len(self._held) >= self._settings.outstanding_messages or self._bytes >= self._settings.outstanding_bytes:
            self._room.clear()
        return True

    def settle(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages that have landed, or were no rows in the first place.

        Args:
            messages: what is safe now.
        """
        for message in messages:
            held = self._let_go(message)
            if held is not None:
                self._landed[message.subscription, message.event_id] = None
                self._acks.ack(message.subscription, held.ack_id)
        while len(self._landed) > self._settings.remembered_ids:
            del self._landed[next(iter(self._landed))]

    def release(self, messages: Iterable[Message]) -> None:
        """Give messages back, to be delivered again.

        Args:
            messages: what was not landed.
        """
        for message in messages:
            held = self._let_go(message)
            if held is not None:
                self._acks.nack(message.subscription, held.ack_id)

    def release_all(self) -> None:
        """Give back whatever is still in flight."""
        for (subscription, _), held in self._held.items():
            self._acks.nack(subscription, held.ack_id)
        self._held.clear()
        self._bytes = 0
        self._room.set()

    async def wait_for_room(self) -> None:
        """Return once fewer messages and bytes are in flight than the settings allow."""
        await self._room.wait()

    async def extend_forever(self) -> None:
        """Keep the leases of everything in flight from running out."""
        period = self._settings.ack_deadline_s / 4
        while True:
            await asyncio.sleep(period)
            await self.extend(period)

    async def extend(self, older_than_s: float) -> None:
        """Take up the leases that are old enough to run out.

        Args:
            older_than_s: the age from which on a lease is taken up anew, in seconds.
        """
        now = self._now()
        due: defaultdict[str, list[str]] = defaultdict(list)
        for (subscription, _), held in self._held.items():
            if now - held.leased_at >= older_than_s:
                due[subscription].append(held.ack_id)
                held.leased_at = now
        for subscription, ack_ids in due.items():
            await self._acks.extend(subscription, ack_ids)

    def _let_go(self, message: Message) -> _Held | None:
        held = self._held.pop((message.subscription, message.event_id), None)
        if held is not None:
            self._bytes -= held.size
            if len(self._held) < self._settings.outstanding_messages and self._bytes < self._settings.outstanding_bytes:
                self._room.set()
        return held
