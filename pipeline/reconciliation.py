"""Reconciliation on its own cadence: `reconcile run` as a process that holds up no zone."""

import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from core.errors import ConfigurationError
from pipeline.config import ReconciliationConfig
from pipeline.history import History, Run
from pipeline.schedule import is_due

_log = structlog.get_logger(__name__)

STAGE: Final = "reconciliation"
_GRACE_S: Final = 8.0
"""Between SIGTERM and SIGKILL; less than the ten seconds that Cloud Run and Docker leave us."""


def reconcile_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of `reconcile run`.

    Args:
        arguments: its arguments.

    Returns:
        The command, by the path of the one installed beside this Python, or else of the first on PATH.

    Raises:
        ConfigurationError: when it is not installed.
    """
    beside = Path(sys.executable).with_name("reconcile")
    program = str(beside) if beside.is_file() else shutil.which("reconcile")
    if program is None:
        raise ConfigurationError(
            "pipeline.yml schedules reconciliation, but the command `reconcile` is not installed here; "
            "run with --no-reconciliation, or remove that section"
        )
    return [program, "run", *arguments]


class Reconciliation:
    """Starts the command when it is due, waits for it on a thread, and keeps what came of it."""

    def __init__(self, config: ReconciliationConfig, command: Sequence[str], history: History, log_path: Path) -> None:
        self._config = config
        self._command = list(command)
        self._history = history
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = False

    @property
    def cadence(self) -> timedelta:
        """Length of its windows."""
        return self._config.every

    def tick(self, now: datetime) -> None:
        """Start the command, unless it runs already or is not due.

        Args:
            now: the present instant.
        """
        if self._watcher is not None and self._watcher.is_alive():
            return
        if is_due(self._history.last_runs().get(STAGE), now, self._config.every):
            self._start(now)

    def stop(self) -> None:
        """End the command and wait until it has ended. A run that was ended this way is due again."""
        self._stopping = True
        if self._process is not None and self._process.poll() is None:
            _end(self._process)
        if self._watcher is not None:
            self._watcher.join()

    def _start(self, now: datetime) -> None:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("wb") as log:
            # The command comes from pipeline.yml as a list and is never read by a shell.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603
        _log.info("reconciliation started", pid=self._process.pid, log=str(self._log_path))
        self._watcher = threading.Thread(target=self._watch, args=(self._process, now), name=STAGE, daemon=True)
        self._watcher.start()

    def _watch(self, process: subprocess.Popen[bytes], started_at: datetime) -> None:
        started, error = time.monotonic(), None
        try:
            code = process.wait(self._config.timeout.total_seconds())
            if code != 0:
                error = f"exit code {code}; see {self._log_path}"
        except subprocess.TimeoutExpired:
            _end(process)
            error = f"not done after {self._config.timeout}; see {self._log_path}"
        if self._stopping:
            return
        seconds = time.monotonic() - started
        status = "failed" if error else "succeeded"
        self._history.add(Run(STAGE, uuid.uuid4().hex, status, started_at, seconds, error=error))
        log = _log.error if error else _log.info
        log(f"reconciliation {status}", seconds=round(seconds, 3), **({"error": error} if error else {}))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
