"""How many messages a run may take in: `ingest run --limit`."""

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
