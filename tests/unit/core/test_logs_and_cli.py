"""Logs are one JSON object a line with Cloud Logging's names; commands fail with a sentence, not a trace."""

import io
import json

import pytest
import structlog
import typer

from core.cli import run
from core.errors import ConfigurationError
from core.logs import configure_logs


def test_json_lines_carry_severity_message_and_fields() -> None:
    stream = io.StringIO()
    configure_logs("json", "INFO", stream)
    log = structlog.get_logger("test")
    log.debug("hidden")
    log.warning("appended", rows=3, text='a "quote"\nand é')
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["severity"] == "WARNING"
    assert event["message"] == "appended"
    assert event["rows"] == 3
    assert event["time"].endswith("Z")


def test_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    configure_logs("console", "DEBUG", stream)
    structlog.get_logger("test").debug("appended", rows=3)
    assert "appended" in stream.getvalue()
    assert "rows" in stream.getvalue()


app = typer.Typer()


@app.command()
def fail(how: str) -> None:
    if how == "config":
        raise ConfigurationError("topic is wrong; use [a-z]")
    if how == "interrupt":
        raise KeyboardInterrupt


@pytest.mark.parametrize(("how", "code"), [("config", 1), ("interrupt", 130), ("fine", 0)])
def test_exit_codes(how: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["tool", how])
    with pytest.raises(SystemExit) as caught:
        run(app, "tool")
    assert caught.value.code == code
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    if how == "config":
        assert "tool: topic is wrong; use [a-z]" in output.err


def test_wrong_use_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tool", "--no-such-option"])
    with pytest.raises(SystemExit) as caught:
        run(app, "tool")
    assert caught.value.code == 2
