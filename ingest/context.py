"""What every stage of a run shares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from core.clock import Clock, utc_now
from ingest.failpoints import Failpoint
from ingest.progress import Progress
from ingest.settings import IngestSettings


@dataclass(frozen=True)
class RunContext:
    """The run a stage belongs to.

    Attributes:
        settings: batch sizes, flow control, patience.
        progress: what the stages count in.
        fail: told of an error that ends the run.
        failpoint: may kill the process at a stage's boundary.
        clock: the present instant.
    """

    settings: IngestSettings
    progress: Progress
    fail: Callable[[BaseException], None]
    failpoint: Failpoint = field(default_factory=Failpoint)
    clock: Clock = utc_now
