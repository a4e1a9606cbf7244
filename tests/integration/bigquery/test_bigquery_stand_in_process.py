"""The stand-in as a process: up, down, persistent, offline, on loopback only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from core.errors import UnavailableError
from devstack.bigquery import BigQueryAddress, running_bigquery
from devstack.bigquery.address import read_port_file
from devstack.bigquery.process import _environment

PROJECT = "/bigquery/v2/projects/local-project"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, plain and mapped into IPv6


def answer(address: BigQueryAddress, sql: str) -> list[int]:
    with bigquery.Client(
        project="local-project",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": address.rest_url},
    ) as client:
        return [row[0] for row in client.query_and_wait(sql)]


def listening_addresses(process: int) -> set[str]:
    """Read the local addresses of a process's listening sockets from the kernel."""
    links = {str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir() if entry.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.add(fields[1].partition(":")[0])
    return found


@contextmanager
def server_process(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "devstack.bigquery", "--rest-port", "0", "--grpc-port", "0", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
    ) as server:
        assert server.stdout is not None
        assert b"REST http://127.0.0.1:" in server.stdout.readline()
        yield server
        server.kill()


def test_it_keeps_its_data_listens_on_loopback_only_and_stops_cleanly(tmp_path: Path) -> None:
    data, port_file = tmp_path / "data", tmp_path / "ports.json"
    with server_process("--data-dir", str(data), "--port-file", str(port_file)) as server:
        ports = json.loads(port_file.read_text())
        address = BigQueryAddress("127.0.0.1", ports["rest"], ports["grpc"])
        if sys.platform == "linux":
            listening = listening_addresses(server.pid)
            assert listening
            assert listening <= LOOPBACK
        answer(address, "create schema kept")
        answer(address, "create table kept.numbers as select 41 + 1 as answer")
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=30)
        assert server.returncode == 0, errors
    with server_process("--data-dir", str(data), "--port-file", str(port_file), "--stop-on-eof") as server:
        ports = json.loads(port_file.read_text())
        address = BigQueryAddress("127.0.0.1", ports["rest"], ports["grpc"])
        assert answer(address, "select answer from kept.numbers") == [42]
        _, errors = server.communicate(timeout=30)  # closes standard input
        assert server.returncode == 0, errors


def test_a_file_that_cannot_hold_its_functions_is_refused(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "bqemulator.duckdb")).close()  # as earlier versions made it
    with pytest.raises(UnavailableError, match="start with an empty folder"), running_bigquery(data_dir=tmp_path):
        pass


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="File exists"), running_bigquery(data_dir=tmp_path / "file"):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, BigQueryAddress]]:
    port_file = tmp_path_factory.mktemp("bigquery") / "ports.json"
    with server_process("--port-file", str(port_file)) as process:
        yield process.pid, read_port_file(port_file, "127.0.0.1")


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_no_request_starts_a_thread_but_the_one_that_runs_a_statement(server: tuple[int, BigQueryAddress]) -> None:
    process, address = server
    url = f"{address.rest_url}{PROJECT}"
    assert httpx.post(f"{url}/datasets", json={"datasetReference": {"datasetId": "threads"}}, timeout=30).is_success
    query: Any = {"query": "create table threads.t as select 1 as a", "useLegacySql": False}
    job = httpx.post(f"{url}/jobs", json={"configuration": {"query": query}}, timeout=30).json()
    tasks = Path(f"/proc/{process}/task")
    before = {task.name for task in tasks.iterdir()}
    for again in ("select 1", "create or replace table threads.t as select 2 as a"):
        query["query"] = again
        assert httpx.post(f"{url}/jobs", json={"configuration": {"query": query}}, timeout=30).is_success
    for path in ("datasets", "datasets/threads", "datasets/threads/tables", "datasets/threads/tables/t"):
        assert httpx.get(f"{url}/{path}", timeout=30).is_success
    assert httpx.get(f"{url}/jobs/{job['jobReference']['jobId']}", timeout=30).json()["status"]["state"] == "DONE"
    assert httpx.get(f"{url}/queries/{job['jobReference']['jobId']}", timeout=30).json()["jobComplete"]
    assert {task.name for task in tasks.iterdir()} <= before


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({"x-correlation-id": "one"}, "one"),
        ({"x-request-id": "two"}, "two"),
        ({"x-cloud-trace-context": "three/4;o=1"}, "three"),
    ],
)
def test_an_answer_bears_the_id_of_its_request(
    server: tuple[int, BigQueryAddress], given: dict[str, str], answered: str
) -> None:
    answer = httpx.get(f"{server[1].rest_url}{PROJECT}/datasets/none", headers=given, timeout=30)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == 404
    assert answer.headers["x-correlation-id"] == answered


def test_a_request_without_an_id_is_given_one(server: tuple[int, BigQueryAddress]) -> None:
    url = f"{server[1].rest_url}{PROJECT}/datasets"
    ids = {httpx.get(url, timeout=30).headers["x-correlation-id"] for _ in range(2)}
    assert len(ids) == 2
