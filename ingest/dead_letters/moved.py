"""Publishing again what Pub/Sub itself moved to the dead-letter topic, after as many deliveries as it was allowed.

Such a message is in no table. It waits in the subscription that keeps the topic, among the copies of the ingester's own
letters, and attributes say where it came from (https://cloud.google.com/pubsub/docs/dead-letter-topics). It goes back
to the topic of that subscription, and is acknowledged only once it is published there; the ingester's own copies are
put back as they were. It says when it was published first, so an old state takes no newer one's place.

Whoever may publish to the dead-letter topic can write those attributes, so only topics that the ingester reads get
anything.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError

from core.batches import batches
from core.clock import to_micros
from core.errors import MillraceError, UnavailableError
from ingest.dead_letters.publishing import Outgoing, Publisher, Refusal
from ingest.first_publication import replay_attributes
from ingest.rpc import status_error

_log = structlog.get_logger(__name__)

_SOURCE: Final = "CloudPubSubDeadLetterSourceSubscription"
_PROJECT: Final = "CloudPubSubDeadLetterSourceSubscriptionProject"
_PUBLISHED: Final = "CloudPubSubDeadLetterSourceTopicPublishTime"
_MOVED: Final = "CloudPubSubDeadLetterSource"
_OURS: Final = "millrace_reason"
_PULLED: Final = 1_000
_BATCH_MESSAGES: Final = 500
_LEASE_S: Final = 600
"""The longest lease that Pub/Sub grants: what was seen is not to come again while the rest is looked at."""
_TIMEOUT_S: Final = 30.0


class Returned(msgspec.Struct, frozen=True):
    """What became of the messages that Pub/Sub moved.

    Attributes:
        published: by topic, how many were published again, or would be.
        refused: by message id, those that cannot be, with the reason in words; they stay where they are.
        own: letters of the ingester itself that lie there too, and were put back.
        is_done: whether anything was done.
    """

    published: dict[str, int]
    refused: dict[str, str]
    own: int
    is_done: bool


class Origin(msgspec.Struct, frozen=True):
    """Which messages may go where.

    Attributes:
        project: whose subscriptions they came from.
        suffix: what a subscription's name has behind that of its topic.
        topics: short names of the topics that may get something back.
        only: the one topic that is meant; None for all of them.
    """

    project: str
    suffix: str
    topics: frozenset[str]
    only: str | None = None

    def topic(self, attributes: Any) -> str:
        """Return the topic that a message came from.

        Args:
            attributes: the message's.

        Raises:
            ValueError: when nothing there may be published; the reason in words.
        """
        subscription = attributes[_SOURCE]
        if attributes.get(_PROJECT, self.project) != self.project:
            raise ValueError(f"came from the project {attributes[_PROJECT]}, and not from {self.project}")
        topic = subscription.removesuffix(self.suffix)
        if topic not in self.topics or not subscription.endswith(self.suffix):
            raise ValueError(f"came from the subscription {subscription}, which is none of the ingester's")
        return str(topic)


@dataclass
class MovedLetters:
    """One walk through the subscription.

    Attributes:
        subscription: full name of what keeps the dead-letter topic.
        subscriber: a client of Pub/Sub; its calls block.
        publisher: publishes.
        origin: which messages may go where.
        idle_s: it is over once nothing new came for so long, in seconds.
    """

    subscription: str
    subscriber: Any
    publisher: Publisher
    origin: Origin
    idle_s: float
    _published: Counter[str] = field(default_factory=Counter, init=False)
    _refused: dict[str, str] = field(default_factory=dict, init=False)
    _seen: set[str] = field(default_factory=set, init=False)
    _held: list[str] = field(default_factory=list, init=False)
    _own: int = field(default=0, init=False)

    async def run(self, limit: int, *, dry_run: bool) -> Returned:
        """Publish what was moved again.

        Args:
            limit: how many at most.
            dry_run: whether to look only, and put everything back.

        Returns:
            What was done. Called again, it goes on where it stopped.

        Raises:
            ConfigurationError: when the subscription is not there, or the caller is refused.
            UnavailableError: when Pub/Sub does not answer; what was acknowledged stays done.
        """
        try:
            heard_at = time.monotonic()
            while self._published.total() < limit and (left_s := heard_at + self.idle_s - time.monotonic()) > 0:
                fresh = await self._pull(left_s)
                if fresh:
                    heard_at = time.monotonic()
                for batch in self._chosen(fresh, limit):
                    await self._return(batch, dry_run=dry_run)
        finally:
            await self._put_back()
        return Returned(dict(sorted(self._published.items())), self._refused, self._own, is_done=not dry_run)

    async def _pull(self, wait_s: float) -> list[Any]:
        """Return messages that were not seen before, leased for long."""
        request = {"subscription": self.subscription, "max_messages": _PULLED}
        try:
            answer = await self._call("pull", request, wait_s)
        except DeadlineExceeded:
            return []
        received = list(answer.received_messages)
        fresh = [one for one in received if one.message.message_id not in self._seen]
        self._seen.update(one.message.message_id for one in fresh)
        self._held += [one.ack_id for one in received]
        await self._lease([one.ack_id for one in received], _LEASE_S)
        return fresh

    def _chosen(self, fresh: Sequence[Any], limit: int) -> Iterator[list[tuple[str, Any]]]:
        """Yield those that are to be published, with their topic, in batches of one topic."""
        by_topic: dict[str, list[tuple[str, Any]]] = {}
        room = limit - self._published.total()
        for one in fresh:
            topic = self._topic(one.message)
            if topic is not None and room > 0:
                room -= 1
                by_topic.setdefault(topic, []).append((topic, one))
        for messages in by_topic.values():
            yield from batches(messages, _size, most=_BATCH_MESSAGES)

    def _topic(self, message: Any) -> str | None:
        """Return where a message goes; None when it stays."""
        attributes = message.attributes
        if _OURS in attributes or _SOURCE not in attributes:
            self._own += 1
            return None
        try:
            topic = self.origin.topic(attributes)
        except ValueError as error:
            self._refused[message.message_id] = str(error)
            return None
        return topic if self.origin.only in (None, topic) else None

    async def _return(self, batch: Sequence[tuple[str, Any]], *, dry_run: bool) -> None:
        topic = batch[0][0]
        if dry_run:
            self._published[topic] += len(batch)
            return
        answers = await self.publisher.publish(topic, [_outgoing(one.message) for _, one in batch])
        safe = []
        for (_, one), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Refusal):
                self._refused[one.message.message_id] = answer.words
            else:
                safe.append(one.ack_id)
        # Between the two a crash can cost a repetition, and never a message.
        if safe:
            await self._call("acknowledge", {"subscription": self.subscription, "ack_ids": safe})
        gone = set(safe)
        self._held = [ack_id for ack_id in self._held if ack_id not in gone]
        self._published[topic] += len(safe)

    async def _put_back(self) -> None:
        held, self._held = self._held, []
        try:
            for start in range(0, len(held), _PULLED):
                await self._lease(held[start : start + _PULLED], 0)
        except MillraceError as error:
            _log.warning("leases could not be given back; they run out by themselves", error=str(error))

    async def _lease(self, ack_ids: Sequence[str], lease_s: int) -> None:
        if ack_ids:
            request = {"subscription": self.subscription, "ack_ids": ack_ids, "ack_deadline_seconds": lease_s}
            await self._call("modify_ack_deadline", request)

    async def _call(self, method: str, request: dict[str, Any], timeout_s: float = _TIMEOUT_S) -> Any:
        call = getattr(self.subscriber, method)
        try:
            return await asyncio.to_thread(call, request=request, timeout=timeout_s, retry=None)
        except DeadlineExceeded as error:
            if method == "pull":
                raise
            raise UnavailableError(f"{method} {self.subscription}: {error.message}") from error
        except GoogleAPICallError as error:
            if error.grpc_status_code is None:
                raise UnavailableError(f"{method} {self.subscription}: {error}") from error
            raise status_error(error.grpc_status_code, str(error.message), f"{method} {self.subscription}") from error


def _size(message: tuple[str, Any]) -> int:
    return len(message[1].message.data) + 1_024


def _outgoing(message: Any) -> Outgoing:
    """Return a message as it was before it was moved, with the instant of its first publication."""
    attributes = {name: value for name, value in message.attributes.items() if not name.startswith(_MOVED)}
    micros = _published_us(message)
    return Outgoing(message.data, replay_attributes(attributes, message.message_id, micros), message.ordering_key)


def _published_us(message: Any) -> int:
    """Return when a message was published to its own topic; when that is not said, when it was moved."""
    try:
        told = datetime.fromisoformat(message.attributes[_PUBLISHED])
    except (KeyError, ValueError):
        return to_micros(message.publish_time)
    return to_micros(told if told.tzinfo else told.replace(tzinfo=UTC))
