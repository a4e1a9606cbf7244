"""Progress on standard error: a bar where somebody watches, else a line in the log now and then."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from reconcile.comparing import OnProgress, Phase, Progress

_log = structlog.get_logger(__name__)

_LOG_EVERY_S: Final = 30.0
_DOING: Final[Mapping[Phase, str]] = {
    "planned": "beginning",
    "begun": "opening",
    "warehouse": "reading",
    "snapshot": "reading",
    "compare": "comparing",
    "done": "done",
}


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

    def add(self, told: Progress) -> None:
        """Count the rows that were read of a side."""
        self.rows += told.rows
        if told.rows:
            self.sides[told.phase] = self.sides.get(told.phase, 0) + told.rows

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
        narration = Narration(lambda text: bar.update(task, description=text), lambda: bar.advance(task))
        # A bar is not for a log, and a log not for a bar.
        with nullcontext() if console.is_terminal else repeating(narration.log, every_s=_LOG_EVERY_S):
            yield narration.on_progress


@contextmanager
def repeating(act: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Do something now and then, in a thread of its own: also while nothing moves, when it is asked for most.

    Args:
        act: what to do.
        every_s: seconds between two times, and before the first.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every_s):
            act()

    thread = threading.Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Narration:
    """What a run does, in words; it may be told from several threads."""

    def __init__(
        self,
        describe: Callable[[str], None],
        advance: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin before the run is planned.

        Args:
            describe: shows a text.
            advance: called when a comparison is done.
            clock: a monotonic clock, in seconds.
        """
        self._describe, self._advance, self._clock = describe, advance, clock
        self._lock = threading.Lock()
        self._pace = Pace(clock())
        self._last = Progress("", "planned")
        self._doing = "planning"

    def on_progress(self, told: Progress) -> None:
        """Take note of what a run does, and show it.

        Args:
            told: what it does.
        """
        with self._lock:
            now = self._clock()
            self._last, self._doing = told, _DOING[told.phase]
            if told.phase == "planned":
                self._pace.expected, self._pace.began = told.rows, now
            elif told.phase == "done":
                self._pace.sides.clear()
                self._advance()
            else:
                self._pace.add(told)
                self._describe(words(told, self._pace, now))

    def log(self) -> None:
        """Write a line into the log: the comparison at work, what is done to it, the rows so far and the time left."""
        with self._lock:
            now = self._clock()
            left = self._pace.left_s(now)
            _log.info(
                "reconciling",
                comparison=self._last.comparison or None,
                doing=self._doing,
                rows=self._pace.rows,
                rows_per_s=round(self._pace.rate(now)),
                left_s=None if left is None else round(left),
            )


def words(told: Progress, pace: Pace, now: float) -> str:
    """Return progress as one line.

    Args:
        told: what was told last.
        pace: rows so far.
        now: the present, in seconds of the same clock.

    Returns:
        Such as `members warehouse 1,200, snapshot 900, 2,100 rows/s, 5 s left`.
    """
    if told.phase in ("begun", "compare"):
        return f"{told.comparison} {_DOING[told.phase]}"
    counted = ", ".join(f"{side} {count:,}" for side, count in pace.sides.items() if count)
    left = pace.left_s(now)
    rest = "" if left is None else f", {left:,.0f} s left"
    return f"{told.comparison} {counted}, {pace.rate(now):,.0f} rows/s{rest}"
