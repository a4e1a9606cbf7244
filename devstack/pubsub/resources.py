"""Topics and subscriptions as the API describes them: checks, defaults, and updates by field mask.

Limits are those of the reference,
https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.pubsub_v1 import types

from devstack.pubsub import filters, wire
from devstack.pubsub.errors import Code, PubSubError, invalid
from devstack.pubsub.limits import check_endpoint, check_name
from devstack.pubsub.model import SECOND, DeadLetterPolicy, RetryPolicy, Settings
from devstack.pubsub.wire import Proto

Topic: Final[Any] = types.Topic.pb()
Subscription: Final[Any] = types.Subscription.pb()
Snapshot: Final[Any] = types.Snapshot.pb()

DELETED_TOPIC: Final = "_deleted-topic_"
_DAY: Final = 24 * 3600 * SECOND
_RETENTION: Final = (600 * SECOND, 31 * _DAY)
_DEFAULT_RETENTION: Final = 7 * _DAY
_DEFAULT_ACK_DEADLINE_S: Final = 10
_MAX_ACK_DEADLINE_S: Final = 600
_DEFAULT_BACKOFF: Final = (10 * SECOND, 600 * SECOND)
_DEFAULT_ATTEMPTS: Final = 5
_ATTEMPTS: Final = (5, 100)
_DEFAULT_EXPIRATION: Final = 31 * _DAY
_IMMUTABLE: Final = frozenset({"name", "topic", "filter", "enable_message_ordering"})
_NOT_SERVED: Final = ("bigquery_config", "cloud_storage_config", "bigtable_config")


def normalized_topic(topic: Proto) -> Proto:
    """Returns a checked copy of a topic to be stored.

    Raises:
        PubSubError: INVALID_ARGUMENT when a field is out of bounds.
    """
    check_name("topics", topic.name)
    if topic.HasField("message_retention_duration"):
        _check_bounds("message_retention_duration", wire.nanoseconds(topic.message_retention_duration), _RETENTION)
    return wire.copy(topic)


def topic_retention(topic: Proto) -> int:
    """Returns how long a topic keeps messages for seeks, in nanoseconds; 0 when it does not."""
    return wire.nanoseconds(topic.message_retention_duration)


def normalized_subscription(subscription: Proto) -> Proto:
    """Returns a checked copy of a subscription with its defaults filled in.

    Raises:
        PubSubError: INVALID_ARGUMENT when a field is out of bounds, UNIMPLEMENTED when it asks for anything
            but pulling, or pushing to loopback.
    """
    check_name("subscriptions", subscription.name)
    _check_served(subscription)
    check_endpoint(subscription.push_config.push_endpoint)
    checked = wire.copy(subscription)
    checked.ack_deadline_seconds = checked.ack_deadline_seconds or _DEFAULT_ACK_DEADLINE_S
    if not _DEFAULT_ACK_DEADLINE_S <= checked.ack_deadline_seconds <= _MAX_ACK_DEADLINE_S:
        raise invalid("ack_deadline_seconds is out of bounds; use 10 to 600 seconds.")
    if not checked.HasField("message_retention_duration"):
        checked.message_retention_duration.CopyFrom(wire.duration(_DEFAULT_RETENTION))
    _check_bounds("message_retention_duration", wire.nanoseconds(checked.message_retention_duration), _RETENTION)
    if not checked.HasField("expiration_policy"):
        checked.expiration_policy.ttl.CopyFrom(wire.duration(_DEFAULT_EXPIRATION))
    _normalize_retry(checked)
    _normalize_dead_letter(checked)
    filters.parse(checked.filter)
    checked.state = types.Subscription.State.ACTIVE
    return checked


def settings(subscription: Proto) -> Settings:
    """Returns what the state machine needs to know of a normalized subscription."""
    retry = subscription.retry_policy
    dead_letter = subscription.dead_letter_policy
    return Settings(
        name=subscription.name,
        ack_deadline=subscription.ack_deadline_seconds * SECOND,
        retention=wire.nanoseconds(subscription.message_retention_duration),
        retain_acked=subscription.retain_acked_messages,
        ordered=subscription.enable_message_ordering,
        exactly_once=subscription.enable_exactly_once_delivery,
        filter=filters.parse(subscription.filter),
        retry=RetryPolicy(wire.nanoseconds(retry.minimum_backoff), wire.nanoseconds(retry.maximum_backoff))
        if subscription.HasField("retry_policy")
        else None,
        dead_letter=DeadLetterPolicy(dead_letter.dead_letter_topic, dead_letter.max_delivery_attempts)
        if subscription.HasField("dead_letter_policy")
        else None,
    )


def updated(stored: Proto, change: Proto, paths: Iterable[str]) -> Proto:
    """Returns a copy of a resource with some fields taken from another.

    Args:
        stored: the resource as it is.
        change: the fields' new values.
        paths: the fields of the update mask.

    Raises:
        PubSubError: INVALID_ARGUMENT when the mask is empty or names a field that is unknown or immutable.
    """
    names = list(paths)
    if not names:
        raise invalid("The update_mask is empty; name the fields to update.")
    merged = wire.copy(stored)
    for path in names:
        name = path.partition(".")[0]
        field = merged.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise invalid(f"The update_mask names an unknown field: {path}.")
        if name in _IMMUTABLE:
            raise invalid(f"The field {path} cannot be changed; create a new resource.")
        merged.ClearField(name)
        if field.is_repeated or not field.has_presence:
            _copy_plain(merged, change, name)
        elif change.HasField(name):
            getattr(merged, name).CopyFrom(getattr(change, name))
    return merged


def _copy_plain(merged: Proto, change: Proto, name: str) -> None:
    value = getattr(change, name)
    if hasattr(value, "MergeFrom"):
        getattr(merged, name).MergeFrom(value)
    else:
        setattr(merged, name, value)


def _check_served(subscription: Proto) -> None:
    for name in _NOT_SERVED:
        if subscription.HasField(name):
            raise PubSubError(Code.UNIMPLEMENTED, f"{name} is not served here; subscriptions are pulled or pushed.")


def _normalize_retry(subscription: Proto) -> None:
    if not subscription.HasField("retry_policy"):
        return
    policy = subscription.retry_policy
    for name, default in zip(("minimum_backoff", "maximum_backoff"), _DEFAULT_BACKOFF, strict=True):
        if not policy.HasField(name):
            getattr(policy, name).CopyFrom(wire.duration(default))
        _check_bounds(f"retry_policy.{name}", wire.nanoseconds(getattr(policy, name)), (0, 600 * SECOND))
    if wire.nanoseconds(policy.minimum_backoff) > wire.nanoseconds(policy.maximum_backoff):
        raise invalid("retry_policy.minimum_backoff is larger than maximum_backoff; swap them.")


def _normalize_dead_letter(subscription: Proto) -> None:
    if not subscription.HasField("dead_letter_policy"):
        return
    policy = subscription.dead_letter_policy
    check_name("topics", policy.dead_letter_topic)
    policy.max_delivery_attempts = policy.max_delivery_attempts or _DEFAULT_ATTEMPTS
    fewest, most = _ATTEMPTS
    if not fewest <= policy.max_delivery_attempts <= most:
        raise invalid(f"dead_letter_policy.max_delivery_attempts is out of bounds; use {fewest} to {most}.")


def _check_bounds(field: str, value: int, bounds: tuple[int, int]) -> None:
    least, most = bounds
    if not least <= value <= most:
        raise invalid(f"{field} is out of bounds; use {least // SECOND} to {most // SECOND} seconds.")
