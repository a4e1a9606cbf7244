"""The life of a run: begin, supervise, drain, end."""

import asyncio
import gc
import signal
import socket
import time
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.telemetry import UNTRACED, Tracing
from ingest.context import RunContext
from ingest.failpoints import Failpoint
from ingest.http.status import StatusPlaces, observe, serving_status
from ingest.limit import PublishWindow, ReceiveLimit
from ingest.progress import Progress, Summary
from ingest.settings import IngestSettings
from ingest.stages import Plan, Stages, open_stages
from ingest.watermarks import Watermarks

_log = structlog.get_logger(__name__)

_GIVE_UP_S = 1.5
"""What remains of the ten seconds between SIGTERM and SIGKILL, for giving leases back."""


@dataclass(frozen=True)
class RunOptions:
    """What is asked of a run beside its plan.

    Attributes:
        listening: a bound socket for its status, and for push delivery; None serves nothing.
        limit: deliveries after which it ends; None for no limit.
        tracing: makes its spans.
        window: which messages are landed, by the instant of their publication; the others are acknowledged.
        status_file: where the run writes down how it is, for the process that started it; None for nowhere.
    """

    listening: socket.socket | None = None
    limit: int | None = None
    tracing: Tracing = UNTRACED
    window: PublishWindow = field(default_factory=PublishWindow)
    status_file: Path | None = None


_NO_OPTIONS: Final = RunOptions()


class Run:
    """One run of the ingester."""

    def __init__(
        self,
        plan: Plan,
        settings: IngestSettings,
        failpoint: Failpoint | None = None,
        options: RunOptions = _NO_OPTIONS,
    ) -> None:
        """Prepare a run; must be called in the event loop.

        Args:
            plan: what to read and where to write.
            settings: batch sizes, flow control, patience.
            failpoint: may kill the process at a stage's boundary; None for no such thing.
            options: what else was asked for.
        """
        self._options = options
        self._plan = plan
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._context = RunContext(
            settings,
            Progress(uuid.uuid4().hex),
            self.fail,
            failpoint or Failpoint(),
            watermarks=Watermarks((), settings.watermark_disorder_s, settings.watermark_idle_s),
            tracing=options.tracing,
            limit=ReceiveLimit(options.limit, self.stop),
            window=options.window,
        )

    @property
    def progress(self) -> Progress:
        """What the run has done so far."""
        return self._context.progress

    def stop(self) -> None:
        """End the run: land what is held, then return."""
        self._stop.set()

    def fail(self, error: BaseException) -> None:
        """End the run because of an error; what has not landed is given back.

        Args:
            error: what `run` raises in the end.
        """
        if self._failure is None:
            self._failure = error
        self._stop.set()

    async def run(self, until_idle_s: float | None = None) -> Summary:
        """Pull and land until stopped.

        Args:
            until_idle_s: end once nothing was received or in flight for so long, in seconds; None for never.

        Returns:
            What was done.

        Raises:
            ConfigurationError: when a resource is missing, or a service refuses the caller.
            UnavailableError: when a service stayed away for longer than the settings' patience.
        """
        async with open_stages(self._plan, self._context) as stages:
            run = observe(stages, self._context, self._stop.is_set)
            status = StatusPlaces(self._options.listening, self._options.status_file)
            async with serving_status(status, run, self._context, stages.sink):
                await asyncio.gather(*(transport.check() for transport in stages.transports))
                _log.info("ingesting", load_id=self.progress.load_id, transports=len(stages.transports))
                with _settled_memory():
                    await self._pull(stages, until_idle_s)
        summary = self.progress.summary()
        _log.info("stopped", **msgspec.to_builtins(summary))
        if self._failure is not None:
            raise self._failure
        return summary

    async def _pull(self, stages: Stages, until_idle_s: float | None) -> None:
        pulls = [self._supervise(transport.pull_forever()) for transport in stages.transports]
        upkeep = [
            self._supervise(stages.leases.extend_forever()),
            self._supervise(self._report_forever(stages)),
            self._supervise(stages.watermark_reports.report_forever()),
        ]
        if until_idle_s is not None:
            upkeep.append(self._supervise(self._stop_when_idle(stages, until_idle_s)))
        try:
            await self._stop.wait()
            await _cancel(pulls)
            await self._finish(stages)
        finally:
            await _cancel([*pulls, *upkeep])

    async def _finish(self, stages: Stages) -> None:
        """Land what is held, as long as nothing failed and time allows; give the rest back."""
        if self._failure is None:
            try:
                async with asyncio.timeout(self._context.settings.drain_s):
                    await stages.drain()
            except TimeoutError:
                _log.warning("not all could be landed in time", left=stages.leases.messages)
            await stages.watermark_reports.finish()
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                await stages.give_up()
        except TimeoutError:
            _log.warning("leases could not be given back; they run out by themselves")

    def _supervise(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _report_forever(self, stages: Stages) -> None:
        progress = self.progress
        landed, at = 0, time.monotonic()
        while True:
            await asyncio.sleep(self._context.settings.progress_s)
            now, total = time.monotonic(), progress.tables.total()
            _log.info(
                "progress",
                received=progress.received,
                landed=total,
                dead_lettered=progress.reasons.total(),
                control=progress.control,
                in_flight=stages.leases.messages,
                rows_per_second=round((total - landed) / (now - at), 1),
            )
            landed, at = total, now

    async def _stop_when_idle(self, stages: Stages, idle_s: float) -> None:
        # By looks, not by the clock: while this process had no turn, nothing could be received.
        pause_s = min(0.05, idle_s / 4)
        idle_looks, received = 0, self.progress.received
        while idle_looks * pause_s < idle_s:
            await asyncio.sleep(pause_s)
            idle_looks += 1
            if not stages.is_idle or received != self.progress.received:
                idle_looks, received = 0, self.progress.received
        self.stop()


async def run_until_signal(
    plan: Plan,
    settings: IngestSettings,
    failpoint: Failpoint,
    until_idle_s: float | None,
    options: RunOptions = _NO_OPTIONS,
) -> Summary:
    """Run the ingester until SIGTERM, SIGINT or, when asked for, idleness.

    Args:
        plan: what to read and where to write.
        settings: batch sizes, flow control, patience.
        failpoint: may kill the process at a stage's boundary.
        until_idle_s: see `Run.run`.
        options: what else was asked for.

    Returns:
        What was done.

    Raises:
        MillraceError: see `Run.run`.
    """
    run = Run(plan, settings, failpoint, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, run.stop)
    try:
        return await run.run(until_idle_s)
    finally:
        # What is left of the last second; the exporter runs in a thread of its own.
        await asyncio.to_thread(options.tracing.close)


@contextmanager
def _settled_memory() -> Iterator[None]:
    """Spare the collector what start-up made, which lives as long as the run; looking at it again costs 3 % of it."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
