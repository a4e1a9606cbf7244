"""Start, stop and look at the local stack from outside its supervisor."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.errors import MillraceError
from core.settings import Settings
from devstack.services import HOST, SERVICES, api_store
from devstack.state import FILE, ProcessId, StackState, read_state

DEFAULT_FOLDER = Path("build/devstack")

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Stack:
    """A running stack and how to reach it.

    Attributes:
        folder: where its state and logs stand.
        state: its processes and ports.
    """

    folder: Path
    state: StackState

    def port(self, service: str, name: str = "port") -> int:
        """Return the loopback port of a service."""
        return self.state.services[service].ports[name]

    @property
    def api_store(self) -> Path:
        """The file that the member API serves."""
        return api_store(self.folder)

    def settings(self) -> Settings:
        """Return Millrace's settings for this stack, for use within this process.

        S3 credentials are no settings: boto3 reads them from the environment, where `environment` has them.
        """
        variables = self.environment()
        return Settings(
            bigquery_emulator_host=variables["BIGQUERY_EMULATOR_HOST"],
            bigquery_storage_emulator_host=variables["BIGQUERY_STORAGE_EMULATOR_HOST"],
            pubsub_emulator_host=variables["PUBSUB_EMULATOR_HOST"],
            s3_endpoint_url=variables["AWS_ENDPOINT_URL_S3"],
            api_base_url=variables["MILLRACE_API_BASE_URL"],
            api_token=self.state.api_token,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that point every tool, ours and others', at this stack."""
        return {
            "MILLRACE_ENVIRONMENT": "local",
            "MILLRACE_PROJECT": Settings.model_fields["project"].default,
            "BIGQUERY_EMULATOR_HOST": f"http://{HOST}:{self.port('bigquery', 'rest')}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"{HOST}:{self.port('bigquery', 'grpc')}",
            "PUBSUB_EMULATOR_HOST": f"{HOST}:{self.port('pubsub')}",
            "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{self.port('s3')}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MILLRACE_API_BASE_URL": f"http://{HOST}:{self.port('member_api')}",
            "MILLRACE_API_TOKEN": self.state.api_token.get_secret_value(),
            "MILLRACE_INGEST_OVERSIZE_URI": "s3://millrace-oversize",
            "DBT_PROFILES_DIR": "profiles",
            "DBT_TARGET": "local",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }


def find(folder: Path) -> Stack | None:
    """Return the stack that runs in `folder`, or None.

    Args:
        folder: the stack's folder.

    Returns:
        The stack while its supervisor runs.

    Raises:
        MillraceError: when its state file is damaged.
    """
    state = read_state(folder)
    if state is None or state.supervisor.find() is None:
        return None
    return Stack(folder, state)


def require(folder: Path) -> Stack:
    """Return the stack that runs in `folder`.

    Args:
        folder: the stack's folder.

    Returns:
        The running stack.

    Raises:
        MillraceError: when none runs.
    """
    stack = find(folder)
    if stack is None:
        raise MillraceError("the local stack is not running; start it with `devstack up`")
    return stack


def up(folder: Path) -> Stack:
    """Start the stack, or return the one that runs.

    Args:
        folder: the stack's folder; made when absent.

    Returns:
        The running stack, every service answering.

    Raises:
        MillraceError: when it does not start; the message ends with the supervisor's last log line.
    """
    running = find(folder)
    if running is not None:
        return running
    down(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = folder / "supervisor.log"
    with log_path.open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "devstack.supervisor", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack = None
    try:
        stack = _await_start(folder, supervisor)
    finally:
        if stack is None:
            supervisor.terminate()
    if stack is None:
        raise MillraceError(f"the local stack did not start: {_last_error(log_path)}")
    return stack


def down(folder: Path) -> bool:
    """Stop the stack, and whatever a killed supervisor left behind.

    Args:
        folder: the stack's folder.

    Returns:
        Whether anything was running.

    Raises:
        MillraceError: when its state file is damaged.
    """
    state = read_state(folder)
    if state is None:
        return False
    supervised = _end([state.supervisor])
    orphans = _end([service.process for service in state.services.values()])
    (folder / FILE).unlink(missing_ok=True)
    return supervised or orphans


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Run a stack for the length of a `with` block; one that ran before is left running.

    Args:
        folder: the stack's folder.

    Yields:
        The running stack.
    """
    was_running = find(folder) is not None
    try:
        yield up(folder)
    finally:
        if not was_running:
            down(folder)


@dataclass(frozen=True)
class ServiceStatus:
    """What `devstack status` says of a service.

    Attributes:
        name: name of the service.
        title: what it stands in for.
        running: whether its process runs.
        pid: number of its process; None when it never started.
        address: where it listens; empty when it does not.
        restarts: how often it was started again.
    """

    name: str
    title: str
    running: bool
    pid: int | None
    address: str
    restarts: int


def status(folder: Path) -> list[ServiceStatus]:
    """Return the state of every service, whether or not the stack runs.

    Args:
        folder: the stack's folder.

    Returns:
        One row per service.

    Raises:
        MillraceError: when the state file is damaged.
    """
    state = read_state(folder)
    rows = []
    for service in SERVICES:
        found = state.services.get(service.name) if state else None
        if found is None:
            rows.append(ServiceStatus(service.name, service.title, False, None, "", 0))
            continue
        alive = found.process.find() is not None
        address = ", ".join(f"{HOST}:{port}" for port in found.ports.values())
        rows.append(ServiceStatus(service.name, service.title, alive, found.process.pid, address, found.restarts))
    return rows


def _await_start(folder: Path, supervisor: "subprocess.Popen[bytes]") -> Stack | None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and supervisor.poll() is None:
        stack = find(folder)
        if stack is not None:
            return stack
        time.sleep(_POLL_S)
    return None


def _end(identities: list[ProcessId]) -> bool:
    processes = [process for identity in identities if (process := identity.find()) is not None]
    for process in processes:
        process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_STOP_TIMEOUT_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=_STOP_TIMEOUT_S)
    return bool(processes)


def _last_error(log_path: Path) -> str:
    lines = log_path.read_text(errors="replace").strip().splitlines()
    if not lines:
        return f"no log was written to {log_path}"
    try:
        return str(json.loads(lines[-1])["error"])
    except (ValueError, KeyError, TypeError):
        return lines[-1]
