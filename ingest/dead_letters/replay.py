"""Publishing dead letters again, as they were, each once.

A ledger, `audit.dead_letter_replays`, says what was published again; it is asked before and written after. Between the
two a crash can cost a repetition of one batch. It does no harm: a repeated change has the key and the position of the
first, and structure merges by these; a repeated notification fetches the same row once more.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import grpc
import msgspec
import structlog

from core.clock import Clock, to_micros, utc_now
from core.errors import DecodeError, UnreadableError
from core.retry import RetryPolicy, retrying_async
from core.settings import Settings
from ingest.append import AppendStream, TableWriter
from ingest.dead_letters.archive import Archive, Letter
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.tables import DEAD_LETTER_REPLAYS, REPLAY_TYPE
from ingest.resources import table_path, topic_path
from ingest.rpc import (
    BigQueryWrite,
    PublishRequest,
    PubSub,
    PubsubMessage,
    pubsub_channel,
    routing,
    storage_channel,
    translate,
)

_log = structlog.get_logger(__name__)

REPLAY_OF: Final = "millrace_replay_of"
"""Attribute of a message that was published again: the message id of its dead letter."""

_BATCH_MESSAGES: Final = 500
_BATCH_BYTES: Final = 5_000_000
_TIMEOUT_S: Final = 60.0


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did.

    Attributes:
        replay_id: the call, as in the ledger.
        replayed: letters that were published again.
        unreadable: message ids of letters whose body cannot be read, with the reason in words.
        refused: message ids of letters that Pub/Sub refuses, with its words.
    """

    replay_id: str
    replayed: int
    unreadable: dict[str, str]
    refused: dict[str, str]


class Replay:
    """One call that publishes dead letters again."""

    def __init__(self, archive: Archive, settings: Settings, replay_id: str, clock: Clock = utc_now) -> None:
        """Prepare to publish.

        Args:
            archive: the dead letters.
            settings: where Pub/Sub and BigQuery are.
            replay_id: what to call this in the ledger.
            clock: the present instant.
        """
        self._archive = archive
        self._settings = settings
        self._replay_id = replay_id
        self._clock = clock
        self._policy = RetryPolicy()
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
            ConfigurationError: when a topic or table is not there, or a service refuses the caller.
            UnavailableError: when a service does not answer; what the ledger holds stays done.
        """
        async with AsyncExitStack() as stack:
            pubsub = PubSub(await stack.enter_async_context(pubsub_channel(self._settings)))
            write = BigQueryWrite(await stack.enter_async_context(storage_channel(self._settings)))
            table = table_path(self._settings, self._settings.audit_dataset, DEAD_LETTER_REPLAYS.name)
            stream = AppendStream(write, table, REPLAY_TYPE, _TIMEOUT_S)
            stack.push_async_callback(stream.close)
            ledger = TableWriter(stream, self._policy)
            filters = replace(filters, unreplayed=True)
            totals = await asyncio.to_thread(self._archive.totals, filters)
            pages = self._archive.letters(filters, totals.largest_bytes)
            while page := await asyncio.to_thread(next, pages, None):
                for batch in _batches(page):
                    await self._send(batch, pubsub, ledger)
                    report(len(batch))
        return Replayed(self._replay_id, self._replayed, self._unreadable, self._refused)

    async def _send(self, letters: Sequence[Letter], pubsub: PubSub, ledger: TableWriter) -> None:
        messages = [(letter, message) for letter in letters if (message := await self._message(letter)) is not None]
        if not messages:
            return
        published = await self._publish(pubsub, messages)
        now = to_micros(self._clock())
        rows = [self._ledger_row(letter, event_id, now) for letter, event_id in published]
        if rows:
            await ledger.append(rows)
            self._replayed += len(rows)

    async def _message(self, letter: Letter) -> Any | None:
        try:
            data = await asyncio.to_thread(self._archive.body, letter)
        except UnreadableError as error:
            self._unreadable[letter.event_id] = str(error)
            return None
        attributes = {**letter.attributes, REPLAY_OF: letter.event_id}
        return PubsubMessage(data=data, attributes=attributes, ordering_key=letter.ordering_key)

    async def _publish(self, pubsub: PubSub, messages: Sequence[tuple[Letter, Any]]) -> list[tuple[Letter, str]]:
        """Publish messages of one topic; return what Pub/Sub took, around what it refuses."""
        topic = topic_path(self._settings, messages[0][0].topic)
        request = PublishRequest(topic=topic, messages=[message for _, message in messages])

        async def attempt() -> Any:
            try:
                return await pubsub.publish(request, timeout=_TIMEOUT_S, metadata=routing("topic", topic))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    raise DecodeError("refused_by_pubsub", error.details() or "") from error
                raise translate(error, f"publish to {topic}") from error

        try:
            answer: Any = await retrying_async(self._policy, "publish")(attempt)
        except DecodeError as error:
            if len(messages) > 1:
                return [one for message in messages for one in await self._publish(pubsub, [message])]
            self._refused[messages[0][0].event_id] = str(error)
            return []
        return [(letter, event_id) for (letter, _), event_id in zip(messages, answer.message_ids, strict=True)]

    def _ledger_row(self, letter: Letter, event_id: str, now: int) -> bytes:
        row: bytes = REPLAY_TYPE.message_class(
            event_id=letter.event_id,
            topic=letter.topic,
            replay_event_id=event_id,
            replay_id=self._replay_id,
            replayed_at=now,
        ).SerializeToString()
        return row


def _batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Cut letters into runs of one topic that fit a request each, in their order."""
    batch: list[Letter] = []
    size = 0
    for letter in letters:
        length = len(letter.data) if letter.data_uri is None else _BATCH_BYTES
        full = len(batch) >= _BATCH_MESSAGES or size + length > _BATCH_BYTES
        if batch and (full or letter.topic != batch[0].topic):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += length + 1_024
    if batch:
        yield batch
