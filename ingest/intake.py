"""The way in: what a transport delivers is checked for duplicates, decoded and handed to its stage."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from core.contracts import Contracts, TableContract
from core.errors import DecodeError
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.decode import notification
from ingest.decode.batch import FORESEEN_BY_NOBODY, BatchDecoder, Decoded, batch_decoder, fault_of
from ingest.decode.measured import measured
from ingest.detect import Inlet
from ingest.drift.watch import Report
from ingest.leases import Leases
from ingest.message import Message
from ingest.notifications import Notifications

_log = structlog.get_logger(__name__)

Refused = Sequence[tuple[Message, DecodeError]]

Handler = Callable[[Sequence[Message]], Refused]
"""Takes in messages that arrived together; returns those that cannot be understood, with the reason."""


@dataclass(frozen=True)
class Route:
    """The way of a topic's messages.

    Attributes:
        topic: short name of the topic.
        table: the table its messages are meant for; None when they say so themselves.
        handler: takes in what is no duplicate.
    """

    topic: str
    table: str | None
    handler: Handler


class Intake:
    """Takes in the messages of one topic, whichever transport brings them."""

    def __init__(self, route: Route, leases: Leases, dead_letters: DeadLetters, context: RunContext) -> None:
        """Prepare to take messages in.

        Args:
            route: to which handler.
            leases: tells duplicates.
            dead_letters: takes what cannot be understood.
            context: the run.
        """
        self._route = route
        self._leases = leases
        self._dead_letters = dead_letters
        self._context = context

    def deliver(self, messages: Sequence[Message]) -> None:
        """Take in messages that arrived together: an `ingest.transport.Deliver`.

        Args:
            messages: what one transport brought.
        """
        context = self._context
        messages, outside = context.window.split(messages)
        if outside:
            self._leases.dismiss(outside)
        messages, surplus = context.limit.split(messages)
        if surplus:
            self._leases.refuse(surplus)
        context.progress.receive(len(messages))
        admitted = self._leases.admit(messages)
        context.failpoint.hit("after_pull", len(admitted))
        if admitted:
            topic, carriers = self._route.topic, (message.attributes for message in admitted)
            with context.tracing.span("receive", carriers, topic=topic, messages=len(admitted)):
                for message, error in self._route.handler(admitted):
                    self._dead_letters.add(DeadLetter(message, error.reason, str(error), self._route.table))
        context.failpoint.hit("after_decode", len(admitted))


def change_handler(decode: BatchDecoder, inlet: Inlet, leases: Leases, context: RunContext) -> Handler:
    """Return what takes in the change events of a table.

    Args:
        decode: makes rows of messages.
        inlet: the way into the table.
        leases: settles control messages, which are no rows, and gives back what has to wait.
        context: the run.

    Returns:
        The handler.
    """

    def handle(messages: Sequence[Message]) -> Refused:
        rows = inlet.take_markers(messages)
        if not rows:
            return ()
        decoded = decode(rows)
        leases.expect_two(decoded.in_two)
        inlet.land(decoded.landings)
        if decoded.control:
            context.progress.control += len(decoded.control)
            leases.settle(decoded.control)
        if decoded.waiting:
            # Held until then, so that they count as in flight, and what cannot be decoded anyway is not pulled.
            asyncio.get_running_loop().call_later(decoded.retry_after_s, leases.release, decoded.waiting)
            _log.warning("messages_wait", messages=len(decoded.waiting), retry_after_s=decoded.retry_after_s)
        return decoded.refused

    return handle


def table_decoder(contract: TableContract, report: Report, context: RunContext) -> BatchDecoder:
    """Return what decodes the messages of a table's topic.

    Args:
        contract: the table; its wire format picks the dialect.
        report: told of payloads that do not fit the contract.
        context: the run.

    Returns:
        The decoder.
    """
    decode = measured(batch_decoder(contract, context.progress.load_id, report), contract.topic, context)

    def decode_and_tell(messages: Sequence[Message]) -> Decoded:
        decoded = decode(messages)
        context.watermarks.received(contract.name, [landing.row for landing in decoded.landings])
        return decoded

    return decode_and_tell


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

    def handle(messages: Sequence[Message]) -> Refused:
        refused = []
        for message in messages:
            try:
                told = decode(message)
            except DecodeError as error:
                refused.append((message, error))
            except FORESEEN_BY_NOBODY as error:
                refused.append((message, fault_of(error, message)))
            else:
                notifications.add(told)
        return refused

    return handle
