"""Measuring: CPU time and memory of work done in processes of its own, the contenders in turn."""

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

from bench.result import Case, Kind, Run
from core.logs import configure_logs

Job = TypeVar("Job")
Found = TypeVar("Found")

_STATUS: Final = Path("/proc/self/status")


@dataclass(frozen=True)
class Contender(Generic[Job]):
    """Somebody who can do the task.

    Attributes:
        name: its name.
        kind: what it is.
        about: what it does, in a line.
        work: does a job and says what it took; a function of a module, since another process looks it up by name.
    """

    name: str
    kind: Kind
    about: str
    work: Callable[[Job], Run]


@dataclass(frozen=True)
class Started:
    """A measurement that has begun.

    Attributes:
        cpu_s: CPU time of the process so far, in seconds.
        wall_s: the monotonic clock, in seconds.
    """

    cpu_s: float
    wall_s: float

    def stop(self, items: int, laps: Sequence[float] = ()) -> Run:
        """End the measurement.

        Args:
            items: how many items were processed.
            laps: CPU time of parts of the run, in seconds.

        Returns:
            What was measured.
        """
        cpu_s, wall_s = time.process_time(), time.monotonic()
        return Run(items, cpu_s - self.cpu_s, wall_s - self.wall_s, tuple(laps))


def start() -> Started:
    """Begin a measurement of this process, all its threads; rubbish of what was before is collected first."""
    gc.collect()
    return Started(time.process_time(), time.monotonic())


def contest(
    contenders: Sequence[Contender[Job]],
    jobs: Callable[[int], Mapping[str, Job]],
    *,
    rounds: int,
    apart: bool = True,
) -> tuple[Case, ...]:
    """Let contenders do the same task, round by round, each of them once a round.

    Args:
        contenders: who does it.
        jobs: called with the number of each round before it starts, from 0; returns the job of every contender.
        rounds: how many.
        apart: whether each contender has a process of its own, so that its memory can be told.

    Returns:
        A case a contender, in their order.
    """
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    with ExitStack() as stack:
        count = len(contenders) if apart else 1
        workers = [stack.enter_context(Worker()) for _ in range(count)]
        assigned = {contender.name: workers[number % count] for number, contender in enumerate(contenders)}
        for contender in contenders:
            assigned[contender.name].warm_up(contender.work)
        for number in range(rounds):
            todo = jobs(number)
            # Nobody is always first after the pause.
            for place in range(len(contenders)):
                contender = contenders[(place + number) % len(contenders)]
                runs[contender.name].append(assigned[contender.name].run(contender.work, todo[contender.name]))
        peaks = {name: worker.run(_peak_rss_mib, None) if apart else None for name, worker in assigned.items()}
    return tuple(Case(c.name, c.kind, c.about, tuple(runs[c.name]), peaks[c.name]) for c in contenders)


def peak_of(work: Callable[[Job], Run], job: Job) -> float:
    """Return the most memory that a fresh process holds resident while it does a job.

    Args:
        work: does the job; a function of a module.
        job: the job.

    Returns:
        The peak in MiB, that of the interpreter and its modules included.
    """
    with Worker() as worker:
        worker.run(work, job)
        return worker.run(_peak_rss_mib, None)


class Worker:
    """A process that does one thing after the other; a context manager, at whose end it ends."""

    def __init__(self) -> None:
        # A fresh interpreter: neither our memory nor our threads, which gRPC would not survive, come along.
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_be_quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def warm_up(self, work: Callable[[Job], Found]) -> None:
        """Have the modules of some work imported, without waiting for it."""
        self._pool.submit(_import, work)

    def begin(self, work: Callable[[Job], Found], job: Job) -> "Future[Found]":
        """Begin a job there."""
        return self._pool.submit(work, job)

    def run(self, work: Callable[[Job], Found], job: Job) -> Found:
        """Do a job there and return what came of it."""
        return self.begin(work, job).result()


def _be_quiet() -> None:
    configure_logs("json", "ERROR")


def _import(work: object) -> None:
    """Do nothing: to be called with `work`, its module had to be imported."""


def _peak_rss_mib(_: None) -> float:
    if _STATUS.exists():
        # Linux' ru_maxrss would hold what the parent had when it forked; VmHWM begins anew at exec: see proc(5).
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
