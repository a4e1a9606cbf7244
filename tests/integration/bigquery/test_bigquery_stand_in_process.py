"""The stand-in as a process: up, down, persistent, offline, on loopback only."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from core.errors import UnavailableError
from devstack.bigquery import BigQueryAddress, running_bigquery
from devstack.bigquery.process import _environment


def connect(address: BigQueryAddress) -> bigquery.Client:
    return bigquery.Client(
        project="local-project",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": address.rest_url},
    )


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with running_bigquery(data_dir=tmp_path) as address, connect(address) as client:
        client.create_dataset("kept")
        client.query_and_wait("create table kept.numbers as select 41 + 1 as answer")
    with running_bigquery(data_dir=tmp_path) as address, connect(address) as client:
        assert [row.answer for row in client.query_and_wait("select answer from kept.numbers")] == [42]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="did not start"), running_bigquery(data_dir=tmp_path / "file"):
        pass


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, plain and mapped into IPv6


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("stop", ["signal", "end of input"])
def test_it_listens_on_loopback_only_and_stops_cleanly(tmp_path: Path, stop: str) -> None:
    port_file = tmp_path / "ports.json"
    command = [sys.executable, "-m", "devstack.bigquery", "--rest-port", "0", "--grpc-port", "0"]
    with subprocess.Popen(
        [*command, "--port-file", str(port_file), "--stop-on-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
    ) as server:
        assert server.stdout is not None
        assert b"REST http://127.0.0.1:" in server.stdout.readline()
        assert port_file.exists()
        listening = listening_addresses(server.pid)
        assert listening
        assert listening <= LOOPBACK
        if stop == "signal":
            server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=30)  # closes standard input
    assert server.returncode == 0, errors
