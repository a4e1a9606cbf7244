"""What is written wrong ends a command with 2 before anything is asked, and the message says what to write instead."""

import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.cli import run as run_command
from core.errors import ConfigurationError
from ingest.cli import app
from ingest.settings import IngestSettings, load_ingest_settings

KAFKA = {"INGEST_TRANSPORT": "kafka"}
FILES = {"INGEST_TRANSPORT": "files"}
PUSH = {
    "INGEST_TRANSPORT": "push",
    "INGEST_PUSH_AUDIENCE": "us",
    "INGEST_PUSH_SERVICE_ACCOUNT": "push@acme.example",
}


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        (KAFKA, ["run"], "INGEST_KAFKA_BOOTSTRAP_SERVERS: Field required"),
        (KAFKA | {"INGEST_KAFKA_BOOTSTRAP_SERVERS": "broker"}, ["run"], "KAFKA_BOOTSTRAP_SERVERS: String should"),
        (FILES, ["run"], "INGEST_FILES_URI: Field required"),
        (FILES | {"INGEST_FILES_URI": "ftp://place"}, ["run"], "INGEST_FILES_URI: String should"),
        (FILES | {"INGEST_FILES_URI": "gs://place"}, ["run"], "no contract says which files are its own"),
        (PUSH, ["run"], "push delivery needs an HTTP server: give --http-port"),
        (PUSH | {"INGEST_PUSH_AUDIENCE": ""}, ["run"], "INGEST_PUSH_AUDIENCE"),
        (PUSH | {"INGEST_PUSH_CERTIFICATES_URL": "http://certs.example/"}, ["run"], "CERTIFICATES_URL: String should"),
        (PUSH | {"INGEST_PUSH_CERTIFICATES_URL": "http://127.0.0.1@x.example/"}, ["run"], "CERTIFICATES_URL: String"),
        (PUSH | {"INGEST_PUSH_CERTIFICATES_URL": "http://127.0.0.1.x.example/"}, ["run"], "CERTIFICATES_URL: String"),
        (PUSH | {"INGEST_PUSH_CERTIFICATES_URL": "http://[::1]:8080/certs"}, ["run"], "push delivery needs an HTTP"),
        ({}, ["run", "--table", "nosuch"], "no contract declares nosuch; the tables are"),
        ({}, ["drift", "--table", "nosuch"], "no contract declares nosuch; the tables are"),
        ({}, ["tail", "nosuch"], "no contract declares nosuch; the tables are"),
        ({"CONTRACTS_PATH": "nowhere"}, ["drift"], "set MILLRACE_CONTRACTS_PATH"),
        ({"API_BASE_URL": "http://user@members.example"}, ["run"], "the token belongs in MILLRACE_API_TOKEN"),
        ({"API_BASE_URL": "http://members.example", "ENVIRONMENT": "staging"}, ["run"], "must be https"),
        ({"INGEST_WATERMARK_WINDOW_S": "inf"}, ["run"], "WATERMARK_WINDOW_S: Input should be"),
        ({"INGEST_BATCH_ROWS": "20", "INGEST_BATCH_ROWS_MAX": "10"}, ["run"], "20, more than batch_rows_max, 10"),
        ({"INGEST_BATCH_WAIT_MS": "5", "INGEST_BATCH_WAIT_MIN_MS": "6"}, ["run"], "6, more than batch_wait_ms, 5"),
    ],
)  # fmt: skip
def test_it_ends_with_2_and_says_what_is_wrong(
    settings: dict[str, str],
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    monkeypatch.setattr("sys.argv", ["ingest", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_command(app, "ingest")
    told = capfd.readouterr().err
    assert (ended.value.code, words in told) == (2, True), told
    assert "Traceback" not in told


SECONDS = sorted(name for name in IngestSettings.model_fields if name.endswith("_s"))


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", "-1"])
def test_no_time_is_without_end(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MILLRACE_INGEST_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=name.upper()):
        load_ingest_settings()


@pytest.mark.parametrize("name", ["LIST_S", "QUIET_S"])
def test_nor_is_one_of_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_TRANSPORT", "files")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "gs://place")
    monkeypatch.setenv(f"MILLRACE_INGEST_FILES_{name}", "inf")
    result = CliRunner().invoke(app, ["run"])
    assert re.search(f"INGEST_FILES_{name}: Input should be", str(result.exception))


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_bound_that_nobody_gave_follows_the_other(rows: int, wait_ms: int, given_bound: int) -> None:
    assert IngestSettings(batch_rows=rows, batch_wait_ms=wait_ms).batch_rows == rows
    for given_both, is_held in (
        ({"batch_rows": rows, "batch_rows_max": given_bound}, rows <= given_bound),
        ({"batch_wait_ms": wait_ms, "batch_wait_min_ms": given_bound}, given_bound <= wait_ms),
    ):
        with nullcontext() if is_held else pytest.raises(ValueError, match="lower the one or raise the other"):
            IngestSettings.model_validate(given_both)
