"""A throw-away PostgreSQL on a socket of its own; root runs it as the user that `pgserver` makes for this purpose."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
from pgserver._commands import POSTGRES_BIN_PATH
from pgserver.utils import ensure_prefix_permissions, ensure_user_exists

_USER = "pgserver"
_TIMEOUT_S = 60.0


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server for the length of a `with` block; yield the URI of its database."""
    user = _USER if os.geteuid() == 0 else None
    if user:
        ensure_user_exists(user)
        ensure_prefix_permissions(POSTGRES_BIN_PATH)
    folder = Path(tempfile.mkdtemp(prefix="mr-pg-"))
    try:
        if user:
            shutil.chown(folder, user=user)
        initdb = [POSTGRES_BIN_PATH / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--locale=C", "--no-sync"], check=True, capture_output=True, user=user, cwd=folder)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "timezone": "Asia/Tokyo",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            command = [POSTGRES_BIN_PATH / "postgres", "-D", folder / "data", *options]
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
        try:
            uri = f"postgresql://postgres@/postgres?host={folder}"
            _await(uri, server, folder / "log")
            yield uri
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def execute(uri: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with postgresql.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _await(uri: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            postgresql.connect(uri).close()
        except postgresql.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
