"""Progress on standard error: a bar where somebody watches, else a line in the log now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from reconcile.comparing import OnProgress, Progress

_log = structlog.get_logger(__name__)

_LOG_EVERY_S: Final = 30.0


@dataclass
class Pace:
    """Rows read so far, how fast, and how long the rest may take.

    Attributes:
        began: when reading began, in seconds of a monotonic clock.
        expected: rows that will be read, about; 0 when nobody knows.
        rows: rows read.
    """

    began: float
    expected: int = 0
    rows: int = 0
    sides: dict[str, int] = field(default_factory=dict)

    def rate(self, now: float) -> float:
        """Return the rows read a second so far."""
        return self.rows / max(1e-9, now - self.began)

    def left_s(self, now: float) -> float | None:
        """Return the seconds that the rest takes at this rate; None when that cannot be told."""
        if not self.rows or self.expected <= self.rows:
            return None
        return (self.expected - self.rows) / self.rate(now)


@contextmanager
def showing_progress(comparisons: int) -> Iterator[OnProgress]:
    """Show the comparisons done, the rows read of the one at work, rows a second, and the time left.

    Args:
        comparisons: how many there are.

    Yields:
        What to hand to `reconcile.run`.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("planning", total=comparisons)
        yield listener(
            lambda text: bar.update(task, description=text),
            lambda: bar.advance(task),
            # A bar is not for a log, and a log not for a bar.
            log_every_s=None if console.is_terminal else _LOG_EVERY_S,
        )


def listener(
    describe: Callable[[str], None],
    advance: Callable[[], None],
    *,
    log_every_s: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> OnProgress:
    """Return what turns progress into words.

    Args:
        describe: shows a text.
        advance: called when a comparison is done.
        log_every_s: least seconds between two lines in the log; None to log nothing.
        clock: a monotonic clock, in seconds.

    Returns:
        What a run tells of its progress; it may be called from several threads.
    """
    lock = threading.Lock()
    pace = Pace(clock())
    logged_at = clock()

    def on_progress(told: Progress) -> None:
        nonlocal logged_at
        with lock:
            now = clock()
            if told.phase == "planned":
                pace.expected, pace.began = told.rows, now
            elif told.phase == "done":
                pace.sides.clear()
                advance()
            else:
                pace.rows += told.rows
                pace.sides[told.phase] = pace.sides.get(told.phase, 0) + told.rows
                describe(words(told, pace, now))
            if log_every_s is not None and now - logged_at >= log_every_s:
                logged_at = now
                _log.info(
                    "reconciling",
                    comparison=told.comparison,
                    rows=pace.rows,
                    rows_per_s=round(pace.rate(now)),
                    left_s=None if (left := pace.left_s(now)) is None else round(left),
                )

    return on_progress


def words(told: Progress, pace: Pace, now: float) -> str:
    """Return progress as one line.

    Args:
        told: what was told last.
        pace: rows so far.
        now: the present, in seconds of the same clock.

    Returns:
        Such as `members warehouse 1,200, snapshot 900, 2,100 rows/s, 5 s left`.
    """
    if told.phase == "compare":
        return f"{told.comparison} comparing"
    counted = ", ".join(f"{side} {count:,}" for side, count in pace.sides.items() if count)
    left = pace.left_s(now)
    rest = "" if left is None else f", {left:,.0f} s left"
    return f"{told.comparison} {counted}, {pace.rate(now):,.0f} rows/s{rest}"
