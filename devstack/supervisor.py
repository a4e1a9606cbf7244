"""The process that keeps the stand-ins running: starts them, restarts what dies, stops all together.

`python -m devstack.supervisor FOLDER` stays in the foreground; `devstack up` runs it in the background.
A service that dies comes back on its former port, so that clients only see a short outage.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr

from core.errors import MillraceError
from core.logs import configure_logs
from devstack.member_api.store import write_store
from devstack.services import SERVICES, Service, api_store, command, port_file, read_ports
from devstack.state import FILE, ProcessId, ServiceState, StackState, process_id, write_state

_log = structlog.get_logger(__name__)

_POLL_S = 0.05
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0
_MAX_RESTARTS = 20


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    identity: ProcessId
    ports: dict[str, int]
    restarts: int = 0


class Supervisor:
    """Runs every service of a stack until told to stop.

    Args:
        folder: the stack's folder: port files, logs and state.
        token: bearer token of the member API.
        stop: set to end the run.
    """

    def __init__(self, folder: Path, token: SecretStr, stop: threading.Event) -> None:
        self._folder = folder
        self._token = token
        self._stop = stop
        self._running: list[_Running] = []

    def run(self) -> None:
        """Start the services, watch over them until told to stop, then stop them.

        Raises:
            MillraceError: when a service does not start, or dies again and again.
        """
        try:
            self._start_all()
            while not self._stop.wait(_POLL_S):
                for running in self._running:
                    if running.process.poll() is not None:
                        self._restart(running)
        finally:
            self._stop_all()

    def _start_all(self) -> None:
        # Nothing else outlives the stack, so what the API served before must not either.
        store = api_store(self._folder)
        for path in (store, store.with_name(f"{store.name}-wal"), store.with_name(f"{store.name}-shm")):
            path.unlink(missing_ok=True)
        write_store(store, ())
        processes = [(service, self._spawn(service, {})) for service in SERVICES]
        # Registered before anything is awaited, so that a failed start leaves no process behind.
        self._running = [_Running(service, process, process_id(process.pid), {}) for service, process in processes]
        for running in self._running:
            running.ports = self._await_ports(running.service, running.process)
        self._publish()

    def _spawn(self, service: Service, ports: dict[str, int]) -> subprocess.Popen[bytes]:
        port_file(service, self._folder).unlink(missing_ok=True)
        environment = {**os.environ, "MILLRACE_API_TOKEN": self._token.get_secret_value()}
        with ExitStack() as stack:
            log = stack.enter_context((self._folder / f"{service.name}.log").open("ab"))
            return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                command(service, self._folder, ports),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def _await_ports(self, service: Service, process: subprocess.Popen[bytes]) -> dict[str, int]:
        waited_s = 0.0
        while waited_s < _START_TIMEOUT_S and not self._stop.is_set():
            ports = read_ports(service, self._folder)
            if ports is not None:
                return ports
            if process.poll() is not None:
                raise MillraceError(
                    f"{service.title} ended with code {process.returncode} while starting; "
                    f"see {self._folder / f'{service.name}.log'}"
                )
            self._stop.wait(_POLL_S)
            waited_s += _POLL_S
        raise MillraceError(f"{service.title} did not answer; see {self._folder / f'{service.name}.log'}")

    def _restart(self, running: _Running) -> None:
        running.restarts += 1
        if running.restarts > _MAX_RESTARTS:
            raise MillraceError(f"{running.service.title} died {running.restarts} times; giving up")
        _log.warning(
            "service_restarted",
            service=running.service.name,
            exit_code=running.process.returncode,
            restarts=running.restarts,
        )
        running.process = self._spawn(running.service, running.ports)
        running.identity = process_id(running.process.pid)
        running.ports = self._await_ports(running.service, running.process)
        self._publish()

    def _publish(self) -> None:
        write_state(
            self._folder,
            StackState(
                supervisor=process_id(os.getpid()),
                api_token=self._token,
                services={
                    running.service.name: ServiceState(
                        process=running.identity, ports=running.ports, restarts=running.restarts
                    )
                    for running in self._running
                },
            ),
        )

    def _stop_all(self) -> None:
        for running in self._running:
            running.process.terminate()
        for running in self._running:
            try:
                running.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        (self._folder / FILE).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Run a stack in the foreground until SIGTERM or SIGINT.

    Args:
        arguments: the stack's folder, and nothing else.

    Returns:
        The exit code.
    """
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    configure_logs("json", "INFO")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        Supervisor(folder, SecretStr(secrets.token_urlsafe(24)), stop).run()
    except MillraceError as error:
        if stop.is_set():
            return 0
        _log.error("stack_failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
