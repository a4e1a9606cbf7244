"""The life of messages in one subscription: a state machine without input, output or clock.

Time comes in as an argument and must not go backwards. Messages that exhausted their delivery attempts are
left in `Subscription.undeliverable` for the owner to forward.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from devstack.pubsub.backlog import Backlog
from devstack.pubsub.leases import Leases
from devstack.pubsub.model import Consumer, Entry, Message, Settings, SubscriptionStats, Verdict
from devstack.pubsub.retry import backoff

MAX_BATCH: Final = 1000
# Below the 4 MiB that gRPC clients accept by default.
MAX_BATCH_BYTES: Final = 3_000_000


class Subscription:
    """One subscription's messages.

    Attributes:
        settings: what to do with them; may be replaced at any time.
        undeliverable: entries out of delivery attempts, no longer part of the subscription.
    """

    def __init__(self, settings: Settings, lease_prefix: str) -> None:
        """Starts empty.

        Args:
            settings: what to do with messages.
            lease_prefix: opens every acknowledgement id; unique among subscriptions and runs of the server.
        """
        self.settings = settings
        self.undeliverable: list[Entry] = []
        self._backlog = Backlog(ordered=settings.ordered)
        self._leases = Leases(lease_prefix)
        self._retained: deque[Message] = deque()
        self._unacked = 0
        self._unacked_bytes = 0
        self._counts = SubscriptionStats()

    def offer(self, messages: Sequence[Message], filtered: int, now: int) -> None:
        """Adds newly published messages that passed the filter.

        Args:
            messages: the messages, in order of publication.
            filtered: how many the filter turned away.
            now: the time.
        """
        for message in messages:
            self._admit(message)
        self._count(published=len(messages), filtered=filtered)
        self._expire_retention(now)

    def take(self, consumer: Consumer, now: int, *, limit: int = MAX_BATCH, lease: int | None = None) -> list[Entry]:
        """Leases the next messages to a consumer.

        Args:
            consumer: who takes them; its flow control is respected and charged.
            now: the time.
            limit: most messages wanted.
            lease: how long the lease lasts; None for the subscription's deadline.

        Returns:
            The entries, in the order of delivery; empty when nothing is there for this consumer.
        """
        self.tick(now)
        batch = self._backlog.take(consumer, min(limit, MAX_BATCH), MAX_BATCH_BYTES)
        if batch:
            deadline = now + (self.settings.ack_deadline if lease is None else lease)
            self._leases.grant(batch, consumer, deadline)
            self._count(delivered=len(batch))
        return batch

    def acknowledge(self, ack_ids: Iterable[str], now: int) -> Verdict:
        """Accepts acknowledgements.

        With exactly-once delivery an id is invalid once its lease has ended, and of an ordering key the
        messages have to be acknowledged in order. Without it a late acknowledgement counts as long as the
        message was not delivered again, and everything else is passed over.

        Args:
            ack_ids: ids of deliveries.
            now: the time.

        Returns:
            The ids that could not be acknowledged; without exactly-once, the forged ones only.
        """
        self.tick(now)
        exactly_once = self.settings.exactly_once
        entries, unknown = self._resolve(ack_ids)
        unordered: list[str] = []
        done: list[Entry] = []
        for entry in entries:
            if exactly_once and not self._backlog.is_next_to_settle(entry):
                unordered.append(entry.ack_id)
                continue
            self._leases.end(entry)
            done += self._backlog.settle(entry)
        if not exactly_once:
            unknown = self._accept_late(unknown, done)
        self._settle(done, now)
        return Verdict(tuple(unknown), tuple(unordered))

    def modify_deadline(self, ack_ids: Iterable[str], lease: int, now: int) -> Verdict:
        """Sets the remaining time of leases.

        Args:
            ack_ids: ids of deliveries.
            lease: time from now until the lease ends; 0 gives the messages back.
            now: the time.

        Returns:
            The ids that are not leased; without exactly-once, the forged ones only.
        """
        self.tick(now)
        entries, unknown = self._resolve(ack_ids)
        if lease:
            self._leases.extend(entries, now + lease)
        else:
            self._fail(entries, now, late_ack=False)
        if not self.settings.exactly_once:
            unknown = [ack_id for ack_id in unknown if not self._leases.was_issued(ack_id)]
        return Verdict(tuple(unknown))

    def tick(self, now: int) -> bool:
        """Ends leases whose time is up and wakes messages that rested long enough.

        Returns:
            Whether messages may have become deliverable.
        """
        deadline = self._leases.next_deadline()
        expired = self._leases.due(now) if deadline is not None and deadline <= now else []
        self._fail(expired, now, late_ack=not self.settings.exactly_once)
        woken = self._backlog.wake(now)
        return woken or bool(expired)

    def next_event(self) -> int | None:
        """Returns when `tick` may next have something to do, or None."""
        moments = [moment for moment in (self._leases.next_deadline(), self._backlog.next_wake()) if moment is not None]
        return min(moments, default=None)

    def unacked(self) -> list[Message]:
        """Returns every message that is not acknowledged, in order of publication."""
        entries = {id(entry): entry for entry in (*self._backlog.waiting(), *self._leases.entries())}
        return sorted((entry.message for entry in entries.values()), key=_sequence)

    def retained(self, now: int) -> list[Message]:
        """Returns the acknowledged messages that a seek can bring back, in order of publication."""
        self._expire_retention(now)
        return sorted(self._retained, key=_sequence)

    def rewind(self, candidates: Iterable[Message], deliver: Callable[[Message], bool], now: int) -> None:
        """Starts over from a chosen set of messages: ends all leases and replaces the backlog.

        Args:
            candidates: messages that may come back from elsewhere (the topic, a snapshot), filter applied.
            deliver: tells which of the candidates, the backlog and the retained messages are to be
                delivered; the others count as acknowledged.
            now: the time.
        """
        known = {message.sequence: message for message in (*candidates, *self._retained, *self.unacked())}
        self.purge()
        for sequence in sorted(known):
            message = known[sequence]
            if deliver(message):
                self._admit(message)
            elif self.settings.retain_acked:
                self._retained.append(message)
        self._expire_retention(now)

    def purge(self) -> None:
        """Forgets all messages and ends all leases."""
        self._leases.end_all()
        self._backlog = Backlog(ordered=self.settings.ordered)
        self._retained.clear()
        self._unacked = self._unacked_bytes = 0

    def stats(self) -> SubscriptionStats:
        """Returns the counts as of the last operation."""
        return replace(
            self._counts,
            outstanding=len(self._leases),
            backlog=self._unacked,
            backlog_bytes=self._unacked_bytes,
        )

    def _admit(self, message: Message) -> None:
        self._backlog.push(Entry(message))
        self._unacked += 1
        self._unacked_bytes += len(message.encoded)

    def _dismiss(self, entry: Entry) -> None:
        self._unacked -= 1
        self._unacked_bytes -= len(entry.message.encoded)

    def _retire(self, entry: Entry) -> None:
        self._dismiss(entry)
        if self.settings.retain_acked:
            self._retained.append(entry.message)

    def _resolve(self, ack_ids: Iterable[str]) -> tuple[list[Entry], list[str]]:
        """Returns the entries leased under the ids, in order of publication where that matters, and ids of no lease."""
        entries: dict[str, Entry] = {}
        unknown = []
        for ack_id in ack_ids:
            entry = self._leases.find(ack_id)
            if entry is None:
                unknown.append(ack_id)
            else:
                entries[ack_id] = entry
        leased = list(entries.values())
        if self.settings.ordered:
            leased.sort(key=_entry_sequence)
        return leased, unknown

    def _settle(self, done: list[Entry], now: int) -> None:
        for entry in done:
            self._retire(entry)
        self._count(acked=len(done))
        if self._retained:
            self._expire_retention(now)

    def _accept_late(self, ack_ids: list[str], done: list[Entry]) -> list[str]:
        """Settles expired but not redelivered entries into `done`, and returns the ids never issued."""
        forged = []
        for ack_id in ack_ids:
            entry = self._leases.take_expired(ack_id)
            if entry is not None:
                done += self._backlog.settle(entry)
            elif not self._leases.was_issued(ack_id):
                forged.append(ack_id)
        return forged

    def _fail(self, entries: list[Entry], now: int, *, late_ack: bool) -> None:
        """Takes back deliveries that failed, oldest first, and all that followed them under their keys."""
        entries = sorted(entries, key=_entry_sequence)
        for entry in entries:
            entry.failures += 1
        for entry in entries:
            if self._leases.find(entry.ack_id) is not entry:
                continue  # an earlier message of its key has taken it along
            if self._is_exhausted(entry):
                self._leases.end(entry)
                self._settle(self._backlog.drop(entry), now)
                self._retire(entry)
                self._count(dead_lettered=1)
                self.undeliverable.append(entry)
                continue
            pause = backoff(self.settings.retry, entry.failures)
            for returned in self._backlog.put_back(entry, now + pause if pause else None):
                if self._leases.find(returned.ack_id) is returned:
                    self._leases.end(returned)
                if late_ack and not (self.settings.ordered and returned.message.ordering_key):
                    self._leases.remember_expired(returned)

    def _is_exhausted(self, entry: Entry) -> bool:
        policy = self.settings.dead_letter
        return policy is not None and entry.failures >= policy.max_delivery_attempts

    def _expire_retention(self, now: int) -> None:
        horizon = now - self.settings.retention
        for entry in self._backlog.pop_older_than(horizon):
            self._dismiss(entry)
            self._leases.take_expired(entry.ack_id)
        while self._retained and self._retained[0].publish_time < horizon:
            self._retained.popleft()

    def _count(
        self, *, published: int = 0, filtered: int = 0, delivered: int = 0, acked: int = 0, dead_lettered: int = 0
    ) -> None:
        counts = self._counts
        self._counts = replace(
            counts,
            published=counts.published + published,
            filtered=counts.filtered + filtered,
            delivered=counts.delivered + delivered,
            acked=counts.acked + acked,
            dead_lettered=counts.dead_lettered + dead_lettered,
        )


def _sequence(message: Message) -> int:
    return message.sequence


def _entry_sequence(entry: Entry) -> int:
    return entry.message.sequence
