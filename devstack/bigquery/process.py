"""Run the stand-in as a child process for the length of a `with` block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from core.errors import UnavailableError
from devstack.bigquery.address import BigQueryAddress, read_port_file

_HOST = "127.0.0.1"
_POLL_S = 0.02
_STOP_TIMEOUT_S = 20.0
_LOG_TAIL_BYTES = 4_000
_CHECKOUT = Path(__file__).resolve().parents[2]
# Of all stand-ins of this checkout: most of them are sent the same statements. `make clean` removes it.
TRANSLATIONS = _CHECKOUT / "build" / "bigquery-translations"


@contextlib.contextmanager
def running_bigquery(
    *, data_dir: Path | None = None, translations: Path = TRANSLATIONS, startup_timeout_s: float = 90.0
) -> Iterator[BigQueryAddress]:
    """Start a stand-in on free ports, yield where it is, and stop it afterwards.

    It runs in a process of its own, so that its threads, its event loop and its memory are not the
    test's. The kernel picks the ports, so any number of them can run side by side; should the caller
    die, the child notices that its standard input closed and stops too.

    Args:
        data_dir: folder that keeps the data across restarts; None keeps all in memory.
        translations: folder where what was worked out for statements is kept for the next stand-in.
        startup_timeout_s: how long to wait for both servers, in seconds.

    Yields:
        Where the servers listen.

    Raises:
        UnavailableError: when the stand-in does not come up, or died while it was in use. The message
            carries the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-bigquery-") as scratch:
        port_file, log_file = Path(scratch, "ports.json"), Path(scratch, "log")
        with log_file.open("wb") as log:
            child = subprocess.Popen(  # noqa: S603
                _command(port_file, data_dir, translations),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        try:
            _wait_for(port_file, child, log_file, time.monotonic() + startup_timeout_s)
            yield read_port_file(port_file, _HOST)
            if child.poll() is not None:
                raise UnavailableError(f"the BigQuery stand-in died while in use:\n{_tail(log_file)}")
        finally:
            _stop(child)


def _command(port_file: Path, data_dir: Path | None, translations: Path) -> list[str]:
    command = [sys.executable, "-m", "devstack.bigquery", "--host", _HOST, "--rest-port", "0", "--grpc-port", "0"]
    command += ["--port-file", str(port_file), "--stop-on-eof", "--translations", str(translations)]
    return [*command, "--data-dir", str(data_dir)] if data_dir else command


def _environment() -> dict[str, str]:
    # The child must import this very checkout, wherever the caller's working directory is.
    ours = str(_CHECKOUT)
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([ours, inherited] if inherited else [ours])}


def _wait_for(port_file: Path, child: subprocess.Popen[bytes], log_file: Path, deadline: float) -> None:
    while not port_file.exists():
        if child.poll() is not None:
            raise UnavailableError(f"the BigQuery stand-in did not start:\n{_tail(log_file)}")
        if time.monotonic() > deadline:
            raise UnavailableError(f"the BigQuery stand-in did not start in time:\n{_tail(log_file)}")
        time.sleep(_POLL_S)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _tail(log_file: Path) -> str:
    return log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")
