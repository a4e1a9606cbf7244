"""Publishing dead letters again, as they were, each once.

They go to where the ingester takes its messages from: to Pub/Sub, or to Kafka (`ingest.dead_letters.file_replay` is for
files). What tells of a whole file is no message of a table, and is left alone.

A ledger, `audit.dead_letter_replays`, says what was published again; it is asked before and written after. Between the
two a crash can cost a repetition of one batch. It does no harm: a repeated change has the key and the position of the
first, and structure merges by these; a repeated notification fetches the same row once more. A row that only its
publication puts in order keeps the place of its first one, which the message says (`ingest.first_publication`).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Final

from core.batches import MOST_BYTES, batches
from core.clock import Clock, to_micros, utc_now
from core.errors import UnreadableError
from core.retry import RetryPolicy
from core.settings import Settings
from ingest.append import AppendStream, TableWriter
from ingest.dead_letters.archive import Archive, Letter
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.outcome import Replayed, ledger_row
from ingest.dead_letters.publishing import Outgoing, Publisher, PubSubPublisher, Refusal
from ingest.dead_letters.tables import DEAD_LETTER_REPLAYS, REPLAY_TYPE
from ingest.files.objects import NAME, OBJECT_REASONS
from ingest.first_publication import replay_attributes
from ingest.resources import table_path
from ingest.rpc import BigQueryWrite, PubSub, pubsub_channel, storage_channel

_BATCH_MESSAGES: Final = 500
_TIMEOUT_S: Final = 60.0


class Replay:
    """One call that publishes dead letters again."""

    def __init__(
        self, archive: Archive, settings: Settings, replay_id: str, *, to_kafka: bool = False, clock: Clock = utc_now
    ) -> None:
        """Prepare to publish.

        Args:
            archive: the dead letters.
            settings: where Pub/Sub and BigQuery are.
            replay_id: what to call this in the ledger.
            to_kafka: whether the ingester takes its messages from Kafka.
            clock: the present instant.
        """
        self._archive = archive
        self._settings = settings
        self._replay_id = replay_id
        self._clock = clock
        self._to_kafka = to_kafka
        self._replayed = 0
        self._unreadable: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    async def run(self, filters: Filters, report: Callable[[int], None]) -> Replayed:
        """Publish letters again in the order in which they were published first.

        Args:
            filters: which letters are meant; those in the ledger never are.
            report: told how many letters were dealt with, batch by batch.

        Returns:
            What was done. Called again, it goes on where it stopped.

        Raises:
            ConfigurationError: when a table is not there, or a service refuses the caller.
            UnavailableError: when a service does not answer; what the ledger holds stays done.
        """
        async with AsyncExitStack() as stack:
            publisher = await self._publisher(stack)
            write = BigQueryWrite(await stack.enter_async_context(storage_channel(self._settings)))
            table = table_path(self._settings, self._settings.audit_dataset, DEAD_LETTER_REPLAYS.name)
            stream = AppendStream(write, table, REPLAY_TYPE, _TIMEOUT_S)
            stack.push_async_callback(stream.close)
            ledger = TableWriter(stream, RetryPolicy())
            filters = replace(filters, unreplayed=True)
            totals = await asyncio.to_thread(self._archive.totals, filters)
            pages = self._archive.letters(filters, totals.largest_bytes)
            while page := await asyncio.to_thread(next, pages, None):
                for batch in _batches(page):
                    await self._send(batch, publisher, ledger)
                    report(len(batch))
        return Replayed(self._replay_id, self._replayed, self._unreadable, self._refused)

    async def _publisher(self, stack: AsyncExitStack) -> Publisher:
        if not self._to_kafka:
            channel = await stack.enter_async_context(pubsub_channel(self._settings))
            return PubSubPublisher(PubSub(channel), self._settings)
        # Kafka's client is loaded only by those who use it.
        from ingest.kafka.producer import kafka_publisher
        from ingest.kafka.settings import load_kafka_settings

        return stack.enter_context(kafka_publisher(load_kafka_settings()))

    async def _send(self, letters: Sequence[Letter], publisher: Publisher, ledger: TableWriter) -> None:
        messages = [(letter, message) for letter in letters if (message := await self._message(letter)) is not None]
        if not messages:
            return
        published = await self._publish(publisher, messages)
        now = to_micros(self._clock())
        rows = [ledger_row(letter, event_id, self._replay_id, now) for letter, event_id in published]
        if rows:
            await ledger.append(rows)
            self._replayed += len(rows)

    async def _message(self, letter: Letter) -> Outgoing | None:
        if letter.reason in OBJECT_REASONS or (letter.topic == NAME and letter.table is None):
            self._refused[letter.event_id] = (
                f"tells of a file, not of a row ({letter.reason}): mend the file, and its new version is loaded; "
                "where MILLRACE_INGEST_TRANSPORT is files, `replay` reads a file again that was not at fault"
            )
            return None
        try:
            data = await asyncio.to_thread(self._archive.body, letter)
        except UnreadableError as error:
            self._unreadable[letter.event_id] = str(error)
            return None
        published = None if letter.publish_ts is None else to_micros(letter.publish_ts)
        return Outgoing(data, replay_attributes(letter.attributes, letter.event_id, published), letter.ordering_key)

    async def _publish(
        self, publisher: Publisher, messages: Sequence[tuple[Letter, Outgoing]]
    ) -> list[tuple[Letter, str]]:
        """Publish messages of one topic; return what was taken, and note what was refused."""
        answers = await publisher.publish(messages[0][0].topic, [message for _, message in messages])
        published = []
        for (letter, _), answer in zip(messages, answers, strict=True):
            if isinstance(answer, Refusal):
                self._refused[letter.event_id] = answer.words
            else:
                published.append((letter, answer))
        return published


def _batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Cut letters into runs of one topic that fit a request each, in their order."""
    for _, same in groupby(letters, key=attrgetter("topic")):
        yield from batches(same, _size, most=_BATCH_MESSAGES)


def _size(letter: Letter) -> int:
    # How large a body is that lies elsewhere shows only once it is read: it goes alone.
    return len(letter.data) + 1_024 if letter.data_uri is None else MOST_BYTES
