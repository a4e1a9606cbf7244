"""The server as a process, and inside an event loop."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.pubsub_v1 import types
from pubsub_clients import eventually

from devstack.pubsub.__main__ import main
from devstack.pubsub.clock import Clock
from devstack.pubsub.control import stats
from devstack.pubsub.model import SECOND
from devstack.pubsub.process import running_server
from devstack.pubsub.server import serve

COMMAND = [sys.executable, "-m", "devstack.pubsub"]


def test_it_tells_its_port_and_stops_cleanly_even_with_a_stream_open(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    with subprocess.Popen(
        [*COMMAND, "--port-file", str(port_file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        port = eventually(lambda: port_file.exists() and port_file.read_text()).strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            create = channel.unary_unary("/google.pubsub.v1.Publisher/CreateTopic")
            create(types.Topic.pb()(name="projects/p/topics/events").SerializeToString())
            create = channel.unary_unary("/google.pubsub.v1.Subscriber/CreateSubscription")
            name = "projects/p/subscriptions/reader"
            create(types.Subscription.pb()(name=name, topic="projects/p/topics/events").SerializeToString())
            stream = channel.stream_stream("/google.pubsub.v1.Subscriber/StreamingPull")
            first = types.StreamingPullRequest.pb()(subscription=name, stream_ack_deadline_seconds=10)
            call = stream(iter([first.SerializeToString()]))
            next(call)
            child.send_signal(signal.SIGTERM)
            out, err = child.communicate(timeout=10)
    assert child.returncode == 0
    assert out == f"{port}\n"
    assert err == ""


def test_a_taken_port_is_a_failure_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert "the port is taken" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--host", "0.0.0.0"], ["--port", "http"], ["--nonsense"]])  # noqa: S104 - refused
def test_wrong_usage_is_told_from_failure(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_the_helper_cleans_up_behind_itself() -> None:
    with running_server() as address:
        assert stats(address) == {}
    with pytest.raises(grpc.RpcError):
        stats(address)


def test_the_helper_says_when_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(RuntimeError, match="did not start"), running_server():
        pass


async def test_it_runs_in_an_event_loop_under_a_clock_of_the_callers() -> None:
    clock = Clock(source=lambda: 1_800_000_000 * SECOND)
    async with serve(clock=clock) as server, grpc.aio.insecure_channel(server.address) as channel:
        publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
        server.runtime.broker.create_topic(types.Topic.pb()(name="projects/p/topics/events"))
        request = types.PublishRequest.pb()(topic="projects/p/topics/events", messages=[{"data": b"x"}])
        answer = types.PublishResponse.pb().FromString(await publish(request.SerializeToString()))
        assert answer.message_ids == [str(1_800_000_000_000_000)]
    assert os.environ.get("PUBSUB_EMULATOR_HOST") != server.address


async def test_it_stays_on_loopback() -> None:
    with pytest.raises(ValueError, match="loopback"):
        async with serve(host="0.0.0.0"):  # noqa: S104 - refused
            pass


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="go back"):
        Clock().advance(-1)
