"""Progress on standard error, which turns itself off where nobody watches."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from reconcile.runner import OnProgress, Progress


@contextmanager
def showing_progress(comparisons: int) -> Iterator[OnProgress]:
    """Show a bar of the comparisons done, and the rows read of the one at work.

    Args:
        comparisons: how many there are.

    Yields:
        What to hand to `reconcile.run`.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("planning", total=comparisons)
        yield _listener(lambda text: bar.update(task, description=text), lambda: bar.advance(task))


def _listener(describe: Callable[[str], None], advance: Callable[[], None]) -> OnProgress:
    lock = threading.Lock()
    rows: dict[str, int] = {}

    def on_progress(told: Progress) -> None:
        with lock:
            if told.phase == "done":
                rows.clear()
                advance()
                return
            rows[told.phase] = rows.get(told.phase, 0) + told.rows
            counted = ", ".join(f"{side} {count:,}" for side, count in rows.items() if count)
            describe(f"{told.comparison} {counted}" if told.phase != "compare" else f"{told.comparison} comparing")

    return on_progress
