"""Flow control: how much of what was received may be on its way at once, in messages and in bytes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ingest.message import Message, size_of


@dataclass(frozen=True)
class _Waiting:
    messages: int
    size: int
    turn: asyncio.Future[None]


class FlowControl:
    """Counts what is in flight and makes transports wait while it is too much.

    What is in flight never exceeds the limits; only a single message that is over them by itself passes alone.

    Attributes:
        messages: messages in flight.
        size: bytes in flight.
        peak_messages: the most messages that ever were in flight.
        peak_size: the most bytes that ever were in flight.
    """

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        """Begin with nothing in flight.

        Args:
            most_messages: messages in flight at most.
            most_bytes: bytes in flight at most.
        """
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self.messages = self.size = 0
        self.peak_messages = self.peak_size = 0
        self._kept_messages = self._kept_bytes = 0
        self._waiting: deque[_Waiting] = deque()

    def has_room(self, messages: int = 1, size: int = 0) -> bool:
        """Tell whether messages may come in now, without waiting and without a place in the queue.

        Args:
            messages: how many.
            size: their bytes together.
        """
        return not self._waiting and self._fits(messages, size)

    def take(self, messages: int, size: int) -> None:
        """Count messages in; who brings them asked for their room before.

        Args:
            messages: how many.
            size: their bytes together.
        """
        self.messages += messages
        self.size += size
        self.peak_messages = max(self.peak_messages, self.messages)
        self.peak_size = max(self.peak_size, self.size)

    def give_back(self, messages: int, size: int) -> None:
        """Count messages out, and let in who waits for their room.

        Args:
            messages: how many.
            size: their bytes together.
        """
        self.messages -= messages
        self.size -= size
        self._let_in()

    @asynccontextmanager
    async def room(self, messages: int = 1, size: int = 0) -> AsyncIterator[None]:
        """Wait for room, first come first served, and keep it while the context lasts.

        Args:
            messages: how many are to come in; more than the limit means the limit.
            size: their bytes together; likewise.
        """
        messages, size = min(messages, self._most_messages), min(size, self._most_bytes)
        if self.has_room(messages, size):
            self._kept_messages += messages
            self._kept_bytes += size
        else:
            await self._wait(messages, size)
        try:
            yield
        finally:
            self._give_up(messages, size)

    async def deliver(self, messages: Sequence[Message], deliver: Callable[[Sequence[Message]], None]) -> None:
        """Hand messages on as room for them becomes free.

        Args:
            messages: in order; those that may not be in flight together go one part after the other.
            deliver: takes a part, and counts it in.
        """
        start = 0
        while start < len(messages):
            count, size = self._first_part(messages, start)
            async with self.room(count, size):
                deliver(messages[start : start + count] if count < len(messages) else messages)
            start += count

    def _first_part(self, messages: Sequence[Message], start: int) -> tuple[int, int]:
        """Return how many messages from a place on may be in flight together, one at least, and their bytes."""
        part = messages[start : start + self._most_messages]
        size = size_of(part)
        count = len(part)
        while size > self._most_bytes and count > 1:
            count -= 1
            size -= part[count].size
        return count, size

    def _fits(self, messages: int, size: int) -> bool:
        held_messages, held_bytes = self.messages + self._kept_messages, self.size + self._kept_bytes
        if held_messages == 0:
            return True
        return held_messages + messages <= self._most_messages and held_bytes + size <= self._most_bytes

    async def _wait(self, messages: int, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(messages, size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_up(messages, size)
            else:
                self._waiting = deque(waiting for waiting in self._waiting if waiting.turn is not turn)
                self._let_in()
            raise

    def _give_up(self, messages: int, size: int) -> None:
        self._kept_messages -= messages
        self._kept_bytes -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting[0].messages, self._waiting[0].size):
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                self._kept_messages += waiting.messages
                self._kept_bytes += waiting.size
                waiting.turn.set_result(None)
