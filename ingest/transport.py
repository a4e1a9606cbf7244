"""What every way of receiving messages has in common.

A transport brings messages and is told what became of each. It knows nothing of tables, rows or BigQuery; the stages
know nothing of subscriptions, partitions or files. A new transport is one module that offers this. It is made with a
`Deliver` and the run's `ingest.flow.FlowControl`, and hands messages over by `await flow.deliver(messages, deliver)`,
which waits until they may come in; one that must answer at once asks `flow.has_room(count, bytes)` instead.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ingest.message import Message

Deliver = Callable[[Sequence[Message]], None]
"""Takes in the messages that arrived together; each comes from one transport and is settled with it, once."""


class Transport(Protocol):
    """A source of messages, at least once, with an answer for each."""

    @property
    def name(self) -> str:
        """What tells it from the other transports of the run; every message carries it as `subscription`."""

    @property
    def is_connected(self) -> bool:
        """Whether messages could arrive when last looked at."""

    @property
    def is_idle(self) -> bool:
        """Whether every answer given so far has reached the other side."""

    async def check(self) -> None:
        """Make sure that it is there and may be read.

        Raises:
            ConfigurationError: when it does not exist or may not be read.
            UnavailableError: when it does not answer.
        """

    async def pull_forever(self) -> None:
        """Deliver messages until cancelled, through every failure that may pass.

        Raises:
            ConfigurationError: when it is refused for good.
        """

    def ack(self, ack_ids: Sequence[str]) -> None:
        """Say, soon, that messages are safe: they need not come again.

        Args:
            ack_ids: their tokens.
        """

    def nack(self, ack_ids: Sequence[str]) -> None:
        """Give messages back, soon: they are to come again.

        Args:
            ack_ids: their tokens.
        """

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """Keep messages from being delivered again while they are being worked on.

        Args:
            ack_ids: their tokens.
        """

    async def drain(self) -> None:
        """Return when every answer given so far has reached the other side, or is known to be lost."""
