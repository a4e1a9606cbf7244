"""The status server of a run, which it serves for as long as it lasts."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from core.errors import ConfigurationError
from ingest.context import RunContext
from ingest.http.app import status_app
from ingest.http.health import faults
from ingest.http.loop_lag import watch_loop_forever
from ingest.http.metrics import registry, take
from ingest.http.observed import Observed
from ingest.http.server import serving
from ingest.http.workers import report_forever
from ingest.stages import Stages


def observe(stages: Stages, context: RunContext, is_draining: Callable[[], bool]) -> Observed:
    """Return what others may look at.

    Args:
        stages: the stages of the run.
        context: the run.
        is_draining: whether it is ending.
    """

    def waiting_rows() -> Mapping[str, float]:
        return {name: float(table.batches.waiting) for name, table in stages.tables.items()}

    return Observed(
        context.progress,
        context.measures,
        context.settings,
        stages.flow,
        stages.transports,
        waiting_rows=waiting_rows,
        oldest_publish_ts=lambda: stages.leases.oldest_publish_ts,
        watermark_lags_s=context.watermarks.lags_s,
        is_draining=is_draining,
    )


@dataclass(frozen=True)
class StatusPlaces:
    """Where a run tells how it is.

    Attributes:
        listening: a bound socket to serve on; None for no server.
        file: what another process reads; None when none does.
    """

    listening: socket.socket | None = None
    file: Path | None = None


@asynccontextmanager
async def serving_status(
    places: StatusPlaces, run: Observed, context: RunContext, sink: grpc.aio.Channel | None = None
) -> AsyncIterator[None]:
    """Tell a run's health and metrics, and serve the routes that its transports added.

    Args:
        places: where to.
        run: what may be looked at.
        context: the run.
        sink: the channel to BigQuery, for readiness.

    Yields:
        Nothing; requests are answered by then.

    Raises:
        ConfigurationError: when there are routes to be served, and no server.
    """
    if context.routes and places.listening is None:
        raise ConfigurationError("push delivery needs an HTTP server: give --http-port, or MILLRACE_INGEST_HTTP_PORT")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_cancel, asyncio.create_task(watch_loop_forever(context.measures)))
        if places.file is not None:
            stack.push_async_callback(_cancel, asyncio.create_task(report_forever(places.file, run, sink)))
        if places.listening is not None:
            app = status_app(lambda: faults(run, sink), registry(lambda: take(run)), context.routes)
            await stack.enter_async_context(serving(app, places.listening))
        yield


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
