"""The local S3 over real HTTP."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.clients import s3_client
from core.errors import ConfigurationError
from core.settings import Settings
from devstack.s3 import running_s3
from devstack.s3.__main__ import main
from devstack.s3.server import DUMMY_CREDENTIALS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def _client(url: str) -> "S3Client":
    return s3_client(Settings(s3_endpoint_url=url))


def test_it_begins_without_buckets_and_keeps_objects_while_it_runs() -> None:
    with running_s3() as address:
        client = _client(address.url)
        assert client.list_buckets()["Buckets"] == []
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a/b c.txt", Body=b"\x00\xff" * 1000)
        assert client.get_object(Bucket="bucket", Key="a/b c.txt")["Body"].read() == b"\x00\xff" * 1000
        assert client.get_object(Bucket="bucket", Key="a/b c.txt", Range="bytes=1-2")["Body"].read() == b"\xff\x00"
    with running_s3() as address:
        assert _client(address.url).list_buckets()["Buckets"] == []


def test_only_loopback_and_free_ports_are_taken() -> None:
    with pytest.raises(ConfigurationError, match="loopback"), running_s3(host="192.0.2.1"):
        pass
    with running_s3() as address:
        client = _client(address.url)
        client.create_bucket(Bucket="bucket")
        with pytest.raises(ConfigurationError, match="choose another port"), running_s3(port=address.port):
            pass
        assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["bucket"]


def test_the_command_publishes_its_port_and_stops_cleanly(tmp_path: Path) -> None:
    port_file = tmp_path / "port.json"
    command = [sys.executable, "-m", "devstack.s3", "--port", "0", "--port-file", str(port_file)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert child.poll() is None, child.stderr and child.stderr.read()
            assert time.monotonic() < deadline, "S3 did not start in time"
            time.sleep(0.02)
        client = _client(f"http://127.0.0.1:{json.loads(port_file.read_text())['port']}")
        assert client.list_buckets()["Buckets"] == []
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "192.0.2.1"]) == 1
    assert "loopback" in capsys.readouterr().err
