"""Objects that are known by name: a source of files for commands that read some of them again."""

import asyncio

from ingest.context import RunContext
from ingest.files.objects import FoundObject, Take
from ingest.finite import Settlements


class NamedObjects:
    """Some objects, each once: an `ingest.files.objects.ObjectSource`.

    Attributes:
        is_connected: always; which objects they are is known beforehand.
    """

    is_connected = True

    def __init__(self, settlements: Settlements, context: RunContext) -> None:
        """Begin with none.

        Args:
            settlements: takes note of those that are over.
            context: the run.
        """
        self._settlements = settlements
        self._wait_s = context.settings.retry_longest_wait_s
        self._queue: asyncio.Queue[FoundObject] = asyncio.Queue()
        self._open: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}

    @property
    def is_idle(self) -> bool:
        """See `ObjectSource.is_idle`."""
        return not self._open and self._settlements.is_empty

    def add(self, found: FoundObject) -> None:
        """Have an object read, once.

        Args:
            found: the object.
        """
        if found.id not in self._open:
            self._open.add(found.id)
            self._queue.put_nowait(found)

    async def check(self) -> None:
        """See `ObjectSource.check`."""

    async def find_forever(self, take: Take) -> None:
        """See `ObjectSource.find_forever`."""
        while True:
            take(await self._queue.get())

    def done(self, found: FoundObject) -> None:
        """See `ObjectSource.done`."""
        self._open.discard(found.id)
        self._settlements.settle([found.id])

    def give_back(self, found: FoundObject) -> None:
        """See `ObjectSource.give_back`: the store is away, so a while passes before it is asked again."""
        loop = asyncio.get_running_loop()
        self._later[found.id] = loop.call_later(self._wait_s, self._queue.put_nowait, found)

    async def drain(self) -> None:
        """See `ObjectSource.drain`."""
        for timer in self._later.values():
            timer.cancel()
        await self._settlements.drain()
