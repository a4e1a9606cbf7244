"""Whether the ingester can take messages in, and if not, why."""

import time
from collections.abc import Callable
from typing import Final

import grpc

from ingest.http.observed import Observed

_PATIENCE_S: Final = 5.0
"""How long appends may fail before the sink counts as out of reach: a single retry is no outage."""


def faults(run: Observed, sink: grpc.aio.Channel | None = None, now: Callable[[], float] = time.monotonic) -> list[str]:
    """Say why the ingester is not ready.

    Args:
        run: the run.
        sink: the channel to BigQuery; it is connected when it is idle. None leaves it out.
        now: the monotonic clock, in seconds.

    Returns:
        A sentence per fault; empty when it is ready.
    """
    found = []
    if run.is_draining():
        found.append("draining: it lands what it holds and ends")
    away = [one.name.rpartition("/")[2] for one in run.transports if not one.is_connected]
    if away:
        found.append(f"not connected: {', '.join(away)}")
    failing_since = run.measures.append_failing_since
    if failing_since is not None and now() - failing_since > _PATIENCE_S:
        found.append(f"BigQuery has refused or not answered appends for {now() - failing_since:.0f} s")
    elif sink is not None:
        state = sink.get_state(try_to_connect=True)
        if state is not grpc.ChannelConnectivity.READY:
            found.append(f"no connection to the BigQuery Storage Write API: {state.name.lower()}")
    return found
