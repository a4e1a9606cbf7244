"""Having Pub/Sub deliver again what was published since an instant.

Two ways, after https://cloud.google.com/pubsub/docs/replay-overview:

* Seek the ingester's own subscriptions back. Whatever was acknowledged since then comes again, to the ingester that
  runs anyway. The service marks what is older as acknowledged, so nothing older may still be waiting.
* Seek temporary subscriptions back, and land what they bring within a window of publish time. The ingester's own
  subscriptions are not touched, whatever waits in them.

Rows land again with the message ids they had, and the zones above raw deduplicate by those.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.protobuf import timestamp_pb2

from core.clients import publisher_client, subscriber_client
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from ingest.resources import subscription_path, topic_path

_TIMEOUT_S: Final = 30.0


class Source(msgspec.Struct, frozen=True):
    """A subscription and what of the past it can bring back.

    Attributes:
        topic: short name of its topic.
        subscription: full name.
        topic_retention_s: how long the topic keeps messages, in seconds; 0 when it does not.
        acked_retention_s: how long the subscription keeps acknowledged messages, in seconds; 0 when it does not.
    """

    topic: str
    subscription: str
    topic_retention_s: int
    acked_retention_s: int

    @property
    def reach_s(self) -> int:
        """How far back a seek of this subscription brings messages again, in seconds."""
        return max(self.topic_retention_s, self.acked_retention_s)


def sources(settings: Settings, topics: Iterable[str]) -> list[Source]:
    """Look up the ingester's subscriptions.

    Args:
        settings: where Pub/Sub is.
        topics: short names.

    Returns:
        One a topic.

    Raises:
        ConfigurationError: when one does not exist or may not be looked at.
    """
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    try:
        return [_source(settings, topic, publisher, subscriber) for topic in topics]
    finally:
        publisher.stop()
        subscriber.close()


def check_reach(found: Sequence[Source], begin: datetime, now: datetime, *, topics_only: bool) -> None:
    """Make sure that the past is still there.

    Args:
        found: the subscriptions.
        begin: where the replay begins.
        now: the present instant.
        topics_only: whether only what the topics keep counts, as for a subscription that is yet to be made.

    Raises:
        ConfigurationError: when messages since then are not kept any more; the message says how to keep them.
    """
    wanted = (now - begin).total_seconds()
    short = [one for one in found if (one.topic_retention_s if topics_only else one.reach_s) < wanted]
    if short:
        example = short[0]
        raise ConfigurationError(
            f"{len(short)} of {len(found)} topics do not keep what was published {wanted / 3_600:.1f} h ago, such as "
            f"{example.topic}, which keeps {example.reach_s / 3_600:.1f} h. Choose a later --from; for the next time, "
            "set topic_retention_days in terraform, or `gcloud pubsub topics update "
            f"{example.topic} --message-retention-duration=7d`"
        )


def seek(settings: Settings, subscriptions: Iterable[str], begin: datetime) -> None:
    """Have subscriptions deliver again what was published since an instant.

    Args:
        settings: where Pub/Sub is.
        subscriptions: full names.
        begin: the instant.

    Raises:
        UnavailableError: when Pub/Sub refuses or does not answer; those before it in order have been sought.
    """
    moment = timestamp_pb2.Timestamp()
    moment.FromDatetime(begin)
    subscriber = subscriber_client(settings)
    try:
        for name in subscriptions:
            try:
                subscriber.seek(request={"subscription": name, "time": moment}, timeout=_TIMEOUT_S, retry=None)
            except GoogleAPIError as error:
                raise UnavailableError(
                    f"{name} could not be sought back: {error}; the command can be repeated"
                ) from error
    finally:
        subscriber.close()


def _source(settings: Settings, topic: str, publisher: Any, subscriber: Any) -> Source:
    name = subscription_path(settings, topic)
    try:
        kept = publisher.get_topic(request={"topic": topic_path(settings, topic)}, timeout=_TIMEOUT_S, retry=None)
        found = subscriber.get_subscription(request={"subscription": name}, timeout=_TIMEOUT_S, retry=None)
    except NotFound as error:
        raise ConfigurationError(f"{error.message}; create it (`ingest setup` locally, terraform elsewhere)") from error
    except GoogleAPIError as error:
        raise UnavailableError(f"{name}: {error}") from error
    acked = found.message_retention_duration if found.retain_acked_messages else None
    return Source(
        topic,
        name,
        topic_retention_s=_seconds(kept.message_retention_duration),
        acked_retention_s=_seconds(acked),
    )


def _seconds(duration: Any) -> int:
    return int(duration.total_seconds()) if duration else 0
