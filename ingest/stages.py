"""The stages of a run, wired: source -> decode -> detect -> fetch -> append -> ack."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog

from core.clients import bigquery_client
from core.contracts import Contracts
from core.errors import ConfigurationError
from core.settings import Settings
from ingest.append import AppendStream, BatchWriter, CommittedStream, DefaultStream, TableWriter, WriteStream
from ingest.append.measured import MeasuredStream
from ingest.context import RunContext
from ingest.dead_letters import DEAD_LETTER_TYPE, DeadLetters
from ingest.decode.drift_check import row_check
from ingest.detect import Downstream, Inlet, KnownSets, RawTables, open_inlet
from ingest.drift.log import DriftLog
from ingest.drift.table import SCHEMA_DRIFT, SCHEMA_DRIFT_TYPE
from ingest.drift.watch import DriftWatch
from ingest.encode import ENCODERS
from ingest.fetch import Fetcher, api_client
from ingest.flow import FlowControl
from ingest.intake import Intake, Route, change_handler, notification_handler, table_decoder
from ingest.landing import TableLanding
from ingest.leases import Leases
from ingest.notifications import Notifications
from ingest.oversize import Oversize, oversize_store
from ingest.proto import RowType
from ingest.resources import DEAD_LETTERS_TABLE, covered_topics, table_path, topic_path
from ingest.rpc import BigQueryWrite, PubSub, pubsub_channel, storage_channel
from ingest.transport import Transport
from ingest.transports import Destination, Open, Surroundings, open_transports
from ingest.watermarks import WATERMARK_TYPE, WATERMARKS
from ingest.watermarks.landed import LandedRows
from ingest.watermarks.reports import RunState, WatermarkReports

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run reads and where it writes.

    Attributes:
        settings: where to connect.
        contracts: every table.
        tables: names of the tables to land; empty for all.
        opener: opens other transports than the settings name; None for those.
        is_replay: whether it lands something again, so that what comes says nothing about how far the tables are.
    """

    settings: Settings
    contracts: Contracts
    tables: Sequence[str] = ()
    opener: Open | None = None
    is_replay: bool = False

    def selected(self) -> Contracts:
        """Return the contracts of the tables to land.

        Raises:
            ConfigurationError: when a table has no contract.
        """
        unknown = sorted(set(self.tables) - set(self.contracts))
        if unknown:
            raise ConfigurationError(
                f"no contract declares {', '.join(unknown)}; the tables are {', '.join(self.contracts)}"
            )
        if not self.tables:
            return self.contracts
        return Contracts({name: contract for name, contract in self.contracts.items() if name in self.tables})


@dataclass(frozen=True)
class Stages:
    """The stages, as far as the run's beginning and end concern them.

    Attributes:
        transports: what brings messages.
        flow: bounds what is in flight.
        leases: knows what is in flight.
        dead_letters: takes what cannot be landed.
        drift_log: takes note of payloads that do not fit their contract.
        inlets: the ways into the tables, by table name.
        tables: append rows, by table name.
        notifications: fetches rows; None when no notification is read.
        sink: the channel to BigQuery.
        oversize: takes the rows that no append can carry.
        watermark_reports: says how far the tables are.
    """

    transports: Sequence[Transport]
    flow: FlowControl
    leases: Leases
    dead_letters: DeadLetters
    drift_log: DriftLog
    inlets: Mapping[str, Inlet]
    tables: Mapping[str, TableLanding]
    notifications: Notifications | None
    sink: grpc.aio.Channel
    oversize: Oversize
    watermark_reports: WatermarkReports

    @property
    def is_idle(self) -> bool:
        """Whether every transport is connected and nothing is in flight."""
        return self.leases.messages == 0 and all(one.is_connected and one.is_idle for one in self.transports)

    async def drain(self) -> None:
        """Land, or dead-letter, everything that was pulled, and acknowledge it."""
        if self.notifications is not None:
            await self.notifications.drain()
        for inlet in self.inlets.values():
            await inlet.drain()
        for table in self.tables.values():
            table.batches.flush()
        await self._drain_tables()
        # What was too large comes back to its table, small.
        await self.oversize.batches.drain()
        await self._drain_tables()
        await self.dead_letters.batches.drain()
        await self.drift_log.batches.drain()
        await self._settle_with_transports()

    async def give_up(self) -> None:
        """Stop landing and give everything back that has not landed."""
        if self.notifications is not None:
            await self.notifications.cancel()
        for inlet in self.inlets.values():
            await inlet.cancel()
        for table in self.tables.values():
            await table.batches.cancel()
        await self.oversize.batches.cancel()
        await self.dead_letters.batches.cancel()
        await self.drift_log.batches.cancel()
        self.leases.release_all()
        await self._settle_with_transports()

    async def _drain_tables(self) -> None:
        for table in self.tables.values():
            await table.batches.drain()

    async def _settle_with_transports(self) -> None:
        async with asyncio.TaskGroup() as group:
            for transport in self.transports:
                group.create_task(transport.drain())


@asynccontextmanager
async def open_stages(plan: Plan, context: RunContext) -> AsyncIterator[Stages]:
    """Connect to the services and wire the stages.

    Args:
        plan: what to read and where to write.
        context: the run.

    Yields:
        The stages; nothing is pulled yet.

    Raises:
        ConfigurationError: when the plan names an unknown table, or the API's address is not acceptable.
    """
    settings, selected = plan.settings, plan.selected()
    async with AsyncExitStack() as stack:
        pubsub = PubSub(await stack.enter_async_context(pubsub_channel(settings)))
        sink = await stack.enter_async_context(storage_channel(settings))
        write = BigQueryWrite(sink)
        open_writer = _writers(write, context, stack)
        flow = FlowControl(context.settings.outstanding_messages, context.settings.outstanding_bytes)
        leases = Leases(flow, context)
        store = oversize_store(settings, context.settings)
        dead_letters = DeadLetters(
            open_writer(table_path(settings, settings.audit_dataset, DEAD_LETTERS_TABLE), DEAD_LETTER_TYPE),
            pubsub,
            topic_path(settings, settings.dead_letter_topic),
            leases,
            context,
            store=store,
        )
        oversize = Oversize(store, context)
        drift_log = DriftLog(
            open_writer(table_path(settings, settings.audit_dataset, SCHEMA_DRIFT.name), SCHEMA_DRIFT_TYPE), context
        )
        tables = {}
        for name, contract in selected.items():
            writer = _raw_writer(write, table_path(settings, contract.dataset, name), context, stack)
            encode = ENCODERS[context.settings.encoder]
            tables[name] = TableLanding(name, writer, dead_letters, leases, context, encode=encode, oversize=oversize)
            tables[name].observe(LandedRows(name, context.watermarks))
        context.watermarks.follow(selected)
        topics = _notification_topics(plan, selected)
        warehouse = None
        if topics or any(contract.pattern != "event" for contract in selected.values()):
            warehouse = _warehouse(plan, context, stack)
        inlets = {
            name: open_inlet(contract, table, warehouse, Downstream(table.add_all, dead_letters, leases, context))
            for (name, contract), table in zip(selected.items(), tables.values(), strict=True)
        }
        routes = [
            Route(
                contract.topic,
                name,
                change_handler(table_decoder(contract, drift_log.add, context), inlets[name], leases, context),
            )
            for name, contract in selected.items()
        ]
        notifications = None
        if topics and warehouse is not None:
            client = await stack.enter_async_context(api_client(settings, context.settings))
            fetcher = Fetcher(client, context.settings, context.clock, context.progress)
            sets = KnownSets(warehouse, context)
            checks = {name: row_check(one, DriftWatch(one, drift_log.add)) for name, one in selected.items()}
            notifications = Notifications(fetcher, inlets, dead_letters, leases, context, sets=sets, checks=checks)
            routes += [Route(topic, None, notification_handler(selected, topic, notifications)) for topic in topics]
        destinations = [
            Destination(route.topic, route.table, Intake(route, leases, dead_letters, context).deliver)
            for route in routes
        ]
        around = Surroundings(
            settings=settings,
            contracts=selected,
            context=context,
            flow=flow,
            pubsub=pubsub,
            leases=leases,
            dead_letters=dead_letters,
            open_writer=open_writer,
            stack=stack,
        )
        transports = await open_transports(destinations, around, plan.opener)
        watermarks_table = table_path(settings, settings.audit_dataset, WATERMARKS.name)
        reports = WatermarkReports(
            context.watermarks,
            None if plan.is_replay else open_writer(watermarks_table, WATERMARK_TYPE),
            context,
            RunState(_quietness(transports, flow), leases.is_in_flight, lambda: leases.remembered),
        )
        yield Stages(
            transports, flow, leases, dead_letters, drift_log, inlets, tables, notifications, sink, oversize, reports
        )


def _writers(write: BigQueryWrite, context: RunContext, stack: AsyncExitStack) -> Callable[[str, RowType], TableWriter]:
    """Return what opens a table's writer, to be closed with the stack."""
    settings = context.settings

    def open_writer(table: str, row_type: RowType) -> TableWriter:
        stream = AppendStream(write, table, row_type, settings.append_timeout_s)
        stack.push_async_callback(stream.close)
        return TableWriter(stream, settings.retry_policy(settings.append_attempts))

    return open_writer


def _warehouse(plan: Plan, context: RunContext, stack: AsyncExitStack) -> RawTables:
    """Return what asks the raw tables, to be closed with the stack."""
    client = bigquery_client(plan.settings)
    stack.callback(client.close)
    return RawTables(client, plan.settings, context.settings, context.clock)


def _raw_writer(write: BigQueryWrite, table: str, context: RunContext, stack: AsyncExitStack) -> BatchWriter:
    """Return what appends to a raw table, to be closed with the stack."""
    settings = context.settings
    policy = settings.retry_policy(settings.append_attempts)
    stream: WriteStream
    if settings.stream == "committed":
        stream = CommittedStream(write, table, settings.append_timeout_s, policy)
        # The stream tries again by itself: only it knows the offset.
        policy = settings.retry_policy(1)
    else:
        stream = DefaultStream(write, table, settings.append_timeout_s)
    stack.push_async_callback(stream.close)
    return BatchWriter(MeasuredStream(stream, table.rpartition("/")[2], context.measures), policy)


def _quietness(transports: Sequence[Transport], flow: FlowControl) -> Callable[[str], bool]:
    """Return what tells whether an event of a table, were there one, would have come."""

    def is_quiet(_table: str) -> bool:
        # A transport hands a backlog on at once, unless it is cut off or flow control holds it back.
        return flow.has_room() and all(transport.is_connected for transport in transports)

    return is_quiet


def _notification_topics(plan: Plan, selected: Contracts) -> tuple[str, ...]:
    """Return the notification topics to read: those the selection covers, when there is an API to ask."""
    topics = covered_topics(selected, plan.contracts)
    if not topics or plan.settings.api_base_url is not None:
        return topics
    if plan.settings.environment in ("staging", "production"):
        raise ConfigurationError("MILLRACE_API_BASE_URL is not set, but the contracts declare notifications; set it")
    _log.warning("notifications stay in their subscription: MILLRACE_API_BASE_URL is not set", topics=topics)
    return ()
