"""The command `ingest run` as users start it, seen from outside."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from core.settings import Settings
from ingest.progress import Summary

_LOOK_S: Final = 0.1


def peak_of_command(settings: Settings, *arguments: str) -> tuple[float, Summary]:
    """Run `ingest run` to its end.

    Args:
        settings: where the services are.
        arguments: further arguments; they must see to it that it ends.

    Returns:
        The most memory its process held resident, in MiB, and its summary.

    Raises:
        RuntimeError: when it failed.
    """
    environment = os.environ | {
        "MILLRACE_ENVIRONMENT": settings.environment,
        "MILLRACE_PROJECT": settings.project,
        "MILLRACE_LOG_LEVEL": "ERROR",
        "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator_host or "",
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host or "",
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host or "",
    }
    command = [sys.executable, "-m", "ingest.cli", "run", "--json", *arguments]
    peak_kib = 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            time.sleep(_LOOK_S)
        output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"ingest run failed: {errors.decode()}")
    return peak_kib / 1_024, msgspec.json.decode(output, type=Summary)


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0  # it has just ended, or this is no Linux
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
