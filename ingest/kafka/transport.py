"""Consuming as a member of a consumer group; offsets are committed only past what has landed.

All calls of the client go through one coroutine, so that none waits for another; the client blocks in threads of its
own. While there is no room for more messages the partitions are paused and polling goes on: who stops polling is put
out of the group. See https://docs.confluent.io/platform/current/clients/librdkafka/html/md_INTRODUCTION.html.
"""

import asyncio
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record
from confluent_kafka.aio import AIOConsumer

from core.clock import to_micros
from core.errors import ConfigurationError, MillraceError, UnavailableError
from core.retry import retrying_async
from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.kafka.assignment import Assignment
from ingest.kafka.cluster import check_topics, client_logger
from ingest.kafka.errors import kafka_error, translate
from ingest.kafka.ledger import PartitionLedger
from ingest.kafka.records import message_of
from ingest.kafka.settings import KafkaSettings
from ingest.message import Message
from ingest.transport import Deliver

_log = structlog.get_logger(__name__)

_POLL_S: Final = 0.1
_DRAIN_POLL_S: Final = 0.02
_RECORDS: Final = 1_000
_CHECK_ATTEMPTS: Final = 5
_COMMIT_ATTEMPTS: Final = 4
_CLOSE_S: Final = 5.0
_PASSING: Final = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION)
"""Refusals of a commit that belong to every rebalance."""
_WORKERS: Final = 4
"""Threads of the client: a call, what its callback calls, and two to spare; they are started when first needed."""


class KafkaTransport:
    """A consumer group's share of some topics: an `ingest.transport.Transport`. Open it with `open_kafka`.

    Attributes:
        name: `kafka:<group>`.
    """

    def __init__(
        self, kafka: KafkaSettings, context: RunContext, flow: FlowControl, deliver: Mapping[str, Deliver]
    ) -> None:
        """Connect; must be called in the event loop.

        Args:
            kafka: where, and as whom.
            context: the run.
            flow: makes the partitions pause while too much is in flight.
            deliver: what takes the messages of each topic.
        """
        self.name = transport_name(kafka)
        self._kafka = kafka
        self._context = context
        self._flow = flow
        self._deliver_to = deliver
        self._assignment = Assignment(context.settings.retry_policy(sys.maxsize))
        self._in_use = asyncio.Lock()
        self._pending: deque[tuple[str, list[Message]]] = deque()
        self._delivery: asyncio.Task[None] | None = None
        self._commit_at = 0.0
        self._failed_commits = 0
        self._is_closing = False
        self._failure: MillraceError | None = None
        options = kafka.consumer_options()
        options |= {"error_cb": self._on_error, "on_commit": self._on_commit, "logger": client_logger()}
        self._consumer = AIOConsumer(options, max_workers=_WORKERS)

    @property
    def is_connected(self) -> bool:
        """Whether the group has given its partitions out, and each of ours has answered."""
        return self._assignment.has_joined and all(ledger.is_read for ledger in self._assignment)

    @property
    def is_idle(self) -> bool:
        """Whether everything settled is committed, and nothing is to be fetched again."""
        return not self._pending and all(
            ledger.is_committed and ledger.to_seek() is None for ledger in self._assignment
        )

    async def check(self) -> None:
        """See `Transport.check`."""

        async def attempt() -> None:
            await asyncio.to_thread(check_topics, self._kafka, tuple(self._deliver_to))

        await retrying_async(self._context.settings.retry_policy(_CHECK_ATTEMPTS), "look up Kafka topics")(attempt)

    async def pull_forever(self) -> None:
        """See `Transport.pull_forever`."""
        policy = self._context.settings.retry_policy(sys.maxsize)
        async with self._in_use:
            try:
                await retrying_async(policy, "join the consumer group")(self._subscribe)
                while True:
                    await retrying_async(policy, f"consume {self.name}")(self._consume)
            finally:
                await self._drop_pending()

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.ack`; answers to what another member has by now are without effect."""
        self._assignment.settle(ack_ids)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.nack`: the partition is read again from there, and what is not given back is left out."""
        self._context.progress.nacked += self._assignment.give_back(ack_ids)

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.extend`; a partition is leased by the heartbeats that the client sends itself."""

    async def drain(self) -> None:
        """See `Transport.drain`."""
        if self._in_use.locked():
            await self._wait_until_idle()
            return
        async with self._in_use:
            self._failed_commits = 0
            with suppress(KafkaException):
                await self._pause(self._assignment)
            while self._failed_commits < _COMMIT_ATTEMPTS and any(
                ledger.due or ledger.requested is not None for ledger in self._assignment
            ):
                await self._commit()
                # Records that slip through are not delivered, so they are not committed either.
                await self._consumer.poll(_DRAIN_POLL_S)

    async def _wait_until_idle(self) -> None:
        """Wait while pulling goes on, and commits with it."""
        while not self.is_idle:  # noqa: ASYNC110 - the client tells of its answers only when it is polled
            await asyncio.sleep(_DRAIN_POLL_S)

    async def close(self) -> None:
        """Leave the group: others take the partitions over at once."""
        self._is_closing = True
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._consumer.close()
        except (TimeoutError, KafkaException, RuntimeError) as error:
            _log.warning("left the consumer group without saying so", error=repr(error))

    async def _subscribe(self) -> None:
        try:
            await self._consumer.subscribe(
                list(self._deliver_to), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        except KafkaException as error:
            raise translate(kafka_error(error), f"subscribe to {', '.join(self._deliver_to)}") from error

    async def _consume(self) -> None:
        """Fetch and deliver until something fails; return normally when it was of use before."""
        useful = False
        try:
            while True:
                useful |= await self._turn()
        except KafkaException as error:
            failure = translate(kafka_error(error), f"consume {self.name}")
            if not (useful and failure.retryable):
                raise failure from error
        except UnavailableError:
            if not useful:
                raise

    async def _turn(self) -> bool:
        """Do once all that there is to do; return whether records came."""
        if self._failure is not None:
            raise self._failure
        if time.monotonic() >= self._commit_at:
            await self._commit()
        await self._seek_back()
        await self._regulate()
        records = await self._fetch()
        by_topic = self._accept(records)
        self._pending.extend(by_topic.items())
        return bool(by_topic)

    async def _fetch(self) -> list[Record]:
        first = await self._consumer.poll(_POLL_S)
        # What is there already, without waiting for more.
        return [] if first is None else [first, *await self._consumer.consume(_RECORDS - 1, timeout=0)]

    def _accept(self, records: Iterable[Record]) -> dict[str, list[Message]]:
        by_topic: defaultdict[str, list[Message]] = defaultdict(list)
        now_us = to_micros(self._context.clock())
        for record in records:
            ledger = self._assignment.get(record.topic(), record.partition())
            error = record.error()
            if error is not None:
                self._look_at(error, ledger)
            elif ledger is not None and (delivery := ledger.take(record.offset() or 0)):
                by_topic[ledger.topic].append(message_of(self.name, record, ledger, delivery, now_us))
        return by_topic

    def _look_at(self, error: KafkaError, ledger: PartitionLedger | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            if ledger is not None:
                ledger.is_read = True
            return
        failure = translate(error, f"consume {self.name}")
        if isinstance(failure, ConfigurationError):
            self._failure = failure
        else:
            # The client goes on by itself.
            _log.warning("kafka", error=str(failure))

    async def _regulate(self) -> None:
        """Deliver what was fetched, and pause the partitions for as long as there is no room for it."""
        if self._pending and self._delivery is None:
            self._delivery = asyncio.create_task(self._deliver_pending())
        if self._delivery is not None:
            await asyncio.wait({self._delivery}, timeout=0)
            if self._delivery.done():
                self._delivery.result()
                self._delivery = None
        if self._delivery is None:
            await self._resume()
        else:
            await self._pause(self._assignment)

    async def _deliver_pending(self) -> None:
        while self._pending:
            topic, messages = self._pending[0]
            await self._flow.deliver(messages, self._deliver_to[topic])
            self._pending.popleft()

    async def _drop_pending(self) -> None:
        """Stop delivering; what was not delivered is not settled, so it comes again to whoever is next."""
        if self._delivery is not None:
            self._delivery.cancel()
            await asyncio.wait({self._delivery})
        for _, messages in self._pending:
            self._assignment.give_back([message.ack_id for message in messages])
        self._pending.clear()

    async def _pause(self, ledgers: Iterable[PartitionLedger]) -> None:
        running = [ledger for ledger in ledgers if not ledger.is_paused]
        if running:
            await self._consumer.pause([TopicPartition(one.topic, one.partition) for one in running])
            for ledger in running:
                ledger.is_paused = True

    async def _resume(self) -> None:
        paused = [ledger for ledger in self._assignment if ledger.is_paused]
        if paused:
            await self._consumer.resume([TopicPartition(one.topic, one.partition) for one in paused])
            for ledger in paused:
                ledger.is_paused = False

    async def _seek_back(self) -> None:
        now = time.monotonic()
        for ledger in self._assignment:
            offset = ledger.to_seek()
            if offset is not None and now >= ledger.retry_at:
                try:
                    await self._consumer.seek(TopicPartition(ledger.topic, ledger.partition, offset))
                except KafkaException as error:
                    # Fetching of the partition has not begun again since it was assigned.
                    _log.debug("cannot seek yet", topic=ledger.topic, partition=ledger.partition, error=str(error))
                    ledger.retry_at = now + self._context.settings.retry_first_wait_s
                else:
                    ledger.sought(offset)

    async def _commit(self) -> None:
        """Ask for the commit of what has landed since the last; the answer comes with a later poll."""
        self._commit_at = time.monotonic() + self._kafka.commit_ms / 1_000
        due = [ledger for ledger in self._assignment if ledger.due and ledger.requested is None]
        await self._commit_offsets(due, asynchronous=True)

    async def _commit_offsets(self, due: Sequence[PartitionLedger], *, asynchronous: bool) -> None:
        if not due:
            return
        self._context.failpoint.hit("before_ack", sum([ledger.request() for ledger in due]))
        offsets = [TopicPartition(one.topic, one.partition, one.requested or 0) for one in due]
        try:
            await self._consumer.commit(offsets=offsets, asynchronous=asynchronous)
        except KafkaException as error:
            await self._on_commit(kafka_error(error), offsets)
        else:
            if not asynchronous:
                await self._on_commit(None, offsets)

    async def _on_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        """Take note of the answer to a commit."""
        for one in offsets:
            ledger = self._assignment.get(one.topic, one.partition)
            if ledger is None or ledger.requested != one.offset:
                continue
            failure = error or one.error
            if failure is None:
                messages = ledger.confirm()
                self._failed_commits = 0
                self._context.progress.acked += messages
                self._context.failpoint.hit("after_ack", messages)
            else:
                ledger.requested = None
                self._note_failed_commit(failure)

    def _note_failed_commit(self, error: KafkaError) -> None:
        self._failed_commits += 1
        # It is asked for again with the next one; until then a crash costs redeliveries, never a message.
        log = _log.info if error.code() in _PASSING else _log.warning
        log("offsets not committed yet", group=self._kafka.group_id, error=error.str())

    async def _on_assign(self, _: AIOConsumer, partitions: Sequence[TopicPartition]) -> None:
        self._assignment.add(partitions)
        _log.info("partitions assigned", group=self._kafka.group_id, partitions=_names(partitions))

    async def _on_revoke(self, _: AIOConsumer, partitions: Sequence[TopicPartition]) -> None:
        """Hand partitions over: let what is in flight land, commit it, and forget the rest."""
        ledgers = self._assignment.among(partitions)
        try:
            async with asyncio.timeout(self._kafka.revoke_wait_s):
                if not self._is_closing:
                    await self._assignment.all_answered(ledgers)
        except TimeoutError:
            _log.warning("handed over before all had landed: redelivery expected", partitions=_names(partitions))
        await self._commit_offsets([ledger for ledger in ledgers if not ledger.is_committed], asynchronous=False)
        self._assignment.forget(ledgers)
        _log.info("partitions handed over", group=self._kafka.group_id, partitions=_names(partitions))

    async def _on_lost(self, _: AIOConsumer, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions that others may have by now; nothing can be committed for them."""
        self._assignment.forget(self._assignment.among(partitions))
        _log.warning("partitions lost: redelivery expected", group=self._kafka.group_id, partitions=_names(partitions))

    async def _on_error(self, error: KafkaError) -> None:
        self._look_at(error, None)


@asynccontextmanager
async def open_kafka(
    kafka: KafkaSettings, context: RunContext, flow: FlowControl, deliver: Mapping[str, Deliver]
) -> AsyncIterator[KafkaTransport]:
    """Connect to Kafka; at the end the group is left.

    Args:
        kafka: where, and as whom.
        context: the run.
        flow: makes the partitions pause while too much is in flight.
        deliver: what takes the messages of each topic.

    Yields:
        The transport; it joins the group when it is pulled.

    Raises:
        ConfigurationError: when the client refuses the settings.
    """
    try:
        transport = KafkaTransport(kafka, context, flow, deliver)
    except KafkaException as error:
        raise ConfigurationError(f"Kafka settings are refused: {kafka_error(error).str()}") from error
    try:
        yield transport
    finally:
        await transport.close()


def transport_name(kafka: KafkaSettings) -> str:
    """Return the name of the transport of a group.

    Args:
        kafka: names the group.
    """
    return f"kafka:{kafka.group_id}"


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{one.topic}-{one.partition}" for one in partitions]
