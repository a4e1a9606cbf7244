"""Messages in flight: who holds which lease, what has landed, and how much is held.

A message id counts as seen only once its row is confirmed. Until then a redelivery waits with the first delivery; after
that it is acknowledged at once and not landed again.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.message import Message, size_of
from ingest.transport import Transport


class _Pair(msgspec.Struct):
    """The two rows of a message.

    Attributes:
        message: the very object that the rows are settled by.
        left: how many of them are not safe yet.
    """

    message: Message
    left: int = 2


class _Ledger:
    """What is known of one transport's messages, by event id.

    Attributes:
        transport: is told what became of them.
        held: in flight; of a message that was delivered again, it carries the newest token.
        landed: landed of late.
        landed_before: landed a while ago, to be forgotten next.
        held_before: in flight when leases were last taken up.
        pairs: the rows of those in flight that have two.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.held: dict[str, Message] = {}
        self.landed: set[str] = set()
        self.landed_before: set[str] = set()
        self.held_before: set[str] = set()
        self.pairs: dict[str, _Pair] = {}


class Leases:
    """The ledger of messages in flight, and what flow control is told of them."""

    def __init__(self, flow: FlowControl, context: RunContext) -> None:
        """Begin with nothing in flight.

        Args:
            flow: counts what is in flight.
            context: the run.
        """
        self._flow = flow
        self._settings = context.settings
        self._progress = context.progress
        self._watermarks = context.watermarks
        self._ledgers: dict[str, _Ledger] = {}
        self._landed = 0

    @property
    def messages(self) -> int:
        """Messages in flight."""
        return sum(len(ledger.held) for ledger in self._ledgers.values())

    @property
    def oldest_publish_ts(self) -> int | None:
        """When the oldest message in flight was published, in microseconds since 1970 UTC; None without one."""
        held = (message.publish_ts for ledger in self._ledgers.values() for message in ledger.held.values())
        return min((published for published in held if published), default=None)

    @property
    def remembered(self) -> int:
        """Message ids by which repetitions of what has landed are known."""
        return sum(len(ledger.landed) + len(ledger.landed_before) for ledger in self._ledgers.values())

    def is_in_flight(self, event_id: str) -> bool:
        """Tell whether a message is in flight.

        Args:
            event_id: its id, of whichever transport.
        """
        return any(event_id in ledger.held for ledger in self._ledgers.values())

    def attach(self, transport: Transport) -> None:
        """Keep the books of a transport; to be called before its first delivery.

        Args:
            transport: is told what became of its messages; its name is their `subscription`.
        """
        self._ledgers[transport.name] = _Ledger(transport)

    def admit(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Take deliveries in.

        Args:
            messages: what one transport delivered together.

        Returns:
            Those that must be processed; the others are in flight already, or have landed.
        """
        if not messages:
            return messages
        ledger = self._ledgers[messages[0].subscription]
        ids = [message.event_id for message in messages]
        fresh = set(ids)
        if (
            len(fresh) == len(ids)
            # Asked of the set, every message in flight would be looked at instead of every fresh one.
            and ledger.held.keys().isdisjoint(fresh)
            and fresh.isdisjoint(ledger.landed)
            and fresh.isdisjoint(ledger.landed_before)
        ):
            ledger.held.update(zip(ids, messages, strict=True))
            admitted = messages
        else:
            admitted = self._without_duplicates(ledger, messages)
        self._flow.take(len(admitted), size_of(admitted))
        return admitted

    def expect_two(self, messages: Iterable[Message]) -> None:
        """Take note of messages that are two rows each: only when both are settled, the message is.

        Args:
            messages: what was admitted, of any transport.
        """
        for message in messages:
            self._ledgers[message.subscription].pairs[message.event_id] = _Pair(message)

    def settle(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages that have landed, or were no rows in the first place.

        Args:
            messages: what is safe now, of any transport; a message of two rows is given once for each.
        """
        for name, group in _by_transport(messages):
            ledger = self._ledgers[name]
            held = self._let_go(ledger, _complete(ledger, group))
            ledger.landed.update([message.event_id for message in held])
            ledger.transport.ack([message.ack_id for message in held])
            self._landed += len(held)
        # Two generations, each half of what may be remembered, are forgotten whole: cheaper than one id at a time.
        if self._landed >= self._settings.remembered_ids // 2:
            self._landed = 0
            for ledger in self._ledgers.values():
                ledger.landed_before, ledger.landed = ledger.landed, set()

    def release(self, messages: Iterable[Message]) -> None:
        """Give messages back, to be delivered again.

        Args:
            messages: what was not landed, of any transport.
        """
        for name, group in _by_transport(messages):
            ledger = self._ledgers[name]
            held = self._let_go(ledger, group)
            for message in held if ledger.pairs else ():
                ledger.pairs.pop(message.event_id, None)
            self._watermarks.given_back(message.event_id for message in held)
            ledger.transport.nack([message.ack_id for message in held])

    def dismiss(self, messages: Iterable[Message]) -> None:
        """Acknowledge what is none of this run's business, and was not even taken in.

        Args:
            messages: what was delivered, of any transport.
        """
        for name, group in _by_transport(messages):
            self._ledgers[name].transport.ack([message.ack_id for message in group])

    def refuse(self, messages: Iterable[Message]) -> None:
        """Give back what was not even taken in.

        Args:
            messages: what was delivered, of any transport.
        """
        for name, group in _by_transport(messages):
            self._ledgers[name].transport.nack([message.ack_id for message in group])

    def release_all(self) -> None:
        """Give back whatever is still in flight."""
        for ledger in self._ledgers.values():
            self.release(list(ledger.held.values()))

    async def extend_forever(self) -> None:
        """Keep the leases of everything in flight from running out."""
        while True:
            await asyncio.sleep(self._settings.ack_deadline_s / 4)
            await self.extend()

    async def extend(self) -> None:
        """Take up the leases of what was in flight the last time already: younger ones have time yet."""
        for ledger in self._ledgers.values():
            due = [message.ack_id for id_, message in ledger.held.items() if id_ in ledger.held_before]
            ledger.held_before = set(ledger.held)
            if due:
                await ledger.transport.extend(due)

    def _without_duplicates(self, ledger: _Ledger, messages: Sequence[Message]) -> list[Message]:
        admitted, landed = [], []
        for message in messages:
            held = ledger.held.get(message.event_id)
            if held is not None:
                # Only the newest token is sure to be valid; keeping one bounds memory in a redelivery storm.
                held.ack_id = message.ack_id
            elif message.event_id in ledger.landed or message.event_id in ledger.landed_before:
                landed.append(message.ack_id)
            else:
                ledger.held[message.event_id] = message
                admitted.append(message)
        self._progress.duplicates += len(messages) - len(admitted)
        if landed:
            ledger.transport.ack(landed)
        return admitted

    def _let_go(self, ledger: _Ledger, messages: Iterable[Message]) -> list[Message]:
        """Return those of the messages that were in flight, with their newest tokens."""
        pop = ledger.held.pop
        held = [one for message in messages if (one := pop(message.event_id, None)) is not None]
        self._flow.give_back(len(held), size_of(held))
        return held


def _by_transport(messages: Iterable[Message]) -> Iterable[tuple[str, Iterable[Message]]]:
    """Return messages by the transport that brought them; what lands together mostly came by one."""
    messages = list(messages)
    names = {message.subscription for message in messages}
    if len(names) == 1:
        return ((names.pop(), messages),)
    return [(name, [message for message in messages if message.subscription == name]) for name in sorted(names)]


def _complete(ledger: _Ledger, messages: Iterable[Message]) -> Iterable[Message]:
    """Return the messages that no row is missing of any more."""
    return _without_halves(ledger, messages) if ledger.pairs else messages


def _without_halves(ledger: _Ledger, messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        pair = ledger.pairs.get(message.event_id)
        if pair is None:
            yield message
        elif pair.message is message:
            # Of another delivery, which was given back meanwhile, it would say nothing about this one.
            pair.left -= 1
            if not pair.left:
                del ledger.pairs[message.event_id]
                yield message
