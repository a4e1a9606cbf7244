"""Messages that come to an end: a transport over what is known to be there, for commands that land it again.

Nothing is leased and nothing is committed. What the stages give back is delivered once more, after a wait, and the
transport is idle when everything it read has an answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.transport import Deliver

Batches = Callable[[], AsyncGenerator[Sequence[Message], None]]
"""Reads the messages, each batch of one topic; the transport names them and their tokens."""


class Settlements(Protocol):
    """Takes note of messages that are safe."""

    @property
    def is_empty(self) -> bool:
        """Whether every note has been confirmed."""

    def settle(self, event_ids: Sequence[str]) -> None:
        """Take note, soon.

        Args:
            event_ids: of messages that landed, or became dead letters.
        """

    async def drain(self) -> None:
        """Return when every note has been confirmed."""


class NoSettlements:
    """Takes note of nothing: `Settlements` of messages that nobody counts."""

    is_empty = True

    def settle(self, event_ids: Sequence[str]) -> None:
        """See `Settlements.settle`."""

    async def drain(self) -> None:
        """See `Settlements.drain`."""


class FiniteTransport:
    """Delivers messages that come to an end: an `ingest.transport.Transport`.

    Attributes:
        name: what tells it from other transports.
        is_connected: whether reading has begun.
    """

    def __init__(
        self,
        name: str,
        batches: Batches,
        context: RunContext,
        flow: FlowControl,
        *,
        deliver: Mapping[str, Deliver],
        settlements: Settlements | None = None,
    ) -> None:
        """Prepare to deliver.

        Args:
            name: what every message carries as `subscription`.
            batches: reads the messages.
            context: the run.
            flow: makes reading wait while too much is in flight.
            deliver: what takes the messages of each topic.
            settlements: takes note of what is safe; None when nobody wants to know.
        """
        self.name = name
        self.is_connected = False
        self._batches = batches
        self._patience = context.settings
        self._progress = context.progress
        self._flow = flow
        self._deliver_to = deliver
        self._settlements = settlements or NoSettlements()
        self._is_read = False
        self._held: dict[str, Message] = {}
        self._given_back: list[Message] = []
        self._turned_back = asyncio.Event()
        self._wait_s = context.settings.retry_first_wait_s

    @property
    def is_idle(self) -> bool:
        """Whether everything was read, has an answer, and the answer is noted."""
        return self._is_read and not self._held and self._settlements.is_empty

    async def check(self) -> None:
        """See `Transport.check`: reading says what is wrong."""

    async def pull_forever(self) -> None:
        """See `Transport.pull_forever`."""
        self.is_connected = True
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                await self._hand_over(batch)
                await self._hand_over_again()
        self._is_read = True
        while True:
            await self._turned_back.wait()
            await self._hand_over_again()

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.ack`."""
        for token in ack_ids:
            self._held.pop(token, None)
        self._wait_s = self._patience.retry_first_wait_s
        self._settlements.settle(ack_ids)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.nack`."""
        self._progress.nacked += len(ack_ids)
        self._given_back += [self._held[token] for token in ack_ids if token in self._held]
        self._turned_back.set()

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.extend`: nothing here runs out."""

    async def drain(self) -> None:
        """See `Transport.drain`."""
        await self._settlements.drain()

    async def _hand_over(self, messages: Sequence[Message]) -> None:
        for message in messages:
            message.subscription, message.ack_id = self.name, message.event_id
            self._held[message.event_id] = message
        if messages:
            await self._flow.deliver(messages, self._deliver_to[messages[0].topic])

    async def _hand_over_again(self) -> None:
        """Deliver what was given back; refused again and again, it comes at longer and longer distances."""
        if not self._given_back:
            return
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(self._wait_s * 2, self._patience.retry_longest_wait_s)
        self._turned_back.clear()
        messages, self._given_back = self._given_back, []
        by_topic: dict[str, list[Message]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(message)
        for batch in by_topic.values():
            await self._hand_over(batch)
