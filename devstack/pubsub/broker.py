"""Everything the server knows: topics, subscriptions and snapshots, as one state machine without I/O.

Names are full resource names; times are nanoseconds since the epoch and come in as arguments.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from devstack.pubsub import limits, resources, wire
from devstack.pubsub.errors import Code, PubSubError, already_exists, invalid, not_found
from devstack.pubsub.model import SECOND, Consumer, Entry, Message, Settings, SubscriptionStats, Verdict
from devstack.pubsub.subscription import MAX_BATCH, Subscription
from devstack.pubsub.wire import Proto

MAX_LEASE_S: Final = 600


@dataclass(slots=True)
class Topic:
    """A topic and the subscriptions that get its messages.

    Attributes:
        resource: the `google.pubsub.v1.Topic`.
        subscriptions: attached subscriptions by name.
        retained: recent messages, when the topic retains them for seeks.
        recorders: lists of snapshots that collect what is published after them.
    """

    resource: Proto
    subscriptions: dict[str, "Attached"] = field(default_factory=dict)
    retained: deque[Message] = field(default_factory=deque)
    recorders: dict[str, list[Message]] = field(default_factory=dict)


@dataclass(slots=True)
class Attached:
    """A subscription: its description and its messages."""

    resource: Proto
    state: Subscription


class Broker:
    """Topics and subscriptions, and the ways messages take between them."""

    def __init__(self, first_sequence: int, on_change: Callable[[str], None] = lambda _: None) -> None:
        """Starts with no topics.

        Args:
            first_sequence: the first message id. Let it grow from run to run of the server, so that neither a
                message id nor an acknowledgement id is ever used twice.
            on_change: called with the name of a subscription when something may have become deliverable on
                it, or when it is gone.
        """
        self._sequence = first_sequence
        self._on_change = on_change
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Attached] = {}

    # Topics

    def create_topic(self, resource: Proto) -> Proto:
        """Creates a topic and returns its description."""
        topic = Topic(resources.normalized_topic(resource))
        if topic.resource.name in self.topics:
            raise already_exists("Topic", topic.resource.name)
        self.topics[topic.resource.name] = topic
        self._refresh_settings()
        return topic.resource

    def topic(self, name: str) -> Topic:
        """Returns a topic; raises NOT_FOUND when there is none of that name."""
        limits.check_name("topics", name)
        if name not in self.topics:
            raise not_found("Topic", name)
        return self.topics[name]

    def update_topic(self, change: Proto, paths: Iterable[str]) -> Proto:
        """Changes fields of a topic and returns its description."""
        topic = self.topic(change.name)
        topic.resource = resources.normalized_topic(resources.updated(topic.resource, change, paths))
        return topic.resource

    def delete_topic(self, name: str) -> None:
        """Deletes a topic; its subscriptions stay, with what they have."""
        topic = self.topic(name)
        for attached in topic.subscriptions.values():
            attached.resource.topic = resources.DELETED_TOPIC
        del self.topics[name]
        self._refresh_settings()

    def publish(self, name: str, protos: Sequence[Proto], now: int) -> list[str]:
        """Publishes messages, which have been checked, and returns their ids.

        Args:
            name: the topic.
            protos: the `PubsubMessage`s; they are changed.
            now: the publish time.
        """
        topic = self.topic(name)
        first = self._sequence
        self._sequence += len(protos)
        messages = [wire.stamp(proto, first + index, now) for index, proto in enumerate(protos)]
        self._retain(topic, messages, now)
        for subscription, attached in topic.subscriptions.items():
            passed = _passing(attached.state.settings, messages, protos)
            attached.state.offer(passed, len(messages) - len(passed), now)
            self._on_change(subscription)
        return [str(message.sequence) for message in messages]

    # Subscriptions

    def create_subscription(self, resource: Proto) -> Proto:
        """Creates a subscription and returns its description."""
        checked = resources.normalized_subscription(resource)
        if checked.name in self.subscriptions:
            raise already_exists("Subscription", checked.name)
        topic = self.topic(checked.topic)
        if topic.resource.HasField("message_retention_duration"):
            checked.topic_message_retention_duration.CopyFrom(topic.resource.message_retention_duration)
        self._check_dead_letter_topic(checked)
        self._sequence += 1
        state = Subscription(resources.settings(checked), lease_prefix=f"{self._sequence}-")
        attached = Attached(checked, state)
        self.subscriptions[checked.name] = attached
        topic.subscriptions[checked.name] = attached
        return checked

    def subscription(self, name: str) -> Attached:
        """Returns a subscription; raises NOT_FOUND when there is none of that name."""
        limits.check_name("subscriptions", name)
        if name not in self.subscriptions:
            raise not_found("Subscription", name)
        return self.subscriptions[name]

    def active(self, name: str) -> Subscription:
        """Returns the messages of a subscription.

        Raises:
            PubSubError: NOT_FOUND, or FAILED_PRECONDITION when it was detached from its topic.
        """
        attached = self.subscription(name)
        if attached.resource.detached:
            raise PubSubError(Code.FAILED_PRECONDITION, f"Subscription {name} is detached; create a new one.")
        return attached.state

    def update_subscription(self, change: Proto, paths: Iterable[str]) -> Proto:
        """Changes fields of a subscription and returns its description."""
        attached = self.subscription(change.name)
        checked = resources.normalized_subscription(resources.updated(attached.resource, change, paths))
        self._check_dead_letter_topic(checked)
        attached.resource = checked
        self._refresh_settings()
        return checked

    def delete_subscription(self, name: str) -> None:
        """Deletes a subscription and its messages."""
        attached = self.subscription(name)
        self._leave_topic(attached)
        del self.subscriptions[name]
        self._on_change(name)

    def detach_subscription(self, name: str) -> None:
        """Cuts a subscription off its topic and drops its messages."""
        attached = self.subscription(name)
        self._leave_topic(attached)
        attached.resource.detached = True
        attached.state.purge()
        self._on_change(name)

    def take(
        self, name: str, consumer: Consumer, now: int, *, limit: int = MAX_BATCH, lease: int | None = None
    ) -> list[Entry]:
        """Leases messages to a consumer; see `Subscription.take`."""
        state = self.active(name)
        batch = state.take(consumer, now, limit=limit, lease=lease)
        self.forward_dead_letters(name, now)
        return batch

    def acknowledge(self, name: str, ack_ids: Iterable[str], now: int) -> Verdict:
        """Accepts acknowledgements; see `Subscription.acknowledge`."""
        verdict = self.active(name).acknowledge(ack_ids, now)
        self._settle(name, now)
        return verdict

    def modify_deadline(self, name: str, ack_ids: Iterable[str], lease_s: int, now: int) -> Verdict:
        """Sets the remaining time of leases, in seconds; see `Subscription.modify_deadline`."""
        if not 0 <= lease_s <= MAX_LEASE_S:
            raise invalid(f"The acknowledgement deadline {lease_s} is out of bounds; use 0 to {MAX_LEASE_S} seconds.")
        verdict = self.active(name).modify_deadline(ack_ids, lease_s * SECOND, now)
        self._settle(name, now)
        return verdict

    def rewind(self, name: str, candidates: Iterable[Message], deliver: Callable[[Message], bool], now: int) -> None:
        """Starts a subscription over; see `Subscription.rewind`. The filter is applied to the candidates here."""
        state = self.active(name)
        if state.settings.filter is not None:
            matches = state.settings.filter.matches
            candidates = [message for message in candidates if matches(wire.attributes(message))]
        state.rewind(candidates, deliver, now)
        self._on_change(name)

    def tick(self, now: int) -> None:
        """Ends leases whose time is up, wakes resting messages and forwards dead letters, everywhere."""
        for name, attached in list(self.subscriptions.items()):
            if attached.state.tick(now):
                self._settle(name, now)

    def next_event(self) -> int | None:
        """Returns when `tick` next has something to do, or None."""
        moments = (attached.state.next_event() for attached in self.subscriptions.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def forward_dead_letters(self, name: str, now: int) -> None:
        """Publishes to the dead-letter topic what a subscription has given up on."""
        state = self.subscriptions[name].state
        policy = state.settings.dead_letter
        entries, state.undeliverable = state.undeliverable, []
        if entries and policy is not None:
            self.publish(policy.topic, [wire.dead_letter(entry, name) for entry in entries], now)

    def stats(self) -> Mapping[str, SubscriptionStats]:
        """Returns the counts of every subscription by name."""
        return {name: attached.state.stats() for name, attached in self.subscriptions.items()}

    def _settle(self, name: str, now: int) -> None:
        self.forward_dead_letters(name, now)
        self._on_change(name)

    def _retain(self, topic: Topic, messages: Sequence[Message], now: int) -> None:
        for recorder in topic.recorders.values():
            recorder.extend(messages)
        retention = resources.topic_retention(topic.resource)
        if retention:
            topic.retained.extend(messages)
        while topic.retained and topic.retained[0].publish_time < now - retention:
            topic.retained.popleft()

    def _leave_topic(self, attached: Attached) -> None:
        topic = self.topics.get(attached.resource.topic)
        if topic is not None:
            topic.subscriptions.pop(attached.resource.name, None)

    def _check_dead_letter_topic(self, resource: Proto) -> None:
        if resource.HasField("dead_letter_policy"):
            self.topic(resource.dead_letter_policy.dead_letter_topic)

    def _refresh_settings(self) -> None:
        """Gives subscriptions their settings anew, without dead-letter topics that do not exist (any more)."""
        for attached in self.subscriptions.values():
            settings = resources.settings(attached.resource)
            if settings.dead_letter is not None and settings.dead_letter.topic not in self.topics:
                settings = replace(settings, dead_letter=None)
            attached.state.settings = settings


def _passing(settings: Settings, messages: Sequence[Message], protos: Sequence[Proto]) -> Sequence[Message]:
    if settings.filter is None:
        return messages
    matches = settings.filter.matches
    return [message for message, proto in zip(messages, protos, strict=True) if matches(proto.attributes)]


def page(names: Iterable[str], size: int, token: str) -> tuple[list[str], str]:
    """Cuts one page out of a list of names.

    Args:
        names: all names.
        size: most names on a page; 0 for all.
        token: where the page starts, from the answer before; "" for the first.

    Returns:
        The names of the page in order, and the token of the next page or "".
    """
    rest: Iterator[str] = (name for name in sorted(names) if name >= token)
    ordered = list(rest)
    if not size or len(ordered) <= size:
        return ordered, ""
    return ordered[:size], ordered[size]
