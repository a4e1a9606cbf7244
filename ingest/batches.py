"""Micro-batches: items gathered until there are enough of them, or the first has waited long enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is sent.

    Attributes:
        items: items of a batch at most.
        wait_s: how long its first item waits, in seconds.
        size: bytes at which it is sent; None when bytes do not matter.
        concurrency: batches being sent at once.
    """

    items: int
    wait_s: float
    size: int | None = None
    concurrency: int = 4


class MicroBatches(Generic[T]):
    """Gathers items into batches and sends them in tasks of their own.

    Nothing here limits how many items wait: that is flow control's task, which counts them before they get here.
    """

    def __init__(
        self,
        send: Callable[[list[T]], Awaitable[None]],
        limits: BatchLimits,
        fail: Callable[[BaseException], None],
    ) -> None:
        """Prepare an empty batch.

        Args:
            send: takes a batch; called in a task.
            limits: when a batch is sent.
            fail: told of an error that `send` raised; the batch is lost to this object then.
        """
        self._send = send
        self._limits = limits
        self._fail = fail
        self._items: list[T] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(limits.concurrency)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being sent."""
        return not self._items and not self._tasks

    def add(self, item: T, size: int = 0) -> None:
        """Add an item; must be called in the event loop.

        Args:
            item: what to send.
            size: its bytes, when the limits count them.
        """
        self._items.append(item)
        self._size += size
        limits = self._limits
        if len(self._items) >= limits.items or (limits.size is not None and self._size >= limits.size):
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.wait_s, self.flush)

    def add_all(self, items: Sequence[T], size: int = 0) -> None:
        """Add items that arrived together, at the cost of one; must be called in the event loop.

        Args:
            items: what to send, in order.
            size: their bytes together, when the limits count them; of a part of them each counts alike.
        """
        limits, count = self._limits, len(items)
        if count == 0:
            return
        room = limits.items - len(self._items)
        if limits.size is not None and size:
            # Those that come before the batch is heavy enough, and the one by which it becomes so.
            room = min(room, max(1, -(-(limits.size - self._size) * count // size)))
        if count > room:
            part = size * room // count
            self.add_all(items[:room], part)
            self.add_all(items[room:], size - part)
            return
        self._items += items
        self._size += size
        if len(self._items) >= limits.items or (limits.size is not None and self._size >= limits.size):
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(limits.wait_s, self.flush)

    def flush(self) -> None:
        """Send what waits, without waiting for the answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._items:
            return
        items, self._items, self._size = self._items, [], 0
        task = asyncio.get_running_loop().create_task(self._run(items))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self) -> None:
        """Send what waits and return when all of it has been answered."""
        self.flush()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Give up what waits and what is being sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._items = []
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, items: list[T]) -> None:
        async with self._slots:
            await self._send(items)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
