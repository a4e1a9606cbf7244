"""The command line of the BigQuery stand-in, and what it refuses."""

import json
import socket
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from devstack.bigquery.__main__ import main
from devstack.bigquery.address import BigQueryAddress, check_loopback, read_port_file, write_port_file
from devstack.bigquery.server import ServerOptions, emulator_settings
from devstack.bigquery.shims import PINNED_VERSION, check_version


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    assert "--port-file" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["0.0.0.0", "8.8.8.8", "localhost", "::", ""])  # noqa: S104
def test_only_loopback_is_served(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", host]) == 2
    assert "loopback" in capsys.readouterr().err


def test_loopback_is_accepted() -> None:
    assert check_loopback("127.0.0.2") == "127.0.0.2"


@pytest.mark.parametrize("option", ["--rest-port", "--grpc-port"])
def test_a_port_that_is_taken_is_reported_with_the_fix(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"--rest-port": "0", "--grpc-port": "0", option: str(taken.getsockname()[1])}
        assert main([part for pair in ports.items() for part in pair]) == 1
    assert "choose port 0" in capsys.readouterr().err


def test_unknown_options_are_wrong_usage() -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--no-such-option"])
    assert exit_.value.code == 2


def test_ports_survive_their_file(tmp_path: Path) -> None:
    address = BigQueryAddress("127.0.0.1", 9050, 9060)
    write_port_file(tmp_path / "ports.json", address)
    assert json.loads((tmp_path / "ports.json").read_text()) == {"rest": 9050, "grpc": 9060}
    assert read_port_file(tmp_path / "ports.json", "127.0.0.1") == address
    assert address.rest_url == "http://127.0.0.1:9050"
    assert address.grpc_target == "127.0.0.1:9060"


def test_no_environment_can_turn_exporters_on_or_bind_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BQEMU_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.setenv("BQEMU_TRACING_ENABLED", "true")
    monkeypatch.setenv("BQEMU_REST_HOST", "0.0.0.0")  # noqa: S104
    monkeypatch.setenv("BQEMU_ENABLE_FORMAT_EXTENSIONS", "true")
    settings = emulator_settings(ServerOptions())
    assert settings.otlp_endpoint is None
    assert not settings.tracing_enabled
    assert not settings.enable_format_extensions
    assert (settings.rest_host, settings.grpc_host) == ("127.0.0.1", "127.0.0.1")


def test_another_emulator_is_refused_with_the_fix() -> None:
    check_version(PINNED_VERSION)
    with pytest.raises(ConfigurationError, match=r"install bqemulator==1\.4\.0"):
        check_version("1.5.0")
