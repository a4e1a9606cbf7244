"""Reconciliation beside the zones, with real processes in the place of `reconcile run`."""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from pipeline.config import ReconciliationConfig
from pipeline.history import History, Run
from pipeline.reconciliation import STAGE, Reconciliation, reconcile_command

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
FOREVER = "import sys, time; print('started', flush=True); time.sleep(600)"


def reconciliation(tmp_path: Path, code: str, timeout: str = "60s") -> tuple[Reconciliation, History]:
    history = History(tmp_path / "runs.sqlite")
    config = ReconciliationConfig(every="1d", timeout=timeout)
    return Reconciliation(config, [sys.executable, "-S", "-c", code], history, tmp_path / "logs/reconcile.log"), history


def finished(history: History) -> Run:
    deadline = time.monotonic() + 30
    while STAGE not in history.last():
        assert time.monotonic() < deadline, "the run was not recorded"
        time.sleep(0.01)
    return history.last()[STAGE]


def wait_for_text(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the command did not start"
        time.sleep(0.01)


def test_it_runs_once_a_window_and_keeps_its_output(tmp_path: Path) -> None:
    stage, history = reconciliation(tmp_path, "print('13 tables, 0 differences')")
    assert stage.cadence == timedelta(days=1)
    stage.tick(NOW)
    run = finished(history)
    assert (run.status, run.started_at, run.error) == ("succeeded", NOW, None)
    assert (tmp_path / "logs/reconcile.log").read_text() == "13 tables, 0 differences\n"
    stage.tick(NOW + timedelta(hours=1))
    assert len(history.recent(10)) == 1
    stage.stop()
    stage.tick(NOW + timedelta(days=1))
    stage.stop()


def test_differences_are_a_failure_with_the_log_named(tmp_path: Path) -> None:
    stage, history = reconciliation(tmp_path, "raise SystemExit(1)")
    stage.tick(NOW)
    run = finished(history)
    assert run.status == "failed"
    assert run.error is not None
    assert "exit code 1" in run.error
    assert "reconcile.log" in run.error


def test_a_run_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    stage, history = reconciliation(tmp_path, FOREVER, timeout="1s")
    stage.tick(NOW)
    run = finished(history)
    assert run.status == "failed"
    assert "not done after 0:00:01" in (run.error or "")


def test_a_second_one_is_not_started_beside_the_first_and_a_stopped_one_is_due_again(tmp_path: Path) -> None:
    stage, history = reconciliation(tmp_path, f"import os; print(os.getpid(), flush=True)\n{FOREVER}")
    log = tmp_path / "logs/reconcile.log"
    stage.tick(NOW)
    wait_for_text(log)
    stage.tick(NOW + timedelta(days=2))
    pid = int(log.read_text().split()[0])
    stage.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert history.last() == {}


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.reconciliation._GRACE_S", 0.05)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stage, history = reconciliation(tmp_path, deaf + FOREVER)
    stage.tick(NOW)
    wait_for_text(tmp_path / "logs/reconcile.log")
    stage.stop()
    assert history.last() == {}


def test_the_command_is_the_one_installed_beside_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigurationError, match="--no-reconciliation"):
        reconcile_command([])
    program = tmp_path / "reconcile"
    program.touch(mode=0o755)
    assert reconcile_command(["--json"]) == [str(program), "run", "--json"]
