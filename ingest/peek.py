"""Reading a subscription without landing anything: for `ingest run --dry-run` and `ingest tail`."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from core.contracts import Contracts, TableContract
from core.errors import DecodeError
from core.settings import Settings
from ingest.context import RunContext
from ingest.decode.batch import batch_decoder
from ingest.detect.dumps import dump_marker
from ingest.detect.positions import Positioner, positioner
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.preview import Preview, preview
from ingest.progress import Progress
from ingest.pubsub import PubSubTransport
from ingest.row import Landing
from ingest.rpc import PubSub, pubsub_channel
from ingest.settings import IngestSettings

_LOOK_S: Final = 0.05


class Peeked(msgspec.Struct, frozen=True):
    """What a look found.

    Attributes:
        rows: rows that would land, per table.
        operations: the same, per operation.
        control: heartbeats, transaction boundaries, and the beginnings and ends of full dumps; an end whose rows have
            not all landed would be dead-lettered, which only a run finds out.
        refused: messages that would be dead-lettered, per reason.
    """

    rows: dict[str, int]
    operations: dict[str, int]
    control: int
    refused: dict[str, int]


@dataclass
class _Counts:
    rows: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    control: int = 0


class Peek:
    """A look at what comes, bounded by a number of messages or by idleness."""

    def __init__(
        self,
        settings: Settings,
        tunables: IngestSettings,
        show: Callable[[Preview], None],
        *,
        keep: bool,
        reveal: bool = False,
        limit: int | None = None,
    ) -> None:
        """Prepare to look; must be called in the event loop.

        Args:
            settings: where Pub/Sub is.
            tunables: how it is read.
            show: takes each row.
            keep: whether messages are given back in the end; otherwise they are acknowledged as they come.
            reveal: whether personal data is shown.
            limit: messages to look at; None for no limit.
        """
        self._settings = settings
        self._show = show
        self._keep = keep
        self._reveal = reveal
        self._left = limit
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._context = RunContext(tunables, Progress("peek"), self._fail)
        self._counts = _Counts()
        self._held: dict[str, list[str]] = {}
        self._seen: set[str] = set()
        self._latest = time.monotonic()

    def stop(self) -> None:
        """End the look."""
        self._stop.set()

    async def run(self, contracts: Contracts, subscriptions: Mapping[str, str], until_idle_s: float | None) -> Peeked:
        """Look at subscriptions until stopped, until the limit, or until nothing comes any more.

        Args:
            contracts: the tables.
            subscriptions: full name of a subscription by table.
            until_idle_s: end once nothing came for so long, in seconds; None for never.

        Returns:
            What was found.

        Raises:
            ConfigurationError: when a subscription is missing or may not be read.
            UnavailableError: when Pub/Sub does not answer.
        """
        async with pubsub_channel(self._settings) as channel:
            pubsub = PubSub(channel)
            transports = [self._transport(contracts[table], name, pubsub) for table, name in subscriptions.items()]
            await asyncio.gather(*(transport.check() for transport in transports))
            pulls = [asyncio.create_task(transport.pull_forever()) for transport in transports]
            for pull in pulls:
                pull.add_done_callback(self._on_done)
            try:
                await self._wait(transports, until_idle_s)
            finally:
                for pull in pulls:
                    pull.cancel()
                await asyncio.wait(pulls)
                for transport in transports:
                    transport.nack(self._held.pop(transport.name, ()))
                    await transport.drain()
        if self._failure is not None:
            raise self._failure
        counts = self._counts
        return Peeked(dict(counts.rows), dict(counts.operations), counts.control, dict(counts.refused))

    def _transport(self, contract: TableContract, name: str, pubsub: PubSub) -> PubSubTransport:
        decode = batch_decoder(contract, self._context.progress.load_id)
        place = None if contract.pattern == "event" else positioner(contract)
        settings = self._context.settings
        # Nothing is ever taken out of this one: what is held is bounded by what the stream is allowed to send.
        flow = FlowControl(settings.outstanding_messages, settings.outstanding_bytes)

        def deliver(messages: Sequence[Message]) -> None:
            fresh = self._fresh(transport, messages)
            if not fresh:
                return
            decoded = decode(self._without_markers(contract, fresh))
            for landing in self._placed(decoded.landings, place):
                self._counts.rows[contract.name] += 1
                self._counts.operations[landing.row.op] += 1
                self._show(preview(landing.row, contract, reveal=self._reveal))
            self._counts.control += len(decoded.control)
            self._refuse(decoded.refused)

        transport = PubSubTransport(name, contract.topic, pubsub, self._context, flow=flow, deliver=deliver)
        return transport

    def _without_markers(self, contract: TableContract, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages that hold rows, and count the others."""
        if contract.pattern != "full_dump":
            return messages
        rows = []
        for message in messages:
            try:
                marker = dump_marker(message)
            except DecodeError as error:
                self._refuse(((message, error),))
            else:
                if marker is None:
                    rows.append(message)
                else:
                    self._counts.control += 1
        return rows

    def _placed(self, landings: Sequence[Landing], place: Positioner | None) -> Iterator[Landing]:
        """Yield the rows that have a position, or get one, and count the others."""
        for landing in landings:
            try:
                if place is not None:
                    place(landing.message, landing.row)
            except DecodeError as error:
                self._refuse(((landing.message, error),))
            else:
                yield landing

    def _fresh(self, transport: PubSubTransport, messages: Sequence[Message]) -> list[Message]:
        """Return what was not looked at before, as far as the limit allows, and answer for all of it."""
        self._latest = time.monotonic()
        fresh = [message for message in messages if message.event_id not in self._seen]
        if self._left is not None:
            surplus, fresh = fresh[self._left :], fresh[: self._left]
            self._left -= len(fresh)
            transport.nack([message.ack_id for message in surplus])
            if self._left == 0:
                self.stop()
        self._seen.update(message.event_id for message in fresh)
        ack_ids = [message.ack_id for message in fresh]
        if self._keep:
            self._held.setdefault(transport.name, []).extend(ack_ids)
        else:
            transport.ack(ack_ids)
        return fresh

    def _refuse(self, refused: Sequence[tuple[Message, DecodeError]]) -> None:
        self._counts.refused.update(error.reason for _, error in refused)

    async def _wait(self, transports: Sequence[PubSubTransport], until_idle_s: float | None) -> None:
        while not self._stop.is_set():
            if not all(transport.is_connected for transport in transports):
                self._latest = max(self._latest, time.monotonic())
            if until_idle_s is not None and time.monotonic() - self._latest >= until_idle_s:
                return
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._stop.wait()
            except TimeoutError:
                continue

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._stop.set()
