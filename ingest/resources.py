"""The full names of what the ingester reads and writes."""

from core.contracts import Contracts
from core.settings import Settings

DEAD_LETTERS_TABLE = "dead_letters"


def topic_path(settings: Settings, topic: str) -> str:
    """Return the full name of a topic.

    Args:
        settings: the project.
        topic: short name.
    """
    return f"projects/{settings.project}/topics/{topic}"


def subscription_path(settings: Settings, topic: str) -> str:
    """Return the full name of the subscription by which the ingester reads a topic.

    Args:
        settings: the project and the suffix of the subscriptions.
        topic: short name of the topic.
    """
    return f"projects/{settings.project}/subscriptions/{topic}{settings.subscription_suffix}"


def table_path(settings: Settings, dataset: str, table: str) -> str:
    """Return the full name of a table, as the Storage Write API spells it.

    Args:
        settings: the project.
        dataset: dataset name.
        table: table name.
    """
    return f"projects/{settings.project}/datasets/{dataset}/tables/{table}"


def covered_topics(selected: Contracts, contracts: Contracts) -> tuple[str, ...]:
    """Return the notification topics that a selection of tables covers.

    A topic cannot be read in part, so one that also speaks of a table left out is not covered.

    Args:
        selected: the chosen tables.
        contracts: all tables.

    Returns:
        Short names of topics, sorted.
    """
    left_out = {contract.notification_topic for name, contract in contracts.items() if name not in selected}
    return tuple(topic for topic in selected.notification_topics() if topic not in left_out)
