"""The exact account of what was sent."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack.world.changes import Message


@dataclass(frozen=True)
class TopicLedger:
    """What was sent to one topic; every number counts messages.

    Attributes:
        events: change events, sent for the first time.
        tombstones: empty messages after a delete, sent for the first time.
        notifications: notifications, sent for the first time.
        duplicates: events, tombstones and notifications sent again.
        poison: messages that nobody can decode.
        control: heartbeats and transaction boundaries.
        set_notifications: notifications of sets, also those sent again. They land no row of their own, but a row for
            each one of the set that changed.
    """

    events: int = 0
    tombstones: int = 0
    notifications: int = 0
    duplicates: int = 0
    poison: int = 0
    control: int = 0
    set_notifications: int = 0

    @property
    def sent(self) -> int:
        """All messages but control and notifications of sets: each must be landed or dead-lettered."""
        return self.landable + self.poison

    @property
    def landable(self) -> int:
        """Messages that must be landed: all but poison, control and notifications of sets."""
        return self.events + self.tombstones + self.notifications + self.duplicates


@dataclass(frozen=True)
class Ledger:
    """What was sent so far.

    Attributes:
        topics: by topic.
        poison_kinds: number of poison messages by kind.
    """

    topics: Mapping[str, TopicLedger] = field(default_factory=dict)
    poison_kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def events_sent(self) -> int:
        """All messages but control and notifications of sets, over all topics."""
        return sum(topic.sent for topic in self.topics.values())

    @property
    def poison_sent(self) -> int:
        """All poison, over all topics."""
        return sum(topic.poison for topic in self.topics.values())

    @property
    def control_sent(self) -> int:
        """All control messages, over all topics."""
        return sum(topic.control for topic in self.topics.values())

    @property
    def sets_sent(self) -> int:
        """All notifications of sets, over all topics."""
        return sum(topic.set_notifications for topic in self.topics.values())

    def plus(self, messages: Iterable[Message]) -> "Ledger":
        """Return the ledger after some more messages were sent.

        Args:
            messages: what was sent.

        Returns:
            A new ledger.
        """
        columns: dict[str, Counter[str]] = {
            topic: Counter({name: getattr(sent, name) for name in TopicLedger.__dataclass_fields__})
            for topic, sent in self.topics.items()
        }
        kinds = Counter(self.poison_kinds)
        for message in messages:
            columns.setdefault(message.topic, Counter())[_column(message)] += 1
            if message.kind == "poison":
                kinds[message.detail] += 1
        return Ledger({topic: TopicLedger(**columns[topic]) for topic in sorted(columns)}, dict(sorted(kinds.items())))

    def as_dict(self) -> dict[str, Any]:
        """Return the ledger as what JSON can hold, with the totals."""
        topics = {
            topic: {name: getattr(sent, name) for name in TopicLedger.__dataclass_fields__} | {"sent": sent.sent}
            for topic, sent in self.topics.items()
        }
        return {
            "events_sent": self.events_sent,
            "poison_sent": self.poison_sent,
            "control_sent": self.control_sent,
            "sets_sent": self.sets_sent,
            "topics": topics,
            "poison_kinds": dict(self.poison_kinds),
        }


def _column(message: Message) -> str:
    if message.kind in ("poison", "control"):
        return message.kind
    if message.kind == "set_notification":
        return "set_notifications"
    return "duplicates" if message.is_duplicate else f"{message.kind}s"
