"""Between `google.pubsub.v1` protocol buffers and the values of the state machine.

The client library wraps its messages in proto-plus, which costs ten times the work; these are the plain
protocol buffers underneath.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf import duration_pb2, timestamp_pb2
from google.pubsub_v1 import types

from devstack.pubsub.model import SECOND, Entry, Message

# The generated classes have no stubs, hence Any.
Proto = Any
PubsubMessage: Final[Any] = types.PubsubMessage.pb()
ReceivedMessage: Final[Any] = types.ReceivedMessage.pb()


def stamp(proto: Proto, sequence: int, publish_time: int) -> Message:
    """Gives a published message its id and time.

    Args:
        proto: the `PubsubMessage` as it came; it is changed.
        sequence: its place in the order of publication.
        publish_time: nanoseconds since the epoch.

    Returns:
        The message as subscriptions keep it.
    """
    proto.message_id = str(sequence)
    proto.publish_time.seconds, proto.publish_time.nanos = divmod(publish_time, SECOND)
    return Message(sequence, publish_time, proto.ordering_key, proto.SerializeToString())


def attributes(message: Message) -> Mapping[str, str]:
    """Returns the attributes of a kept message."""
    found: Mapping[str, str] = PubsubMessage.FromString(message.encoded).attributes
    return found


def dead_letter(entry: Entry, subscription: str) -> Proto:
    """Returns what is published to the dead-letter topic in place of a message that could not be processed.

    The attributes are those of https://cloud.google.com/pubsub/docs/dead-letter-topics.

    Args:
        entry: the message and its failed deliveries.
        subscription: the full name of the subscription it comes from.
    """
    proto = PubsubMessage.FromString(entry.message.encoded)
    _, project, _, name = subscription.split("/")
    published = datetime.fromtimestamp(entry.message.publish_time / SECOND, UTC)
    proto.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = str(entry.failures)
    proto.attributes["CloudPubSubDeadLetterSourceSubscription"] = name
    proto.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
    proto.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = published.isoformat(timespec="milliseconds")
    return proto


def fill(received: Proto, entries: Sequence[Entry], *, attempts: bool) -> None:
    """Appends leased messages to the `received_messages` of a response.

    Args:
        received: the repeated field.
        entries: the leased entries.
        attempts: whether to tell the delivery attempt, as subscriptions with a dead-letter policy do.
    """
    for entry in entries:
        item = received.add()
        item.ack_id = entry.ack_id
        item.message.MergeFromString(entry.message.encoded)
        if attempts:
            item.delivery_attempt = entry.failures + 1


def nanoseconds(moment: Proto) -> int:
    """Returns a `Duration` or `Timestamp` in nanoseconds."""
    seconds: int = moment.seconds
    nanos: int = moment.nanos
    return seconds * SECOND + nanos


def timestamp(moment: int) -> timestamp_pb2.Timestamp:
    """Returns a moment in nanoseconds since the epoch as a `Timestamp`."""
    seconds, nanos = divmod(moment, SECOND)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)


def duration(length: int) -> duration_pb2.Duration:
    """Returns a length in nanoseconds as a `Duration`."""
    seconds, nanos = divmod(length, SECOND)
    return duration_pb2.Duration(seconds=seconds, nanos=nanos)


def copy(proto: Proto) -> Proto:
    """Returns a copy, so that a stored resource is never shared with a response that is being changed."""
    duplicate = type(proto)()
    duplicate.CopyFrom(proto)
    return duplicate
