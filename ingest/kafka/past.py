"""Reading the past of topics beside the group that reads their present.

The partitions are assigned by ourselves: nobody joins the group, no partition moves, and no offset is committed, so the
ingester that runs goes on where it is.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from core.clock import to_micros, utc_now
from core.errors import ConfigurationError, UnavailableError
from ingest.finite import FiniteTransport
from ingest.kafka.cluster import client_logger
from ingest.kafka.errors import kafka_error, translate
from ingest.kafka.ledger import PartitionLedger
from ingest.kafka.ranges import PartitionRange, ranges_since
from ingest.kafka.records import message_of
from ingest.kafka.settings import KafkaSettings
from ingest.message import Message
from ingest.transport import Transport
from ingest.transports import Destination, Surroundings

_log = structlog.get_logger(__name__)

_RECORDS: Final = 1_000
_POLL_S: Final = 0.2
_TIMEOUT_S: Final = 30.0
_PATIENCE_S: Final = 60.0
_NAME: Final = "kafka:past"
_OF_GROUPS: Final = frozenset({"group.instance.id", "partition.assignment.strategy", "auto.offset.reset"})

T = TypeVar("T")


@dataclass(frozen=True)
class Past:
    """The records of some ranges.

    Attributes:
        kafka: where, and as whom.
        ranges: the ranges.
    """

    kafka: KafkaSettings
    ranges: Sequence[PartitionRange]

    async def open(self, destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
        """Return what delivers them: an `ingest.transports.Open`.

        Args:
            destinations: where the messages of each topic go.
            around: what the transport is opened with.
        """
        deliver = {one.topic: one.deliver for one in destinations}
        return [FiniteTransport(_NAME, self.batches, around.context, around.flow, deliver=deliver)]

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Yield the records as messages, in the order of each partition: `ingest.finite.Batches`.

        Raises:
            ConfigurationError: when the user is refused, or a topic is not there.
            UnavailableError: when nothing comes for a minute, though there should be more.
        """
        left = {one.key: one for one in self.ranges if one.begin < one.end}
        # One thread, so that the client is never closed while it is being asked.
        with ThreadPoolExecutor(1, "kafka-past") as thread:

            async def call(function: Callable[..., T], *arguments: Any) -> T:
                return await asyncio.get_running_loop().run_in_executor(thread, function, *arguments)

            consumer = await call(_consumer, self.kafka)
            try:
                await call(
                    consumer.assign, [TopicPartition(one.topic, one.partition, one.begin) for one in left.values()]
                )
                heard_at = time.monotonic()
                while left:
                    records = await call(consumer.consume, _RECORDS, _POLL_S)
                    if records:
                        heard_at = time.monotonic()
                    elif time.monotonic() - heard_at > _PATIENCE_S:
                        raise UnavailableError(
                            f"{len(left)} partitions are silent before their end, such as {next(iter(left.values()))}; "
                            "the command can be repeated"
                        )
                    for batch in _accepted(records, left):
                        yield batch
            finally:
                thread.submit(consumer.close)


def look_up(kafka: KafkaSettings, topics: Sequence[str], since_ms: int) -> list[PartitionRange]:
    """Return where the records of some topics since an instant are. Blocks.

    Args:
        kafka: where, and as whom.
        topics: names of topics that exist.
        since_ms: the instant, in milliseconds since 1970 UTC.

    Raises:
        ConfigurationError: when the user is refused.
        UnavailableError: when the brokers do not answer.
    """
    with _closing(_consumer(kafka)) as consumer:
        try:
            known = consumer.list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException as error:
            raise translate(kafka_error(error), "list topics") from error
        partitions = [(topic, number) for topic in topics for number in sorted(known[topic].partitions)]
        return ranges_since(consumer, partitions, since_ms)


def _consumer(kafka: KafkaSettings) -> Consumer:
    """Return a consumer that is no member of the group whose name it gives, since rights are granted by that name."""
    options = {name: value for name, value in kafka.consumer_options().items() if name not in _OF_GROUPS}
    # What was deleted since the offsets were looked up cannot be had any more.
    try:
        return Consumer(options | {"auto.offset.reset": "earliest", "logger": client_logger()})
    except KafkaException as error:
        raise ConfigurationError(f"Kafka settings are refused: {kafka_error(error).str()}") from error


@contextmanager
def _closing(consumer: Consumer) -> Iterator[Consumer]:
    try:
        yield consumer
    finally:
        consumer.close()


def _accepted(records: Sequence[Record], left: dict[tuple[str, int], PartitionRange]) -> list[list[Message]]:
    """Return the records within their ranges as messages, by topic, and take note of the ranges that are over."""
    by_topic: defaultdict[str, list[Message]] = defaultdict(list)
    now_us = to_micros(utc_now())
    for record in records:
        key = (record.topic() or "", record.partition() or 0)
        within = left.get(key)
        error = record.error()
        if error is not None:
            _look_at(error, key, left)
        elif within is not None:
            offset = record.offset() or 0
            if offset < within.end:
                by_topic[key[0]].append(message_of(_NAME, record, PartitionLedger(*key, slot=0), 1, now_us))
            if offset >= within.end - 1:
                del left[key]
    return list(by_topic.values())


def _look_at(error: KafkaError, key: tuple[str, int], left: dict[tuple[str, int], PartitionRange]) -> None:
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        # Its last offsets may be those of markers of transactions, which nobody is given.
        left.pop(key, None)
        return
    failure = translate(error, f"read {key[0]}-{key[1]}")
    if isinstance(failure, ConfigurationError):
        raise failure
    # The client goes on by itself.
    _log.warning("kafka", error=str(failure))
