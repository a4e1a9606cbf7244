"""Micro-batches: items gathered until there are enough of them, or the first has waited long enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ingest.pace import Pace

T = TypeVar("T")


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is sent.

    Attributes:
        items: items at which it is sent; a batch holds no more while it can be sent at once.
        wait_s: how long its first item waits, in seconds.
        size: bytes at which it is sent; None when bytes do not matter.
        concurrency: batches being sent at once.
        most_items: items of a batch that cannot be sent yet, at most; None for no more than others.
    """

    items: int
    wait_s: float
    size: int | None = None
    concurrency: int = 4
    most_items: int | None = None


class MicroBatches(Generic[T]):
    """Gathers items into batches and sends them in tasks of their own.

    While as many batches are being sent as may be, the next one goes on gathering: that makes the batches of a slow
    receiver large. Nothing here limits how many items wait: that is flow control's task, which counts them before they
    get here.
    """

    def __init__(
        self,
        send: Callable[[list[T]], Awaitable[None]],
        limits: BatchLimits,
        fail: Callable[[BaseException], None],
        pace: Pace | None = None,
    ) -> None:
        """Prepare an empty batch.

        Args:
            send: takes a batch; called in a task.
            limits: when a batch is sent.
            fail: told of an error that `send` raised; the batch is lost to this object then.
            pace: says how long a first item waits; None for what the limits say.
        """
        self._send = send
        self._limits = limits
        self._most_items = max(limits.items, limits.most_items or 0)
        self._fail = fail
        self._pace = pace
        self._items: list[T] = []
        self._size = 0
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(limits.concurrency)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being sent."""
        return not self._items and not self._tasks

    @property
    def waiting(self) -> int:
        """Items that are not being sent yet."""
        return len(self._items)

    def add(self, item: T, size: int = 0) -> None:
        """Add an item; must be called in the event loop.

        Args:
            item: what to send.
            size: its bytes, when the limits count them.
        """
        self._items.append(item)
        self._size += size
        self._look()

    def add_all(self, items: Sequence[T], size: int = 0) -> None:
        """Add items that arrived together, at the cost of one; must be called in the event loop.

        Args:
            items: what to send, in order.
            size: their bytes together, when the limits count them; of a part of them each counts alike.
        """
        while items:
            count = len(items)
            room = (self._most_items if self._is_busy else self._limits.items) - len(self._items)
            if self._limits.size is not None and size:
                # Those that come before the batch is heavy enough, and the one by which it becomes so.
                room = min(room, -(-(self._limits.size - self._size) * count // size))
            taken = min(count, max(1, room))
            part = size * taken // count
            self._items += items if taken == count else items[:taken]
            self._size += part
            self._look()
            items, size = items[taken:], size - part

    def flush(self) -> None:
        """Send what waits, without waiting for the answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_due = False
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

    @property
    def _is_busy(self) -> bool:
        """Whether a batch that is sent now would have to wait for another one."""
        return len(self._tasks) >= self._limits.concurrency

    def _look(self) -> None:
        """Send what waits when it is enough, and see to it that it is sent some time."""
        limits = self._limits
        is_heavy = limits.size is not None and self._size >= limits.size
        if is_heavy or len(self._items) >= self._most_items:
            self.flush()
        elif len(self._items) >= limits.items:
            self._become_due()
        elif self._timer is None and not self._is_due:
            wait_s = limits.wait_s if self._pace is None else self._pace.wait_s
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._become_due)

    def _become_due(self) -> None:
        self._is_due = True
        if not self._is_busy:
            self.flush()

    async def _run(self, items: list[T]) -> None:
        async with self._slots:
            began = time.monotonic()
            await self._send(items)
        if self._pace is not None:
            self._pace.note(time.monotonic() - began, is_behind=self._is_due)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        if self._is_due and not self._is_busy:
            self.flush()
