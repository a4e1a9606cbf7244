"""How many bytes of messages the readers of a comparison hold at once, all of them together.

A message of the Storage Read API is as long as the service makes it, and is held several times over while it is taken
apart. How long the next one is, nobody says before it has come: it is taken to be as long as the longest so far.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AS_IT_CAME: Final = 4
"""How often a message is held as it came, at most: in the transport's slices, joined, and as bytes, while the client's
iterator still has the one before it (`ReadRowsStream`, which names it until the next one is there)."""

KEPT_BY_CLIENT: Final = 1
"""How often a message is held, as it came, by the client's iterator after its rows were taken."""


class MessageBudget:
    """Bytes that are shared by all readers of a comparison; safe to use from several threads.

    One reader is always let in, however long its message, so that reading goes on whatever the budget is.

    Args:
        limit: bytes of messages in flight, in all the forms they are held in.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._held = 0
        self._readers = 0
        self._longest: int | None = None

    @contextmanager
    def reader(self) -> Iterator["BudgetedReader"]:
        """Take part, with a stream of one's own.

        Yields:
            What asks for room before each message. Whatever it still holds is given back at the end.
        """
        reader = BudgetedReader(self)
        try:
            yield reader
        finally:
            reader.leave()

    def enter(self, kept: int) -> int:
        """Wait until there is room for one more message.

        Args:
            kept: bytes that the caller holds already, and which the room it is given replaces.

        Returns:
            The bytes that are now taken for it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._readers == 0 or self._fits(kept))
            self._readers += 1
            taken = self._longest or 0
            self._held += taken - kept
            return taken

    def settle(self, taken: int, size: int) -> None:
        """Correct what was taken for a message by what it turned out to need.

        Args:
            taken: bytes that were taken for it.
            size: bytes it needs.
        """
        with self._changed:
            self._longest = max(self._longest or 0, size)
            self._held += size - taken
            self._changed.notify_all()

    def leave(self, taken: int, kept: int) -> None:
        """Give a message back: its rows were taken.

        Args:
            taken: bytes that were taken for it.
            kept: bytes of them that are held on to.
        """
        with self._changed:
            self._readers -= 1
            self._held += kept - taken
            self._changed.notify_all()

    def drop(self, kept: int) -> None:
        """Give back what was held on to.

        Args:
            kept: the bytes.
        """
        with self._changed:
            self._held -= kept
            self._changed.notify_all()

    def _fits(self, kept: int) -> bool:
        # Nothing is known before the first message, which therefore comes alone.
        return self._longest is not None and self._held - kept + self._longest <= self._limit


class BudgetedReader:
    """One stream's part in a budget; used by one thread at a time.

    Args:
        budget: the budget.
    """

    def __init__(self, budget: MessageBudget) -> None:
        self._budget = budget
        self._taken: int | None = None
        self._kept = 0

    def await_room(self) -> None:
        """Give back the message before, whose rows were taken by now, and wait until the next one may come."""
        if self._taken is not None:
            self._budget.leave(self._taken, self._kept)
            self._taken = None
        self._taken = self._budget.enter(self._kept)

    def came(self, as_it_came: int, decoded: int) -> None:
        """Say how long the message is.

        Args:
            as_it_came: its bytes on the wire.
            decoded: bytes of its rows in memory.
        """
        if self._taken is None:
            raise RuntimeError("a message came for which no room was asked")
        size = AS_IT_CAME * as_it_came + decoded
        self._budget.settle(self._taken, size)
        self._taken, self._kept = size, KEPT_BY_CLIENT * as_it_came

    def leave(self) -> None:
        """Give everything back."""
        if self._taken is not None:
            self._budget.leave(self._taken, 0)
        else:
            self._budget.drop(self._kept)
        self._taken, self._kept = None, 0
