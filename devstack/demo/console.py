"""What the demo shows while it runs: one line per stage, with a spinner where there is a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status


@dataclass
class Stage:
    """The stage under way.

    Attributes:
        name: what the stage does.
        detail: what came of it, shown when it ends.
    """

    name: str
    detail: str = ""
    _status: Status | None = None

    def progress(self, text: str) -> None:
        """Show how far the stage is; without a terminal this shows nothing."""
        if self._status is not None:
            self._status.update(f"{self.name}: {text}")


@dataclass
class Stopwatch:
    """Shows each stage and keeps the time it took.

    Attributes:
        console: where to show.
        seconds: seconds by stage; a stage that runs several times adds up.
    """

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, key: str, name: str) -> Iterator[Stage]:
        """Run one stage.

        Args:
            key: name of the stage in the summary.
            name: what it does, for people.

        Yields:
            The stage, to say how far it is and what came of it.
        """
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(name) as status:
                stage = Stage(name, _status=status)
                yield stage
        else:
            stage = Stage(name)
            yield stage
        taken = time.monotonic() - started
        self.seconds[key] = round(self.seconds.get(key, 0.0) + taken, 2)
        self.console.print(f"  [green]✓[/] {name:<46} {taken:6.1f} s   [dim]{stage.detail}[/]", soft_wrap=True)
