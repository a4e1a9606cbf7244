"""The values the state machine works on. Times are nanoseconds since the epoch (UTC), sizes are bytes."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devstack.pubsub.filters import Filter

SECOND: Final = 1_000_000_000
UNLIMITED: Final = 0


class Message(NamedTuple):
    """A published message, shared by every subscription that has yet to acknowledge it.

    Attributes:
        sequence: its place in the order of publication; the message id is this number in decimal.
        publish_time: when the server accepted it.
        ordering_key: the key within which order is kept, or "".
        encoded: the whole `google.pubsub.v1.PubsubMessage`, serialized.
    """

    sequence: int
    publish_time: int
    ordering_key: str
    encoded: bytes


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a message that was not acknowledged rests before it is delivered again."""

    minimum_backoff: int
    maximum_backoff: int


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Where a message goes that was delivered in vain too often."""

    topic: str
    max_delivery_attempts: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What a subscription does with its messages.

    Attributes:
        name: the full resource name.
        ack_deadline: how long a pulled message is leased.
        retention: how long a message is kept, acknowledged ones only with `retain_acked`.
        retain_acked: whether acknowledged messages stay, so that a seek can bring them back.
        ordered: whether messages with an ordering key are delivered in order.
        exactly_once: whether an acknowledgement after the lease has run out is refused.
        filter: which messages are delivered; the others count as acknowledged at once.
        retry: the pause before a redelivery; none redelivers at once.
        dead_letter: when and where to give up on a message.
    """

    name: str
    ack_deadline: int = 10 * SECOND
    retention: int = 7 * 24 * 3600 * SECOND
    retain_acked: bool = False
    ordered: bool = False
    exactly_once: bool = False
    filter: Filter | None = None
    retry: RetryPolicy | None = None
    dead_letter: DeadLetterPolicy | None = None


@dataclass(slots=True, eq=False)
class Consumer:
    """Whoever takes messages: one Pull call, or one StreamingPull with its flow control.

    Attributes:
        holder: the identity ordering keys stick to; streams with the same client id share it.
        max_messages: most messages leased to this consumer at once; `UNLIMITED` for no limit.
        max_bytes: the same in bytes; one message is always let through, however large.
        outstanding_messages: messages leased to this consumer now.
        outstanding_bytes: their size.
    """

    holder: object = field(default_factory=object)
    max_messages: int = UNLIMITED
    max_bytes: int = UNLIMITED
    outstanding_messages: int = 0
    outstanding_bytes: int = 0

    def admits(self, message: Message) -> bool:
        """Returns whether flow control lets this message through now."""
        if self.max_messages and self.outstanding_messages >= self.max_messages:
            return False
        if not self.max_bytes or not self.outstanding_messages:
            return True
        return self.outstanding_bytes + len(message.encoded) <= self.max_bytes

    def charge(self, message: Message) -> None:
        """Counts a message that was leased to this consumer."""
        self.outstanding_messages += 1
        self.outstanding_bytes += len(message.encoded)

    def release(self, message: Message) -> None:
        """Counts a message whose lease has ended."""
        self.outstanding_messages -= 1
        self.outstanding_bytes -= len(message.encoded)


class Entry:
    """One message's life in one subscription, from publication to acknowledgement.

    Attributes:
        message: the message.
        failures: how often it was refused or its lease ran out.
        ack_id: the id of its latest delivery, "" before the first.
        deadline: when its lease ends; meaningful while it is leased.
        consumer: who holds the lease, if anybody does.
        acked: whether an acknowledgement was accepted.
    """

    __slots__ = ("ack_id", "acked", "consumer", "deadline", "failures", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.failures = 0
        self.ack_id = ""
        self.deadline = 0
        self.consumer: Consumer | None = None
        self.acked = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the ids of one acknowledgement or deadline change.

    Attributes:
        invalid: ids that name no lease of this subscription (any more).
        unordered: ids that must wait for an earlier message of the same ordering key (exactly-once only).
    """

    invalid: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """Counts of one subscription since it was created.

    Attributes:
        published: messages that reached the subscription, filtered ones not counted.
        filtered: messages its filter turned away.
        delivered: deliveries, redeliveries included.
        acked: messages acknowledged.
        dead_lettered: messages forwarded to the dead-letter topic.
        outstanding: messages leased to somebody now.
        backlog: messages not yet acknowledged, outstanding ones included.
        backlog_bytes: their size.
    """

    published: int = 0
    filtered: int = 0
    delivered: int = 0
    acked: int = 0
    dead_lettered: int = 0
    outstanding: int = 0
    backlog: int = 0
    backlog_bytes: int = 0
