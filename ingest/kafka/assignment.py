"""The partitions a member of the group has at the moment, and the answers to what came from them."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from confluent_kafka import TopicPartition

from core.retry import RetryPolicy
from ingest.kafka.ledger import PartitionLedger
from ingest.kafka.records import read_token


class Assignment:
    """The ledgers of our partitions.

    Attributes:
        has_joined: whether the group has given partitions out to us, if only none.
    """

    def __init__(self, patience: RetryPolicy) -> None:
        """Begin with no partition.

        Args:
            patience: how long what was given back waits before it is fetched again.
        """
        self.has_joined = False
        self._patience = patience
        self._ledgers: dict[tuple[str, int], PartitionLedger] = {}
        self._slots: dict[int, PartitionLedger] = {}
        self._numbers = count(1)
        self._answered = asyncio.Event()

    def __iter__(self) -> Iterator[PartitionLedger]:
        # A copy: partitions come and go while somebody waits in the middle of them.
        return iter(list(self._ledgers.values()))

    def get(self, topic: str | None, partition: int | None) -> PartitionLedger | None:
        """Return the ledger of a partition; None when it is not ours.

        Args:
            topic: name of the topic.
            partition: number of the partition.
        """
        return self._ledgers.get((topic or "", partition or 0))

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin ledgers for partitions that were assigned.

        Args:
            partitions: what the group gave us.
        """
        self.has_joined = True
        for one in partitions:
            ledger = PartitionLedger(one.topic, one.partition, next(self._numbers))
            self._ledgers[one.topic, one.partition] = self._slots[ledger.slot] = ledger

    def among(self, partitions: Iterable[TopicPartition]) -> list[PartitionLedger]:
        """Return the ledgers of those partitions that are ours.

        Args:
            partitions: what the group speaks of.
        """
        return [ledger for one in partitions if (ledger := self.get(one.topic, one.partition)) is not None]

    def forget(self, ledgers: Iterable[PartitionLedger]) -> None:
        """End ledgers; later answers to their messages are without effect.

        Args:
            ledgers: of the partitions that are not ours any more.
        """
        for ledger in ledgers:
            del self._slots[ledger.slot], self._ledgers[ledger.topic, ledger.partition]

    def settle(self, tokens: Iterable[str]) -> None:
        """Take note that messages are safe.

        Args:
            tokens: of their deliveries.
        """
        for token in tokens:
            slot, offset = read_token(token)
            if (ledger := self._slots.get(slot)) is not None:
                ledger.settle(offset)
        self._answered.set()

    def give_back(self, tokens: Iterable[str]) -> int:
        """Take note that messages are to come again, after a wait that doubles with each of their deliveries.

        Args:
            tokens: of their deliveries.

        Returns:
            How many of them will.
        """
        given_back = 0
        for token in tokens:
            slot, offset = read_token(token)
            ledger = self._slots.get(slot)
            if ledger is not None and (deliveries := ledger.give_back(offset)):
                given_back += 1
                # Refused again and again, a message must not have its partition read in circles.
                wait_s = self._patience.first_wait_s * 2 ** min(deliveries - 1, 30)
                ledger.retry_at = time.monotonic() + min(self._patience.longest_wait_s, wait_s)
        self._answered.set()
        return given_back

    async def all_answered(self, ledgers: Sequence[PartitionLedger]) -> None:
        """Return once there is an answer to everything that was delivered.

        Args:
            ledgers: of the partitions in question.
        """
        while any(ledger.in_flight for ledger in ledgers):
            self._answered.clear()
            await self._answered.wait()
