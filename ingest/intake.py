"""The way in: what a subscription delivers is checked for duplicates, decoded and handed to its stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.contracts import Contracts, TableContract
from core.errors import DecodeError
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.decode import DIALECTS, notification
from ingest.landing import TableLanding
from ingest.leases import Leases
from ingest.message import Message, from_received
from ingest.notifications import Notifications

Handler = Callable[[Message], None]
"""Takes a message in; raises `DecodeError` for one that cannot be understood."""


@dataclass(frozen=True)
class Route:
    """The way of a subscription's messages.

    Attributes:
        subscription: full name of the subscription.
        topic: short name of its topic.
        table: the table its messages are meant for; None when they say so themselves.
        handler: takes each message that is not a duplicate.
    """

    subscription: str
    topic: str
    table: str | None
    handler: Handler


class Intake:
    """Takes in the messages of one subscription."""

    def __init__(self, route: Route, leases: Leases, dead_letters: DeadLetters, context: RunContext) -> None:
        """Prepare to take messages in.

        Args:
            route: from which subscription to which handler.
            leases: tells duplicates.
            dead_letters: takes what cannot be understood.
            context: the run.
        """
        self._route = route
        self._leases = leases
        self._dead_letters = dead_letters
        self._context = context

    def deliver(self, received: Sequence[Any]) -> None:
        """Take in the messages of one response.

        Args:
            received: raw `google.pubsub.v1.ReceivedMessage`s.
        """
        route, context = self._route, self._context
        context.progress.receive(len(received))
        messages = [from_received(route.subscription, route.topic, one) for one in received]
        admitted = [message for message in messages if self._leases.admit(message)]
        context.failpoint.hit("after_pull", len(admitted))
        for message in admitted:
            try:
                route.handler(message)
            except DecodeError as error:
                self._dead_letters.add(DeadLetter(message, error.reason, str(error), route.table))
        context.failpoint.hit("after_decode", len(admitted))


def change_handler(contract: TableContract, landing: TableLanding, leases: Leases, context: RunContext) -> Handler:
    """Return what takes in the change events of a table.

    Args:
        contract: the table; its wire format picks the dialect.
        landing: appends the rows.
        leases: settles control messages, which are no rows.
        context: the run.

    Returns:
        The handler.
    """
    decode = DIALECTS[contract.wire_format](contract, context.progress.load_id)

    def handle(message: Message) -> None:
        row = decode(message)
        if row is None:
            context.progress.control += 1
            leases.settle((message,))
        else:
            landing.add(message, row)

    return handle


def notification_handler(contracts: Contracts, topic: str, notifications: Notifications) -> Handler:
    """Return what takes in the notifications of a topic.

    Args:
        contracts: the tables being landed.
        topic: short name of the topic.
        notifications: fetches the rows.

    Returns:
        The handler.
    """
    decode = notification.decoder(contracts, topic)

    def handle(message: Message) -> None:
        notifications.add(decode(message))

    return handle
