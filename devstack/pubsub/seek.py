"""Snapshots, and seeks to them and to moments in time.

Semantics after https://cloud.google.com/pubsub/docs/replay-overview. A seek ends all leases of the
subscription, so acknowledgement ids from before it are stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from devstack.pubsub import limits, resources, wire
from devstack.pubsub.broker import Broker, Topic
from devstack.pubsub.errors import Code, PubSubError, already_exists, invalid, not_found
from devstack.pubsub.model import SECOND, Message
from devstack.pubsub.wire import Proto

_HOUR: Final = 3600 * SECOND
_LIFETIME: Final = 7 * 24 * _HOUR


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a subscription had not acknowledged, and what was published since.

    Attributes:
        resource: the `google.pubsub.v1.Snapshot`.
        topic: the topic it is of, which may have been deleted meanwhile.
        messages: starts as the unacknowledged messages; the topic appends to it.
    """

    resource: Proto
    topic: Topic
    messages: list[Message]


class Snapshots:
    """The snapshots of a broker's subscriptions."""

    def __init__(self, broker: Broker) -> None:
        """Starts without snapshots."""
        self._broker = broker
        self._snapshots: dict[str, _Snapshot] = {}

    def create(self, request: Proto, now: int) -> Proto:
        """Creates a snapshot of a subscription and returns its description.

        Args:
            request: the `CreateSnapshotRequest`.
            now: the time.

        Raises:
            PubSubError: ALREADY_EXISTS; NOT_FOUND; FAILED_PRECONDITION when the subscription is detached, has
                lost its topic, or its backlog is so old that the snapshot would expire within the hour.
        """
        limits.check_name("snapshots", request.name)
        if request.name in self.all(now):
            raise already_exists("Snapshot", request.name)
        state = self._broker.active(request.subscription)
        topic = self._broker.topics.get(self._broker.subscription(request.subscription).resource.topic)
        if topic is None:
            raise PubSubError(Code.FAILED_PRECONDITION, f"The topic of {request.subscription} was deleted.")
        messages = state.unacked()
        oldest = messages[0].publish_time if messages else now
        if oldest + _LIFETIME < now + _HOUR:
            raise PubSubError(Code.FAILED_PRECONDITION, "The backlog is too old for a snapshot; acknowledge it first.")
        resource = resources.Snapshot(
            name=request.name,
            topic=topic.resource.name,
            expire_time=wire.timestamp(oldest + _LIFETIME),
            labels=request.labels,
        )
        self._snapshots[request.name] = _Snapshot(resource, topic, messages)
        topic.recorders[request.name] = messages
        return resource

    def get(self, name: str, now: int) -> Proto:
        """Returns the description of a snapshot; raises NOT_FOUND when there is none (any more)."""
        return self._find(name, now).resource

    def all(self, now: int) -> Mapping[str, Proto]:
        """Returns the descriptions of the snapshots that have not expired, by name."""
        for name, snapshot in list(self._snapshots.items()):
            if wire.nanoseconds(snapshot.resource.expire_time) <= now:
                self._forget(name)
            elif self._broker.topics.get(snapshot.resource.topic) is not snapshot.topic:
                snapshot.resource.topic = resources.DELETED_TOPIC
        return {name: snapshot.resource for name, snapshot in self._snapshots.items()}

    def update(self, request: Proto, now: int) -> Proto:
        """Changes the labels or the expiry of a snapshot and returns its description."""
        snapshot = self._find(request.snapshot.name, now)
        changed = resources.updated(snapshot.resource, request.snapshot, request.update_mask.paths)
        snapshot.resource.CopyFrom(changed)
        return snapshot.resource

    def delete(self, name: str, now: int) -> None:
        """Deletes a snapshot; raises NOT_FOUND when there is none."""
        self._find(name, now)
        self._forget(name)

    def seek_to_snapshot(self, subscription: str, name: str, now: int) -> None:
        """Makes a subscription deliver what was unacknowledged at the snapshot, and all that came after it.

        Raises:
            PubSubError: NOT_FOUND; INVALID_ARGUMENT when the snapshot is of another topic.
        """
        snapshot = self._find(name, now)
        if self._broker.subscription(subscription).resource.topic != snapshot.resource.topic:
            raise invalid(f"Snapshot {name} is of another topic than {subscription}.")
        wanted = {message.sequence for message in snapshot.messages}
        self._broker.rewind(subscription, snapshot.messages, lambda message: message.sequence in wanted, now)

    def seek_to_time(self, subscription: str, moment: int, now: int) -> None:
        """Makes a subscription deliver what was published at or after a moment, and nothing older.

        Acknowledged messages come back as far as the subscription or its topic retained them.

        Args:
            subscription: the full name.
            moment: nanoseconds since the epoch.
            now: the time.
        """
        topic = self._broker.topics.get(self._broker.subscription(subscription).resource.topic)
        retained = [] if topic is None else list(topic.retained)
        self._broker.rewind(subscription, retained, lambda message: message.publish_time >= moment, now)

    def _find(self, name: str, now: int) -> _Snapshot:
        limits.check_name("snapshots", name)
        if name not in self.all(now):
            raise not_found("Snapshot", name)
        return self._snapshots[name]

    def _forget(self, name: str) -> None:
        self._snapshots.pop(name).topic.recorders.pop(name, None)
