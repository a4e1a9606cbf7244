"""The servers the Pub/Sub scenarios run on: ours, and Google's emulator where it is installed."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from pubsub_clients import Clients

from devstack.pubsub.process import running_server


def _emulator_jar() -> Path | None:
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    if gcloud is None or java is None:
        return None
    folder = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib"
    return next(folder.glob("cloud-pubsub-emulator-*-all.jar"), None)


_JAR = _emulator_jar()
# Without the emulator its half is not collected: a skipped test would look like something to be fixed.
_SERVERS = ("millrace", "google") if _JAR else ("millrace",)


@contextmanager
def _running_emulator() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["java", "-XX:TieredStopAtLevel=1", "-jar", str(_JAR), "--host=127.0.0.1", f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=60)
            yield f"127.0.0.1:{port}"
        finally:
            child.kill()


@pytest.fixture(scope="session")
def millrace_address() -> Iterator[str]:
    with running_server() as address:
        yield address


@pytest.fixture(scope="session")
def fast_address() -> Iterator[str]:
    with running_server() as address:
        yield address


@pytest.fixture(scope="session", params=_SERVERS)
def any_address(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "google":
            yield stack.enter_context(_running_emulator())
        else:
            yield request.getfixturevalue("millrace_address")


def _clients(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    monkeypatch.setitem(os.environ, "PUBSUB_EMULATOR_HOST", address)
    clients = Clients(address, project=f"p-{uuid.uuid4().hex[:12]}")
    yield clients
    clients.close()


@pytest.fixture
def anywhere(any_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """Stock clients of a project of its own, on every server there is."""
    yield from _clients(any_address, monkeypatch)


@pytest.fixture
def ours(millrace_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """Stock clients of a project of its own, on our server."""
    yield from _clients(millrace_address, monkeypatch)


@pytest.fixture
def fast(fast_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """The same on a server whose clock is pushed forward, for nobody else to trip over."""
    yield from _clients(fast_address, monkeypatch)
