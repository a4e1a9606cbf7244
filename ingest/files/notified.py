"""Objects that Cloud Storage tells of through Pub/Sub (https://cloud.google.com/storage/docs/pubsub-notifications)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from core.errors import DecodeError
from ingest.context import RunContext
from ingest.files.matching import is_visible
from ingest.files.objects import FoundObject, Take
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.transport import Deliver, Transport

_log = structlog.get_logger(__name__)

_OUTSTANDING: Final = 1_000
_OUTSTANDING_BYTES: Final = 20_000_000
_FINALIZE: Final = "OBJECT_FINALIZE"
_OTHERS: Final = frozenset({"OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"})
"""Events that bring no new content; a delete takes no row away, since raw tables hold what was sent."""

Subscribe = Callable[[FlowControl, Deliver], Transport]
"""Opens the subscription of the notifications; they are counted apart from the rows, of which an object may have
millions."""


class Notified:
    """A bucket that says what is new: an `ingest.files.objects.ObjectSource`."""

    def __init__(
        self, uri: str, subscribe: Subscribe, context: RunContext, is_wanted: Callable[[str], bool] = is_visible
    ) -> None:
        """Prepare to listen.

        Args:
            uri: the place objects are read from; notifications of objects elsewhere are refused.
            subscribe: opens the subscription.
            context: the run.
            is_wanted: tells by its path whether an object is looked at.
        """
        bucket, _, prefix = uri.removeprefix("gs://").strip("/").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._context = context
        self._is_wanted = is_wanted
        self._flow = FlowControl(_OUTSTANDING, _OUTSTANDING_BYTES)
        self._transport = subscribe(self._flow, self._deliver)
        self._take: Take = _nobody
        self._held: dict[str, Message] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}

    @property
    def is_connected(self) -> bool:
        """Whether the stream stands."""
        return self._transport.is_connected

    @property
    def is_idle(self) -> bool:
        """Whether no notification is open, and every answer has reached Pub/Sub."""
        return not self._held and self._transport.is_idle

    async def check(self) -> None:
        """See `ObjectSource.check`."""
        await self._transport.check()

    async def find_forever(self, take: Take) -> None:
        """See `ObjectSource.find_forever`."""
        self._take = take
        extending = asyncio.create_task(self._extend_forever())
        try:
            await self._transport.pull_forever()
        finally:
            extending.cancel()
            await asyncio.wait({extending})

    def done(self, found: FoundObject) -> None:
        """See `ObjectSource.done`."""
        if (message := self._let_go(found.id)) is not None:
            self._transport.ack([message.ack_id])

    def give_back(self, found: FoundObject) -> None:
        """See `ObjectSource.give_back`: after a wait, or Pub/Sub would send it again at once, and for ever."""
        wait_s = self._context.settings.retry_longest_wait_s
        self._later[found.id] = asyncio.get_running_loop().call_later(wait_s, self._nack, found.id)

    async def drain(self) -> None:
        """See `ObjectSource.drain`."""
        for id_, timer in list(self._later.items()):
            timer.cancel()
            self._nack(id_)
        await self._transport.drain()

    def _nack(self, id_: str) -> None:
        self._later.pop(id_, None)
        if (message := self._let_go(id_)) is not None:
            self._transport.nack([message.ack_id])

    def _let_go(self, id_: str) -> Message | None:
        message = self._held.pop(id_, None)
        if message is not None:
            self._flow.give_back(1, message.size)
        return message

    def _deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            found = self._found(message)
            if found is None:
                self._context.progress.control += 1
                self._transport.ack([message.ack_id])
            elif (held := self._held.get(found.id)) is not None:
                held.ack_id = message.ack_id
                self._context.progress.duplicates += 1
            else:
                self._held[found.id] = message
                self._flow.take(1, message.size)
                self._take(found)

    def _found(self, message: Message) -> FoundObject | None:
        try:
            return self._read(message)
        except DecodeError as error:
            # An object without rows, which the transport dead-letters.
            uri = f"pubsub://{message.topic}"
            return FoundObject(
                uri, "", message.event_id, message.data, message.attributes, message.publish_ts, fault=error
            )

    def _read(self, message: Message) -> FoundObject | None:
        """Return the object a notification tells of; None when it tells of nothing to load.

        Raises:
            DecodeError: `invalid_notification` or `unknown_object`.
        """
        attributes = message.attributes
        event = attributes.get("eventType")
        if event in _OTHERS:
            return None
        name, generation = attributes.get("objectId", ""), attributes.get("objectGeneration", "")
        if event != _FINALIZE or not name or not generation.isdecimal():
            raise DecodeError("invalid_notification", "not a notification of Cloud Storage about an object")
        if attributes.get("bucketId") != self._bucket or not name.startswith(self._prefix):
            raise DecodeError("unknown_object", "tells of an object outside MILLRACE_INGEST_FILES_URI")
        path = name.removeprefix(self._prefix)
        if not self._is_wanted(path):
            return None
        uri = f"gs://{self._bucket}/{name}"
        return FoundObject(uri, path, generation, message.data, attributes, message.publish_ts)

    async def _extend_forever(self) -> None:
        """Keep the notifications of objects in work from being sent to others: a large one outlasts its lease."""
        while True:
            await asyncio.sleep(self._context.settings.ack_deadline_s / 4)
            if self._held:
                await self._transport.extend([message.ack_id for message in self._held.values()])


def _nobody(found: FoundObject) -> None:
    raise RuntimeError(f"{found.uri} was found before anybody asked")
