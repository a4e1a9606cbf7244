"""Two processes and one zone: the second is turned away with a name; a killed holder leaves nothing to clean up."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import ConfigurationError, LockedError
from pipeline.locks import lock_owner, zone_lock

HOLD = """
import sys
from pathlib import Path
from pipeline.locks import zone_lock
with zone_lock(Path(sys.argv[1]), "structure", "other-run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def now() -> datetime:
    return datetime.now(UTC)


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LockedError) as caught, zone_lock(tmp_path, "structure", "this-run"):
            pass
        assert caught.value.retryable
        pattern = (
            rf"zone 'structure' is being built by process {process.pid} on \S+ \(run other-run, since .* last heartbeat"
        )
        assert re.match(pattern, str(caught.value))
        owner = lock_owner(tmp_path, "structure", now=now())
        assert owner is not None
        assert owner.pid == process.pid
        with zone_lock(tmp_path, "refined", "this-run"):
            """Another zone is free."""


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        with capture_logs() as logs, zone_lock(tmp_path, "structure", "this-run") as owner:
            assert owner.pid == os.getpid()
    recovered = [log for log in logs if "recovered" in log["event"]]
    assert len(recovered) == 1
    assert str(process.pid) in recovered[0]["owner"]


def test_the_lock_is_free_after_the_block_and_after_an_error_in_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), zone_lock(tmp_path, "structure", "one"):
        raise RuntimeError("boom")
    with capture_logs() as logs, zone_lock(tmp_path, "structure", "two"):
        pass
    assert logs == []
    assert lock_owner(tmp_path, "structure", now=now()) is None


def test_two_holders_in_one_process_are_kept_apart_too(tmp_path: Path) -> None:
    with zone_lock(tmp_path, "structure", "one"), pytest.raises(LockedError), zone_lock(tmp_path, "structure", "two"):
        pass


def test_a_holder_gives_signs_of_life_and_one_that_stops_is_not_shown(tmp_path: Path) -> None:
    instants = iter(datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=i) for i in range(1_000_000))
    with zone_lock(tmp_path, "structure", "one", clock=lambda: next(instants), heartbeat_s=0.01) as first:
        deadline = time.monotonic() + 10
        while True:
            seen = lock_owner(tmp_path, "structure", now=first.acquired_at)
            assert seen is not None
            if seen.heartbeat_at > first.heartbeat_at:
                break
            assert time.monotonic() < deadline, "no heartbeat came"
        assert seen.acquired_at == first.acquired_at
        assert lock_owner(tmp_path, "structure", now=seen.heartbeat_at + timedelta(days=1)) is None


def test_a_zone_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError), zone_lock(tmp_path, "../structure", "one"):
        pass
