"""A throw-away PostgreSQL with logical decoding, on a free loopback port.

The server comes with the `pgserver` package. PostgreSQL refuses to run as root, so root runs it as the
system user that `pgserver` makes for this purpose.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from core.errors import MillraceError
from devstack.services import HOST

_SYSTEM_USER = "pgserver"
_DATABASE_USER = "postgres"
_START_TIMEOUT_S = 60.0
_POLL_S = 0.1
_SETTINGS = {
    "listen_addresses": HOST,
    "wal_level": "logical",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "fsync": "off",  # the data is thrown away; durability would only cost time
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: loopback port.
        user: superuser, with no password: the server trusts loopback only.
        database: name of the database.
    """

    port: int
    user: str = _DATABASE_USER
    database: str = "postgres"

    def connect(self, **options: Any) -> "psycopg.Connection[Any]":
        """Return a new connection; close it when done."""
        return psycopg.connect(
            host=HOST, port=self.port, user=self.user, dbname=self.database, connect_timeout=10, **options
        )


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL for the length of a `with` block, then remove it with its data.

    Yields:
        The running server.

    Raises:
        MillraceError: when it does not start; the message ends with the server's log.
    """
    binaries = _binaries()
    user = _system_user(binaries)
    folder = Path(tempfile.mkdtemp(prefix="millrace-postgres-"))
    try:
        if user:
            shutil.chown(folder, user=user)
        _run_initdb(binaries, folder / "data", user)
        port = _free_port()
        with _server(binaries, folder, port, user) as server:
            postgres = Postgres(port)
            _await_answer(postgres, server, folder / "log")
            yield postgres
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(binaries: Path, folder: Path, port: int, user: str | None) -> Iterator["subprocess.Popen[bytes]"]:
    settings: Mapping[str, str] = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
    arguments = [str(binaries / "postgres"), "-D", str(folder / "data")]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - fixed program, settings of ours
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, cwd=folder
        )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _run_initdb(binaries: Path, data: Path, user: str | None) -> None:
    result = subprocess.run(  # noqa: S603 - fixed program and arguments
        [binaries / "initdb", "-D", data, "-U", _DATABASE_USER, "--auth=trust", "--encoding=UTF8", "--locale=C"],
        capture_output=True,
        text=True,
        user=user,
        cwd=data.parent,
        check=False,
    )
    if result.returncode:
        raise MillraceError(f"initdb failed: {result.stderr.strip()}")


def _await_answer(postgres: Postgres, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            postgres.connect().close()
        except psycopg.OperationalError:
            time.sleep(_POLL_S)
        else:
            return
    raise MillraceError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")


def _binaries() -> Path:
    try:
        from pgserver._commands import POSTGRES_BIN_PATH
    except ImportError as error:
        raise MillraceError("the live extra is not installed; run `make live`") from error
    return Path(POSTGRES_BIN_PATH)


def _system_user(binaries: Path) -> str | None:
    if os.geteuid() != 0:
        return None
    from pgserver.utils import ensure_prefix_permissions, ensure_user_exists

    ensure_user_exists(_SYSTEM_USER)
    ensure_prefix_permissions(binaries)
    return _SYSTEM_USER


def _free_port() -> int:
    # PostgreSQL cannot pick a port itself; the gap between closing and its bind is short and loopback only.
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
