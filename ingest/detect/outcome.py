"""Where the rows of a table go, and waiting for those to land that no message of their own brought."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from ingest.context import RunContext
from ingest.dead_letters import DeadLetters
from ingest.leases import Leases
from ingest.message import Message
from ingest.row import Landing

_Id = tuple[str, str]


class _Group(msgspec.Struct, gc=False):
    left: int
    done: "asyncio.Future[bool]"
    has_losses: bool = False


class Outcomes:
    """Tells whoever sent some rows when all of them have landed, or have been given up."""

    def __init__(self) -> None:
        self._groups: dict[_Id, _Group] = {}

    def of(self, landings: Sequence[Landing]) -> "asyncio.Future[bool]":
        """Watch rows; call it before they are sent.

        Args:
            landings: the rows, at least one.

        Returns:
            A future that ends once nothing is left to wait for: True when every row has landed.
        """
        group = _Group(len(landings), asyncio.get_running_loop().create_future())
        self._groups.update((_identity(landing), group) for landing in landings)
        return group.done

    def landed(self, landings: Sequence[Landing]) -> None:
        """Take note of rows whose append was confirmed.

        Args:
            landings: rows, watched or not.
        """
        self._count(landings, is_loss=False)

    def lost(self, landings: Sequence[Landing]) -> None:
        """Take note of rows that will not land.

        Args:
            landings: rows, watched or not.
        """
        self._count(landings, is_loss=True)

    def _count(self, landings: Sequence[Landing], *, is_loss: bool) -> None:
        if not self._groups:
            return
        for landing in landings:
            group = self._groups.pop(_identity(landing), None)
            if group is None:
                continue
            group.left -= 1
            group.has_losses = group.has_losses or is_loss
            if not group.left and not group.done.done():
                group.done.set_result(not group.has_losses)


@dataclass(frozen=True)
class Downstream:
    """What comes after detection, for one table.

    Attributes:
        land: appends rows to the table.
        dead_letters: takes what cannot be landed.
        leases: settles messages that are no rows.
        context: the run.
        outcomes: told of every row of the table that has landed, or will not.
    """

    land: Callable[[Sequence[Landing]], None]
    dead_letters: DeadLetters
    leases: Leases
    context: RunContext
    outcomes: Outcomes = field(default_factory=Outcomes)


def inferred_message(cause: Message, event_id: str) -> Message:
    """Return what stands for the message of a row that no message brought.

    Args:
        cause: the message that made somebody infer the row.
        event_id: id of the row.

    Returns:
        A message without a lease: landing its row acknowledges nothing.
    """
    return Message(cause.subscription, cause.topic, event_id, b"", publish_ts=cause.publish_ts)


def _identity(landing: Landing) -> _Id:
    return landing.message.subscription, landing.row.event_id
