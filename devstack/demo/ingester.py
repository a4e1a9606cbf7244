"""The ingester as an operator runs it: a process that is watched by its backlog, and may be killed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import MillraceError
from devstack.commands import command_line
from devstack.pubsub import stats

_POLL_S = 0.05
_STALL_S = 60.0
_STOP_S = 15.0
_KEPT_FOR_EVER = "-keep"
"""Ending of the subscriptions that only keep dead letters: nobody reads them, so their backlog stays."""


@dataclass(frozen=True)
class Backlog:
    """What the subscriptions hold.

    Attributes:
        acked: messages acknowledged since the stack started.
        waiting: messages not yet acknowledged.
    """

    acked: int
    waiting: int


def backlog(address: str) -> Backlog:
    """Return the backlog over all subscriptions that are read.

    Args:
        address: address of the local Pub/Sub.

    Returns:
        Its counts at this moment.
    """
    read = [found for name, found in stats.fetch(address).items() if not name.endswith(_KEPT_FOR_EVER)]
    return Backlog(sum(found.acked for found in read), sum(found.backlog for found in read))


class Ingester:
    """An `ingest run` in a process of its own.

    Args:
        environment: variables that point at the stack.
        log: file that its log is appended to.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it streams until it is stopped."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command_line("ingest", ["run"]),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Kill it with SIGKILL, so that it can neither land nor say anything more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to drain and end.

        Raises:
            MillraceError: when it does not end, or not well.
        """
        if self._process is None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise MillraceError(f"the ingester did not drain within {_STOP_S:.0f} s; see {self._log}") from error
        self._process = None
        if code:
            raise MillraceError(f"the ingester ended with code {code}; see {self._log}")

    def wait_until(self, reached: Callable[[Backlog], bool], address: str, show: Callable[[Backlog], None]) -> Backlog:
        """Wait until the backlog is as wanted.

        Args:
            reached: whether it is.
            address: address of the local Pub/Sub.
            show: called with each look at the backlog.

        Returns:
            The backlog that was as wanted.

        Raises:
            MillraceError: when the ingester ends, or acknowledges nothing for a minute.
        """
        last_acked, last_change = -1, time.monotonic()
        while True:
            found = backlog(address)
            show(found)
            if reached(found):
                return found
            if found.acked != last_acked:
                last_acked, last_change = found.acked, time.monotonic()
            if self._process is not None and self._process.poll() is not None:
                raise MillraceError(f"the ingester ended with code {self._process.returncode}; see {self._log}")
            if time.monotonic() - last_change > _STALL_S:
                raise MillraceError(
                    f"the ingester acknowledged nothing for {_STALL_S:.0f} s while {found.waiting:,} messages wait; "
                    f"see {self._log}"
                )
            time.sleep(_POLL_S)
