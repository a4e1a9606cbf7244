"""The status of several workers, served by the process that started them.

Each worker writes down how it is, once a second, into a file of its own; the parent reads the files when it is asked,
and adds them up. A worker that has ended keeps what it counted, so no counter ever goes back.
"""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc
import msgspec

from ingest.http.app import status_app
from ingest.http.health import faults
from ingest.http.metrics import Snapshot, merged, registry, take, without_gauges
from ingest.http.observed import Observed
from ingest.http.server import serving

_EVERY_S: Final = 1.0
_STALE_S: Final = 10.0
_SUFFIX: Final = ".worker"


class WorkerStatus(msgspec.Struct):
    """How a worker is.

    Attributes:
        snapshot: its metrics.
        faults: why it is not ready; empty when it is.
    """

    snapshot: Snapshot
    faults: list[str]


async def report_forever(path: Path, run: Observed, sink: grpc.aio.Channel | None) -> None:
    """Write down how this worker is, again and again, and once more when cancelled.

    Args:
        path: where to.
        run: the run.
        sink: the channel to BigQuery, for readiness.
    """
    try:
        while True:
            _write(path, WorkerStatus(take(run), faults(run, sink)))
            await asyncio.sleep(_EVERY_S)
    finally:
        _write(path, WorkerStatus(take(run), ["ended"]))


def status_file(folder: Path, number: int) -> Path:
    """Return where a worker writes.

    Args:
        folder: that of all workers.
        number: which worker.
    """
    return folder / f"{number}{_SUFFIX}"


def read_workers(folder: Path) -> dict[int, WorkerStatus]:
    """Return how each worker is, as it last said itself.

    Args:
        folder: where they write.
    """
    found = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        found[int(path.name.removesuffix(_SUFFIX))] = msgspec.msgpack.decode(path.read_bytes(), type=WorkerStatus)
    return found


def workers_faults(folder: Path, count: int, now: Callable[[], float] = time.time) -> list[str]:
    """Say why the workers together are not ready: each of them has to be.

    Args:
        folder: where they write.
        count: how many there should be.
        now: the time, in seconds since 1970 UTC.
    """
    told, found = read_workers(folder), list[str]()
    for number in range(1, count + 1):
        status = told.get(number)
        if status is None:
            found.append(f"worker {number}: starting")
        elif now() - status.snapshot.taken_at > _STALE_S:
            found.append(f"worker {number}: silent for {now() - status.snapshot.taken_at:.0f} s")
        else:
            found += [f"worker {number}: {fault}" for fault in status.faults]
    return found


def workers_snapshot(folder: Path, now: Callable[[], float] = time.time) -> Snapshot:
    """Add up the metrics of the workers.

    Args:
        folder: where they write.
        now: the time, in seconds since 1970 UTC.
    """

    def standing(status: WorkerStatus) -> Snapshot:
        is_over = status.faults == ["ended"] or now() - status.snapshot.taken_at > _STALE_S
        return without_gauges(status.snapshot) if is_over else status.snapshot

    return merged(standing(status) for status in read_workers(folder).values())


@contextmanager
def serving_workers(listening: socket.socket | None, count: int) -> Iterator[Path | None]:
    """Serve the status of workers while the context lasts, in a thread of its own.

    Args:
        listening: a bound socket; None serves nothing.
        count: how many workers there are.

    Yields:
        The folder that the workers write to; None when nobody asks.
    """
    if listening is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="millrace-ingest-") as name:
        folder, stop, loop = Path(name), asyncio.Event(), asyncio.new_event_loop()
        app = status_app(lambda: workers_faults(folder, count), registry(lambda: workers_snapshot(folder)))

        async def serve() -> None:
            async with serving(app, listening):
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="status")
        thread.start()
        try:
            yield folder
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def _write(path: Path, status: WorkerStatus) -> None:
    """Replace the file as a whole: whoever reads it finds the old one or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(msgspec.msgpack.encode(status))
    partial.replace(path)
