"""Offsets of a partition: which were delivered, which are settled, and up to where the group may commit.

Kafka keeps one number per partition and group, the offset to go on from. Messages are settled in any order, so the
number to commit is that of the first message that is not: a crash then repeats messages, and loses none.
"""

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass
class _Unsettled:
    ordinal: int
    deliveries: int = 1


@dataclass
class PartitionLedger:
    """The offsets of one partition, from its assignment to its revocation.

    Memory grows with the messages in flight only, not with the distance between the first of them and the last.

    Attributes:
        topic: name of the topic.
        partition: number of the partition.
        slot: number of this assignment, unlike that of any other: answers to an earlier one are told by it.
        position: the offset after the last that was delivered; None before the first.
        is_read: whether the brokers have answered a fetch, be it that there is nothing.
        is_paused: whether nothing is fetched of it for now.
        requested: the offset that a commit under way names; None when none is.
        committed: the offset last confirmed; None before the first.
        retry_at: when what was given back may be fetched again, on the monotonic clock, in seconds.
    """

    topic: str
    partition: int
    slot: int
    position: int | None = None
    is_read: bool = False
    is_paused: bool = False
    requested: int | None = None
    committed: int | None = None
    retry_at: float = 0.0
    _delivered: int = field(default=0, init=False)
    _named: int = field(default=0, init=False)
    _confirmed: int = field(default=0, init=False)
    # In the order of offsets. Not a dict, whose first key is slow to find after many removals from its front.
    _unsettled: OrderedDict[int, _Unsettled] = field(default_factory=OrderedDict, init=False)
    _given_back: set[int] = field(default_factory=set, init=False)
    _sought: set[int] = field(default_factory=set, init=False)

    @property
    def in_flight(self) -> int:
        """Messages delivered of which nothing was heard yet."""
        return len(self._unsettled) - len(self._given_back)

    @property
    def low_water(self) -> int | None:
        """The offset of the first message that is not settled, else the position; None before the first delivery."""
        return next(iter(self._unsettled)) if self._unsettled else self.position

    @property
    def is_committed(self) -> bool:
        """Whether everything that may be committed is."""
        return self.low_water == self.committed

    @property
    def due(self) -> bool:
        """Whether there is something to commit that no commit under way names."""
        low = self.low_water
        return low is not None and low not in (self.committed, self.requested)

    def take(self, offset: int) -> int:
        """Take note of a fetched message.

        Args:
            offset: its offset.

        Returns:
            Which delivery of it this is, from 1; 0 when it must not be delivered, being settled or in flight.
        """
        self.is_read = True
        self._forget_missing(offset)
        if self.position is None or offset >= self.position:
            self._unsettled[offset] = _Unsettled(self._delivered)
            self._delivered += 1
            self.position = offset + 1
            return 1
        if offset in self._given_back:
            self._given_back.discard(offset)
            self._sought.discard(offset)
            message = self._unsettled[offset]
            message.deliveries += 1
            return message.deliveries
        return 0

    def settle(self, offset: int) -> None:
        """Take note that a message is safe.

        Args:
            offset: its offset; one that is settled already changes nothing.
        """
        self._unsettled.pop(offset, None)
        self._given_back.discard(offset)
        self._sought.discard(offset)

    def give_back(self, offset: int) -> int:
        """Take note that a message is to be delivered again.

        Args:
            offset: its offset.

        Returns:
            How often it was delivered so far; 0 when it is settled.
        """
        message = self._unsettled.get(offset)
        if message is None:
            return 0
        self._given_back.add(offset)
        return message.deliveries

    def request(self) -> int:
        """Take note that `low_water` is about to be committed.

        Returns:
            How many messages that settles which were not settled by a commit before.
        """
        self.requested = self.low_water
        self._named = next(iter(self._unsettled.values())).ordinal if self._unsettled else self._delivered
        return self._named - self._confirmed

    def confirm(self) -> int:
        """Take note that the commit requested last is confirmed.

        Returns:
            How many messages that settled.
        """
        self.committed, self.requested = self.requested, None
        before, self._confirmed = self._confirmed, self._named
        return self._confirmed - before

    def to_seek(self) -> int | None:
        """Return the offset to fetch from, so that all that was given back comes again; None when nothing was."""
        # A seek replaces the one before, so it must reach what that one was for and has not come yet.
        return min(self._given_back) if self._given_back - self._sought else None

    def sought(self, offset: int) -> None:
        """Take note that fetching goes on from an offset.

        Args:
            offset: the offset.
        """
        self._sought |= {one for one in self._given_back if one >= offset}

    def _forget_missing(self, offset: int) -> None:
        """Settle what was fetched again and is not there any more: compacted away, or too old."""
        if self._sought:
            for missing in [one for one in self._sought if one < offset]:
                self.settle(missing)
