"""Several processes that share the work of one `ingest run`.

Each pulls every subscription; Pub/Sub divides the messages among them, those of one ordering key to one at a time. Flow
control and batches are each process's own. A worker whose parent is gone stops by itself.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from core.errors import MillraceError
from core.logs import configure_logs
from core.telemetry import open_tracing
from ingest.failpoints import Failpoint
from ingest.lean import without_pandas
from ingest.progress import Summary
from ingest.settings import IngestSettings

_log = structlog.get_logger(__name__)

if parent_process() is not None:
    # A worker: what it is ordered to do has yet to be imported.
    without_pandas()

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class WorkerError(MillraceError):
    """A worker failed; the message says which, and why."""


@dataclass(frozen=True)
class Order:
    """What every worker does.

    Attributes:
        plan: an `ingest.stages.Plan`; what to read and where to write.
        settings: batch sizes, flow control, patience, each process's own.
        failpoint: may kill a worker at a stage's boundary.
        until_idle_s: a worker ends once it received nothing for so long, in seconds; None for never.
        status_folder: where each worker writes down how it is; None for nowhere.
        number: which worker it is.
    """

    plan: Any
    settings: IngestSettings
    failpoint: Failpoint
    until_idle_s: float | None = None
    status_folder: Path | None = None
    number: int = 1


@dataclass(frozen=True)
class _Worker:
    number: int
    process: SpawnProcess
    connection: Connection

    def outcome(self) -> Summary:
        """Return what it did, once it has ended."""
        try:
            found = self.connection.recv()
        except EOFError:
            found = None
        self.process.join()
        if isinstance(found, Summary):
            return found
        reason = found if isinstance(found, str) else f"it ended with exit code {self.process.exitcode}"
        raise WorkerError(f"worker {self.number}: {reason}")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_workers(count: int, order: Order) -> Summary:
    """Run workers until all have ended; SIGTERM and SIGINT are passed on to them.

    Args:
        count: how many.
        order: what each of them does.

    Returns:
        The sum of what they did.

    Raises:
        WorkerError: when one failed; the others were stopped then, and landed what they held.
    """
    workers = [_begin(number, order) for number in range(1, count + 1)]
    _log.info("workers", count=count, pids=[worker.process.pid for worker in workers])
    summaries, failures = [], []
    with _signals_passed_on(workers):
        waiting = {worker.connection: worker for worker in workers}
        while waiting:
            for ready in wait(list(waiting)):
                worker = next(waiting.pop(connection) for connection in list(waiting) if connection is ready)
                try:
                    summaries.append(worker.outcome())
                except WorkerError as error:
                    failures.append(error)
                    _stop(waiting.values())
    if failures:
        raise failures[0]
    return total(summaries)


def total(summaries: Sequence[Summary]) -> Summary:
    """Return the sum of what several runs did at the same time.

    Args:
        summaries: at least one.

    Returns:
        Counts and rates added up, the longest duration, and every load id.
    """
    return reduce(_add, summaries)


def _add(one: Summary, other: Summary) -> Summary:
    first, second = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    added = {name: _add_values(value, second[name]) for name, value in first.items()}
    load_ids, seconds = f"{one.load_id},{other.load_id}", max(one.seconds, other.seconds)
    return msgspec.structs.replace(Summary(**added), load_id=load_ids, seconds=seconds)


def _add_values(one: Any, other: Any) -> Any:
    return dict(sorted((Counter(one) + Counter(other)).items())) if isinstance(one, dict) else one + other


def _begin(number: int, order: Order) -> _Worker:
    # gRPC does not survive a fork, so every worker is an interpreter of its own.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, replace(order, number=number)), name=f"worker-{number}")
    # Starting the first process starts this one too, which would lift the mask under the worker.
    resource_tracker.ensure_running()
    # A signal that comes before the worker can heed it waits: the mask is inherited.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    process.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    theirs.close()
    return _Worker(number, process, ours)


@contextmanager
def _signals_passed_on(workers: Sequence[_Worker]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: _stop(workers)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(workers: Any) -> None:
    for worker in workers:
        worker.process.terminate()


def _work(connection: Connection, order: Order) -> None:
    """Do an order in a process of its own, and say what came of it."""
    settings = order.plan.settings
    configure_logs(settings.log_format, settings.log_level)
    try:
        summary = asyncio.run(_run(connection, order))
    except MillraceError as error:
        connection.send(str(error))
        sys.exit(1)
    connection.send(summary)


async def _run(connection: Connection, order: Order) -> Summary:
    from ingest.http.workers import status_file
    from ingest.runner import RunOptions, run_until_signal

    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(connection.fileno())
        signal.raise_signal(signal.SIGTERM)

    # The parent never sends anything: what can be read is that it is gone.
    loop.add_reader(connection.fileno(), stop)
    # By the loop's next turn the run heeds signals; once it has ended, none may cut off what it has to say.
    loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, _SIGNALS)
    folder = order.status_folder
    options = RunOptions(
        status_file=status_file(folder, order.number) if folder is not None else None,
        tracing=open_tracing(os.environ, "millrace-ingest"),
    )
    try:
        return await run_until_signal(order.plan, order.settings, order.failpoint, order.until_idle_s, options)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
