"""An object to be loaded, and what its source must offer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from core.errors import DecodeError
from core.pinned import ObjectRef
from ingest.message import Message

State = Literal["loaded", "superseded", "unreadable"]
"""What became of an object: all its rows were landed or dead-lettered; a newer version took its place before it was
read, and is an object of its own; or it was dead-lettered, after those rows that could be read."""

OBJECT_REASONS: Final = frozenset(
    {
        "ambiguous_object",
        "object_missing",
        "object_replaced",
        "unknown_format",
        "unknown_object",
        "unreadable_object",
    }
)
"""Reasons of dead letters about whole objects, and about nothing else."""

NAME: Final = "files"
"""Name of the transport, and the topic of dead letters about objects of which the table is not known."""


@dataclass(frozen=True)
class FoundObject:
    """An object in one version, as its source found it.

    Attributes:
        uri: where it lies.
        path: its path below the place files are read from.
        version: its generation, or ETag without quotes.
        data: body of the notification that told of it; empty for one that was listed.
        attributes: the notification's attributes, or the same for one that was listed.
        found_us: when it was written, or told of, in microseconds since 1970 UTC.
        fault: why it cannot be loaded, when that is known without reading it.
    """

    uri: str
    path: str
    version: str
    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    found_us: int = 0
    fault: DecodeError | None = None

    @property
    def id(self) -> str:
        """`<bucket>/<object>#<generation>`: the event id of the object, and the beginning of those of its rows."""
        return f"{self.uri.partition('://')[2]}#{self.version}"


@dataclass
class ObjectLedger:
    """What is known of an object while it is loaded.

    Attributes:
        found: the object.
        slot: number of this attempt, unlike that of any other: answers to an earlier one are told by it.
        table: its table; None when that is not known.
        ref: what is read; None before it was looked up.
        state: what became of it; None while it is read.
        error: why it is unreadable; empty otherwise.
        rows: rows read.
        unanswered: messages delivered of which nothing was heard yet.
        is_given_back: whether a message was given back, so that the object must be read again.
    """

    found: FoundObject
    slot: int
    table: str | None
    ref: ObjectRef | None = None
    state: State | None = None
    error: str = ""
    rows: int = 0
    unanswered: int = 0
    is_given_back: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it was read to its end, or its fault, and everything of it is answered."""
        return self.state is not None and self.unanswered == 0

    def token(self, row: int) -> str:
        """Return the token that settles a message of it.

        Args:
            row: number of the row; 0 for the object itself.
        """
        return f"{self.slot}:{row}"


Take = Callable[[FoundObject], None]
"""Takes an object in, to be loaded soon; its source is told what came of it, once."""

Refuse = Callable[[Message, DecodeError, str | None], None]
"""Dead-letters a message: why, and for which table it was meant when that is known."""


class ObjectSource(Protocol):
    """Where objects come from, at least once, with an answer for each."""

    @property
    def is_connected(self) -> bool:
        """Whether objects could be found when last looked at."""

    @property
    def is_idle(self) -> bool:
        """Whether every answer has reached the other side, and nothing is known to come."""

    async def check(self) -> None:
        """See `ingest.transport.Transport.check`."""

    async def find_forever(self, take: Take) -> None:
        """Find objects until cancelled.

        Args:
            take: takes each.
        """

    def done(self, found: FoundObject) -> None:
        """Say that an object need not be found again.

        Args:
            found: the object.
        """

    def give_back(self, found: FoundObject) -> None:
        """Say that an object is to be found again, later.

        Args:
            found: the object.
        """

    async def drain(self) -> None:
        """Return when every answer has reached the other side, or is known to be lost."""
