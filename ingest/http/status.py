"""The status server of a run, which it serves for as long as it lasts."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import grpc

from ingest.context import RunContext
from ingest.http.app import status_app
from ingest.http.health import faults
from ingest.http.loop_lag import watch_loop_forever
from ingest.http.metrics import Snapshot, registry, take
from ingest.http.observed import Observed
from ingest.http.server import serving
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


@asynccontextmanager
async def serving_status(
    listening: socket.socket | None,
    run: Observed,
    context: RunContext,
    sink: grpc.aio.Channel | None = None,
    read: Callable[[], Snapshot] | None = None,
) -> AsyncIterator[None]:
    """Serve a run's health and metrics, and the routes that its transports added.

    Args:
        listening: a bound socket; None serves nothing.
        run: what may be looked at.
        context: the run.
        sink: the channel to BigQuery, for readiness.
        read: returns the metrics; those of this run when not given.

    Yields:
        Nothing; requests are answered by then.
    """
    watching = asyncio.create_task(watch_loop_forever(context.measures))
    try:
        if listening is None:
            yield
            return
        metrics = registry(read or (lambda: take(run)))
        async with serving(status_app(lambda: faults(run, sink), metrics, context.routes), listening):
            yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
