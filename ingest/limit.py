"""How many messages a run may take in, and which: `ingest run --limit`, `ingest replay --to`."""

from collections.abc import Callable, Sequence

from ingest.message import Message


def _nothing() -> None:
    """Nobody wants to know."""


class ReceiveLimit:
    """Lets a number of deliveries in, and turns back the rest."""

    def __init__(self, most: int | None = None, reached: Callable[[], None] = _nothing) -> None:
        """Begin with none let in.

        Args:
            most: deliveries let in; None for any number.
            reached: called when that many were let in.
        """
        self._left = most
        self._reached = reached

    def split(self, messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
        """Let messages in, as long as there is room for them.

        Args:
            messages: what was delivered.

        Returns:
            Those let in, and those that must be given back.
        """
        if self._left is None:
            return messages, ()
        taken, surplus = messages[: self._left], messages[self._left :]
        self._left -= len(taken)
        if self._left == 0:
            self._reached()
        return taken, surplus


class PublishWindow:
    """Lets in what was published within a window: `ingest replay --to`."""

    def __init__(self, begin: int | None = None, end: int | None = None) -> None:
        """Set the window.

        Args:
            begin: first instant within it, in microseconds since 1970 UTC; None for no window at all.
            end: first instant after it, likewise; None for no end.
        """
        self._begin = begin
        self._end = end

    def split(self, messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
        """Let in what was published within the window.

        Args:
            messages: what was delivered.

        Returns:
            Those within it, and those outside it.
        """
        begin, end = self._begin, self._end
        if begin is None:
            return messages, ()
        inside = [one for one in messages if one.publish_ts >= begin and (end is None or one.publish_ts < end)]
        if len(inside) == len(messages):
            return messages, ()
        within = {id(one) for one in inside}
        return inside, [one for one in messages if id(one) not in within]
