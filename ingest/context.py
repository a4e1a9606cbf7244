"""What every stage of a run shares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from core.clock import Clock, utc_now
from core.telemetry import UNTRACED, Tracing
from ingest.failpoints import Failpoint
from ingest.limit import PublishWindow, ReceiveLimit
from ingest.measures import Measures
from ingest.progress import Progress
from ingest.settings import IngestSettings
from ingest.watermarks import Watermarks


@dataclass(frozen=True)
class RunContext:
    """The run a stage belongs to.

    Attributes:
        settings: batch sizes, flow control, patience.
        progress: what the stages count in.
        fail: told of an error that ends the run.
        failpoint: may kill the process at a stage's boundary.
        clock: the present instant.
        watermarks: told of what comes and lands, table by table.
        measures: what the stages measure in.
        tracing: makes spans, or nothing.
        limit: how many messages may come in.
        window: which may, by the instant of their publication.
        routes: what the run's HTTP server serves beside its status; transports add theirs when they are opened.
    """

    settings: IngestSettings
    progress: Progress
    fail: Callable[[BaseException], None]
    failpoint: Failpoint = field(default_factory=Failpoint)
    clock: Clock = utc_now
    watermarks: Watermarks = field(default_factory=Watermarks)
    measures: Measures = field(default_factory=Measures)
    tracing: Tracing = UNTRACED
    limit: ReceiveLimit = field(default_factory=ReceiveLimit)
    window: PublishWindow = field(default_factory=PublishWindow)
    routes: list[BaseRoute] = field(default_factory=list)
