"""The `devstack` command as a user runs it: up, status, env, doctor, down, and what happens when a service dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import MillraceError
from devstack.services import SERVICES
from devstack.stack import Stack, down, find, require, running_stack, status, up
from devstack.state import FILE, StackState, process_id, read_state

DEVSTACK = str(Path(sys.executable).with_name("devstack"))


def devstack(*arguments: str, code: int = 0) -> str:
    result = subprocess.run([DEVSTACK, *arguments], capture_output=True, text=True, timeout=120)
    assert result.returncode == code, result.stderr
    return result.stdout


def eventually(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


def test_a_running_stack_is_told_about(stack: Stack) -> None:
    folder = str(stack.folder)
    rows = json.loads(devstack("status", "--folder", folder, "--json"))
    assert {row["name"] for row in rows} == {service.name for service in SERVICES}
    assert all(row["running"] and row["restarts"] == 0 for row in rows)
    assert "BigQuery" in devstack("status", "--folder", folder)
    # What runs is left alone by a second `up`.
    devstack("up", "--folder", folder, "--json")
    assert json.loads(devstack("status", "--folder", folder, "--json")) == rows


def test_env_can_be_evaluated_by_a_shell(stack: Stack) -> None:
    exports = devstack("env", "--folder", str(stack.folder))
    shown = subprocess.run(
        ["bash", "-euc", 'eval "$1"; env -0', "bash", exports], capture_output=True, text=True, check=True
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.split("\0") if line)
    assert stack.environment().items() <= variables.items()
    assert json.loads(devstack("env", "--json", "--folder", str(stack.folder))) == stack.environment()


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    for service in stack.state.services.values():
        process = service.process.find()
        assert process is not None
        listening = [found for found in process.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
        # gRPC listens on the IPv6 form of the same address.
        assert {found.laddr.ip.removeprefix("::ffff:") for found in listening} == {"127.0.0.1"}


def test_the_token_is_readable_by_its_owner_only_and_never_shown(stack: Stack) -> None:
    token = stack.state.api_token.get_secret_value()
    assert (stack.folder / FILE).stat().st_mode & 0o077 == 0
    assert token not in devstack("status", "--folder", str(stack.folder), "--json")
    assert token not in repr(stack)
    for log in stack.folder.glob("*.log"):
        assert token not in log.read_text(errors="replace")
    for service in stack.state.services.values():
        process = service.process.find()
        assert process is not None
        assert token not in " ".join(process.cmdline())


def test_run_points_a_command_at_the_stack_and_passes_its_exit_code_on(stack: Stack) -> None:
    folder = str(stack.folder)
    script = "import os, sys; print(os.environ['PUBSUB_EMULATOR_HOST']); sys.exit(7)"
    shown = devstack("run", "--folder", folder, "--", "python", "-c", script, code=7)
    assert shown.strip() == stack.environment()["PUBSUB_EMULATOR_HOST"]
    assert find(stack.folder) is not None, "a stack that ran before is left running"
    devstack("run", "--folder", folder, "--", "no-such-program", code=127)
    devstack("run", "--folder", folder, code=2)


def test_doctor_finds_every_service_well(stack: Stack) -> None:
    checks = json.loads(devstack("doctor", "--folder", str(stack.folder), "--json"))
    assert all(check["ok"] for check in checks), checks
    assert {"BigQuery", "Pub/Sub", "S3", "member API"} <= {check["name"] for check in checks}
    assert "ok" in devstack("doctor", "--folder", str(stack.folder))


def test_doctor_names_the_fix_when_nothing_runs(tmp_path: Path) -> None:
    checks = json.loads(devstack("doctor", "--folder", str(tmp_path / "none"), "--json", code=1))
    (red,) = [check for check in checks if not check["ok"]]
    assert red["fix"] == "run `devstack up`"


def test_without_a_stack_commands_say_how_to_start_one(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    result = subprocess.run([DEVSTACK, "env", "--folder", str(folder)], capture_output=True, text=True)
    assert result.returncode == 1
    assert "devstack up" in result.stderr
    devstack("status", "--folder", str(folder), "--json", code=1)
    assert "nothing was running" in devstack("down", "--folder", str(folder))
    with pytest.raises(MillraceError, match="not running"):
        require(folder)


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(MillraceError, match=re.escape(FILE)):
        find(tmp_path)


def test_a_recycled_process_number_is_not_mistaken_for_ours() -> None:
    mine = process_id(os.getpid())
    assert mine.find() is not None
    assert mine.model_copy(update={"created": mine.created - 100}).find() is None


def test_a_service_that_dies_comes_back_and_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        before = stack.state.services["s3"]
        os.kill(before.process.pid, signal.SIGKILL)

        def restarted() -> StackState | None:
            state = read_state(tmp_path)
            return state if state is not None and state.services["s3"].restarts == 1 else None

        state = eventually(restarted)
        assert state.services["s3"].ports == before.ports
        assert state.services["bigquery"] == stack.state.services["bigquery"]
        assert all(check["ok"] for check in json.loads(devstack("doctor", "--folder", str(tmp_path), "--json")))

        os.kill(state.supervisor.pid, signal.SIGKILL)
        eventually(lambda: state.supervisor.find() is None)
        orphans = [service.process for service in state.services.values()]
        assert all(process.find() for process in orphans)
        assert down(tmp_path)
        assert not any(process.find() for process in orphans)
        assert find(tmp_path) is None
        assert not any(row.running for row in status(tmp_path))


def test_a_stack_that_cannot_start_says_why(tmp_path: Path) -> None:
    # The member API's store cannot be made where a folder stands.
    (tmp_path / "member-api.sqlite").mkdir()
    with pytest.raises(MillraceError, match="did not start"):
        up(tmp_path)
    assert find(tmp_path) is None
