"""The events that are measured with: those of a generated world, as Debezium tells them."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from core.contracts import Contracts
from core.settings import Settings
from devstack.pubsub import stats
from devstack.world import ORDERLY, Message, World
from ingest.resources import subscription_path

SEED: Final = 20_260_105
_MEMBERS_SHARE: Final = 0.05
_OF_TABLES: Final = frozenset({"event", "tombstone"})


def generated(contracts: Contracts, count: int) -> tuple[Message, ...]:
    """Return the messages of the first changes of a world: the same ones for the same count.

    Args:
        contracts: the tables.
        count: how many.

    Returns:
        Events and tombstones of all tables, in order, each once.
    """
    world = World(SEED, max(20, round(count * _MEMBERS_SHARE)), contracts, shares=ORDERLY)
    # What is told by notification, and not by an event, is left out below.
    world.evolve(round(count * 1.1) + 20)
    told = [message for message in world.deliver(final=True) if message.kind in _OF_TABLES]
    return tuple(told[:count])


def by_topic(messages: Sequence[Message]) -> dict[str, int]:
    """Return how many messages go to each topic."""
    return dict(Counter(message.topic for message in messages))


def check_drained(settings: Settings, topics: Sequence[str]) -> None:
    """Make sure that every message was acknowledged: who loses messages is not quick.

    Args:
        settings: where Pub/Sub is.
        topics: short names of the topics, each with its subscription.

    Raises:
        RuntimeError: when messages are left.
    """
    found = stats.fetch(settings.pubsub_emulator_host or "")
    left = {topic: found[subscription_path(settings, topic)].backlog for topic in topics}
    if any(left.values()):
        raise RuntimeError(f"messages were left without acknowledgement: {left}")
