"""The parts of a run that its metrics and its readiness are read from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.flow import FlowControl
from ingest.measures import Measures
from ingest.progress import Progress
from ingest.settings import IngestSettings
from ingest.transport import Transport


def _nothing() -> Mapping[str, float]:
    return {}


def _no_instant() -> int | None:
    return None


@dataclass(frozen=True)
class Observed:
    """One run, as far as others may look at it; nothing here is ever written to.

    Attributes:
        progress: its counters.
        measures: its durations and failures.
        settings: its limits.
        flow: what is in flight.
        transports: what brings messages.
        waiting_rows: rows that wait for their append or its answer, by table.
        watermark_lags_s: how far each table's watermark is behind the clock, in seconds; tables without one are absent.
        oldest_publish_ts: when the oldest message in flight was published, in microseconds since 1970 UTC; None without
            one.
        is_draining: whether it is ending.
    """

    progress: Progress
    measures: Measures
    settings: IngestSettings
    flow: FlowControl
    transports: Sequence[Transport]
    waiting_rows: Callable[[], Mapping[str, float]] = field(default=_nothing)
    watermark_lags_s: Callable[[], Mapping[str, float]] = field(default=_nothing)
    oldest_publish_ts: Callable[[], int | None] = field(default=_no_instant)
    is_draining: Callable[[], bool] = field(default=bool)
