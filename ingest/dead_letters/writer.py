"""Writing dead letters: whole, to a table and to a topic, with the reason.

A message is acknowledged only when both have it. A body that fits no row goes to an object first, when there is a
store; its name is its content's, so that a second attempt changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
import msgspec
import structlog

from core.clock import to_micros
from core.errors import UnavailableError
from core.objects import ObjectStore, content_name
from core.retry import retrying_async
from ingest.append import MAX_ROW_BYTES, TableWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters.copies import MAX_MESSAGE_BYTES, copy_of
from ingest.dead_letters.tables import DEAD_LETTER_TYPE
from ingest.leases import Leases
from ingest.message import Message
from ingest.rpc import PublishRequest, PubSub, routing, translate

_log = structlog.get_logger(__name__)

_ROW_OVERHEAD: Final = 64_000
_TIMEOUT_S: Final = 30.0


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that cannot be landed.

    Attributes:
        message: the message.
        reason: a stable code, such as `invalid_json`.
        error: the error in words.
        table: the raw table it was meant for, when that is known.
        attempts: attempts made; None for the deliveries that Pub/Sub counted.
    """

    message: Message
    reason: str
    error: str
    table: str | None = None
    attempts: int | None = None


class DeadLetters:
    """Writes dead letters to the table and the topic, then has them acknowledged."""

    def __init__(
        self,
        writer: TableWriter,
        pubsub: PubSub,
        topic: str,
        leases: Leases,
        context: RunContext,
        *,
        store: ObjectStore | None = None,
    ) -> None:
        """Prepare to write.

        Args:
            writer: appends to `audit.dead_letters`.
            pubsub: the service.
            topic: full name of the dead-letter topic.
            leases: acknowledges what was written.
            context: the run.
            store: takes the bodies that fit no row; None cuts them.
        """
        self._writer = writer
        self._store = store
        self._pubsub = pubsub
        self._topic = topic
        self._leases = leases
        self._context = context
        self._settings = settings = context.settings
        limits = BatchLimits(settings.batch_rows, settings.batch_wait_ms / 1_000, settings.batch_bytes)
        self.batches: MicroBatches[DeadLetter] = MicroBatches(self._write, limits, context.fail)
        self._observers: list[Callable[[Sequence[DeadLetter]], None]] = []

    def observe(self, observer: Callable[[Sequence[DeadLetter]], None]) -> None:
        """Have somebody told of letters that were written, before they are acknowledged.

        Args:
            observer: told.
        """
        self._observers.append(observer)

    def add(self, letter: DeadLetter) -> None:
        """Write a message off, soon.

        Args:
            letter: what and why.
        """
        self.batches.add(letter, letter.message.size)

    async def _write(self, letters: list[DeadLetter]) -> None:
        now = to_micros(self._context.clock())
        letters, uris = await self._with_large_bodies_set_aside(letters)
        if not letters:
            return
        load_id = self._context.progress.load_id
        rows = [_row(letter, uri, now, load_id) for letter, uri in zip(letters, uris, strict=True)]
        refused, _ = await asyncio.gather(self._writer.append(rows), self._publish(letters, uris))
        self._context.failpoint.hit("after_dead_letter", len(letters))
        for place, words in refused.items():
            # Nowhere is left to put it, so it stays in Pub/Sub.
            _log.error("dead letter refused", event_id=letters[place].message.event_id, error=words)
        self._leases.release(letters[place].message for place in refused)
        kept = [letter for place, letter in enumerate(letters) if place not in refused]
        self._context.progress.reasons.update(letter.reason for letter in kept)
        _tell(kept)
        for observer in self._observers:
            observer(kept)
        self._leases.settle(letter.message for letter in kept)

    async def _with_large_bodies_set_aside(
        self, letters: Sequence[DeadLetter]
    ) -> tuple[list[DeadLetter], list[str | None]]:
        """Write the bodies that fit no row to objects, and give back what no object could be written for."""
        kept, uris = [], []
        for letter in letters:
            try:
                uri = await self._set_aside(letter.message)
            except UnavailableError as error:
                _log.warning("dead letter given back", event_id=letter.message.event_id, error=str(error))
                self._leases.release((letter.message,))
            else:
                kept.append(letter)
                uris.append(uri)
        return kept, uris

    async def _set_aside(self, message: Message) -> str | None:
        if self._store is None or len(message.data) <= _room(message):
            return None
        name = content_name(f"dead-letters/{message.topic}", message.data)
        retrying = retrying_async(self._settings.retry_policy(self._settings.append_attempts), "write of a dead letter")
        return await retrying(asyncio.to_thread, self._store.put, name, message.data)

    async def _publish(self, letters: list[DeadLetter], uris: Sequence[str | None]) -> None:
        request = PublishRequest(topic=self._topic)
        size = 0
        for letter, uri in zip(letters, uris, strict=True):
            copy = copy_of(letter, uri)
            if size + copy.ByteSize() + 8 > MAX_MESSAGE_BYTES and request.messages:
                await self._publish_request(request)
                request, size = PublishRequest(topic=self._topic), 0
            request.messages.append(copy)
            size += copy.ByteSize() + 8
        await self._publish_request(request)

    async def _publish_request(self, request: Any) -> None:
        async def attempt() -> None:
            try:
                await self._pubsub.publish(request, timeout=_TIMEOUT_S, metadata=routing("topic", self._topic))
            except grpc.aio.AioRpcError as error:
                raise translate(error, f"publish to {self._topic}") from error

        await retrying_async(self._settings.retry_policy(self._settings.append_attempts), "publish")(attempt)


def _tell(letters: Sequence[DeadLetter]) -> None:
    """Log one line a reason, with one example: a flood of poison must not become a flood of logs."""
    reasons = Counter(letter.reason for letter in letters)
    for letter in {letter.reason: letter for letter in letters}.values():
        _log.warning(
            "dead letters",
            reason=letter.reason,
            count=reasons[letter.reason],
            error=letter.error,
            event_id=letter.message.event_id,
            topic=letter.message.topic,
        )


def _room(message: Message) -> int:
    """Return how many bytes of a body fit the row beside everything else."""
    return max(0, MAX_ROW_BYTES - _ROW_OVERHEAD - len(_attributes(message)) - len(message.ordering_key))


def _attributes(message: Message) -> bytes:
    return msgspec.json.encode(dict(message.attributes))


def _row(letter: DeadLetter, uri: str | None, now: int, load_id: str) -> bytes:
    message = letter.message
    row: bytes = DEAD_LETTER_TYPE.message_class(
        event_id=message.event_id,
        reason=letter.reason,
        error=letter.error,
        attempts=letter.attempts or message.delivery_attempt or 1,
        topic=message.topic,
        table_name=letter.table,
        ordering_key=message.ordering_key or None,
        data=message.data[: _room(message)] if uri is None else None,
        attributes=_attributes(message),
        publish_ts=message.publish_ts,
        dead_lettered_at=now,
        load_id=load_id,
        data_bytes=len(message.data),
        data_uri=uri,
    ).SerializeToString()
    return row
