"""The ways into the stages: `MILLRACE_INGEST_TRANSPORT` picks the one that brings the messages of every topic or table.

A transport of another kind is one function here, and the module that it opens.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from core.contracts import Contracts
from core.errors import ConfigurationError, DecodeError
from core.settings import Settings
from ingest.append import TableWriter
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.flow import FlowControl
from ingest.leases import Leases
from ingest.message import Message
from ingest.proto import RowType
from ingest.pubsub import PubSubTransport
from ingest.resources import subscription_path, table_path
from ingest.rpc import PubSub
from ingest.transport import Deliver, Transport

if TYPE_CHECKING:
    from core.pinned import ObjectStore
    from ingest.files.objects import ObjectSource
    from ingest.files.settings import FilesSettings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Destination:
    """Where the messages of a topic go.

    Attributes:
        topic: short name of the topic.
        table: the table its messages are meant for; None when they say so themselves.
        deliver: takes them.
    """

    topic: str
    table: str | None
    deliver: Deliver


@dataclass(frozen=True)
class Surroundings:
    """What transports are opened with.

    Attributes:
        settings: where the services are.
        contracts: the tables being landed.
        context: the run.
        flow: bounds what is in flight.
        pubsub: Pub/Sub.
        leases: know what is in flight.
        dead_letters: take what can never be landed.
        open_writer: opens a table for appending, by full name and type of its rows.
        stack: closes what was opened.
    """

    settings: Settings
    contracts: Contracts
    context: RunContext
    flow: FlowControl
    pubsub: PubSub
    leases: Leases
    dead_letters: DeadLetters
    open_writer: Callable[[str, RowType], TableWriter]
    stack: AsyncExitStack


Open = Callable[[Sequence[Destination], Surroundings], Awaitable[Sequence[Transport]]]


async def open_transports(
    destinations: Sequence[Destination], surroundings: Surroundings, opener: Open | None = None
) -> Sequence[Transport]:
    """Open the transports that the settings name, or others in their stead.

    Args:
        destinations: where messages go; none of a topic twice.
        surroundings: what they are opened with.
        opener: opens others, for a command that lands something again; None for what the settings name.

    Returns:
        The transports; nothing is pulled yet, and their leases are kept.

    Raises:
        ConfigurationError: when their own settings are wrong.
    """
    opener = opener or OPENERS[surroundings.context.settings.transport]
    transports = await opener(destinations, surroundings)
    for transport in transports:
        surroundings.leases.attach(transport)
    return transports


def check_shared(transport: str) -> None:
    """Make sure that several processes may share the work of one transport.

    Args:
        transport: the value of `MILLRACE_INGEST_TRANSPORT`.

    Raises:
        ConfigurationError: when each of them would do the whole of it, or they would be taken for one and the same.
    """
    from ingest.files.settings import load_files_settings
    from ingest.kafka import load_kafka_settings

    if transport == "files" and load_files_settings().notification_topic is None:
        raise ConfigurationError(
            "every process that lists a place would load all of it: run one, or let the bucket tell a topic and set "
            "MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC"
        )
    if transport == "kafka" and load_kafka_settings().group_instance_id is not None:
        raise ConfigurationError(
            "MILLRACE_INGEST_KAFKA_GROUP_INSTANCE_ID names one member: give each process a name of its own, or none"
        )


def _subscription(topic: str, around: Surroundings, flow: FlowControl, deliver: Deliver) -> PubSubTransport:
    name = subscription_path(around.settings, topic)
    return PubSubTransport(name, topic, around.pubsub, around.context, flow=flow, deliver=deliver)


async def _open_pubsub(destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
    """Open a subscription for each topic."""
    return [_subscription(destination.topic, around, around.flow, destination.deliver) for destination in destinations]


async def _open_push(destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
    """Take what the topics' push subscriptions send to the run's HTTP server."""
    # What only a server needs is loaded only by those who serve.
    from ingest.push.opening import open_push
    from ingest.push.settings import load_push_settings

    deliver = {
        (subscription_path(around.settings, destination.topic), destination.topic): destination.deliver
        for destination in destinations
    }
    return await open_push(load_push_settings(), around.context, around.flow, deliver, around.stack)


async def _open_kafka(destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
    """Join a consumer group, with all topics."""
    # Kafka's client is loaded only by those who use it.
    from ingest.kafka import load_kafka_settings
    from ingest.kafka.transport import open_kafka

    deliver = {destination.topic: destination.deliver for destination in destinations}
    opening = open_kafka(load_kafka_settings(), around.context, around.flow, deliver)
    return [await around.stack.enter_async_context(opening)]


async def _open_files(destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
    """Open a place with the files of those tables that have any."""
    from core.pinned import open_store
    from ingest.files.listing import Listing
    from ingest.files.matching import TableMatcher
    from ingest.files.notified import Notified
    from ingest.files.records import loaded_versions
    from ingest.files.settings import load_files_settings

    files, settings = load_files_settings(), around.settings
    store = open_store(files.uri, settings)
    topic = files.notification_topic
    is_wanted = TableMatcher(around.contracts).is_wanted
    source: ObjectSource
    if topic is None:
        source = Listing(files, store, lambda uris: loaded_versions(settings, uris), around.context, is_wanted)
    else:
        subscribe = partial(_subscription, topic, around)
        source = Notified(files.uri, subscribe, around.context, is_wanted)
    left_out = sorted(name for name, contract in around.contracts.items() if contract.files is None)
    if left_out:
        _log.info("tables without files are not loaded", tables=left_out)
    return [files_transport(destinations, around, files, store, source)]


def files_transport(
    destinations: Sequence[Destination],
    around: Surroundings,
    files: "FilesSettings",
    store: "ObjectStore",
    source: "ObjectSource",
) -> Transport:
    """Return what loads the objects that a source finds.

    Args:
        destinations: where messages go.
        around: what it is opened with.
        files: the place, and how much at once.
        store: the place.
        source: finds objects.

    Raises:
        ConfigurationError: when no table has files.
    """
    from ingest.files.dumps import DumpFiles
    from ingest.files.records import loaded_rows
    from ingest.files.table import LOADED_FILE_TYPE, LOADED_FILES
    from ingest.files.transport import FilesTransport

    settings = around.settings
    records = table_path(settings, settings.audit_dataset, LOADED_FILES.name)
    return FilesTransport(
        files,
        around.contracts,
        around.context,
        around.flow,
        source=source,
        store=store,
        deliver={one.table: one.deliver for one in destinations if one.table is not None},
        refuse=_refuser(around.leases, around.dead_letters),
        records=around.open_writer(records, LOADED_FILE_TYPE),
        dumps=DumpFiles(store, lambda uris: loaded_rows(settings, uris), around.context.settings.dump_patience_s),
    )


def _refuser(leases: Leases, dead_letters: DeadLetters) -> Callable[[Message, DecodeError, str | None], None]:
    """Return what dead-letters an object, unless that is under way already."""

    def refuse(message: Message, error: DecodeError, table: str | None) -> None:
        if leases.admit([message]):
            dead_letters.add(DeadLetter(message, error.reason, str(error), table))

    return refuse


OPENERS: Final[Mapping[str, Open]] = {
    "pubsub": _open_pubsub,
    "push": _open_push,
    "kafka": _open_kafka,
    "files": _open_files,
}
"""By the value of `MILLRACE_INGEST_TRANSPORT`."""
