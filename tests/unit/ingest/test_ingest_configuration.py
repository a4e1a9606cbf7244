"""Settings, failpoints and the command line: wrong use is told at once, with the fix."""

import json
import re
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from core.errors import ConfigurationError, UsageError
from ingest.cli import app
from ingest.failpoints import Failpoint, load_failpoint
from ingest.progress import Progress
from ingest.settings import load_ingest_settings

runner = CliRunner()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_BATCH_ROWS", "7")
    assert load_ingest_settings().batch_rows == 7


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_BATCH_ROWS", "0")
    monkeypatch.setenv("MILLRACE_INGEST_ACK_DEADLINE_S", "601")
    with pytest.raises(ConfigurationError, match=r"(?s)BATCH_ROWS.*ACK_DEADLINE_S"):
        load_ingest_settings()


def test_a_failpoint_is_read() -> None:
    assert load_failpoint({"MILLRACE_FAILPOINT": "after_append:crash_after=5"}, "local") == Failpoint("after_append", 5)
    assert load_failpoint({}, "production") == Failpoint()


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("after_append:crash_after=5", "production"),
        ("after_append:crash_after=5", "dev"),
        ("nowhere:crash_after=5", "local"),
        ("after_append", "local"),
        ("after_append:crash_after=0", "local"),
    ],
)
def test_a_failpoint_that_must_not_be_is_refused(text: str, environment: str) -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_FAILPOINT"):
        load_failpoint({"MILLRACE_FAILPOINT": text}, environment)


def test_a_failpoint_elsewhere_does_nothing() -> None:
    point = Failpoint("after_append", 1)
    point.hit("before_append", 100)
    assert point.passed == 0


def test_a_summary_counts_by_table_and_reason() -> None:
    progress = Progress("load")
    progress.receive(5)
    progress.land("members", 2)
    progress.land("member_emails", 1)
    progress.reasons.update(["invalid_json"])
    summary = progress.summary()
    assert (summary.received, summary.landed, summary.dead_lettered) == (5, 3, 1)
    assert summary.tables == {"member_emails": 1, "members": 2}
    assert summary.reasons == {"invalid_json": 1}


def test_help_is_quick_and_has_examples() -> None:
    started = time.process_time()
    result = runner.invoke(app, ["run", "--help"])
    assert result.exit_code == 0
    assert "ingest run --until-idle 5 --json" in result.output
    assert time.process_time() - started < 5


def test_help_imports_no_google_client() -> None:
    heavy = "('google.cloud.', 'google.api', 'google.pubsub', 'grpc')"
    code = f"import sys, ingest.cli; print([name for name in sys.modules if name.startswith({heavy})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_wrong_use_is_exit_2() -> None:
    assert runner.invoke(app, ["run", "--no-such-option"]).exit_code == 2


WORKERS = ["run", "--workers", "2"]
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "KAFKA_GROUP_ID": "our-group"}
FILES = {"FILES_URI": "gs://drop/members"}
PUSH = {"PUSH_AUDIENCE": "us", "PUSH_SERVICE_ACCOUNT": "push@acme.example"}


@pytest.mark.parametrize(
    ("transport", "settings", "arguments", "words"),
    [
        ("pubsub", {}, [*WORKERS, "--limit", "5"], "--limit counts the messages of one process.*use --workers 1"),
        ("push", PUSH, WORKERS, "push delivery has one port.*let Cloud Run start more instances"),
        ("kafka", KAFKA | {"KAFKA_GROUP_INSTANCE_ID": "a"}, WORKERS, "KAFKA_GROUP_INSTANCE_ID names one member"),
        ("files", FILES, WORKERS, "FILES_NOTIFICATION_TOPIC"),
        ("kafka", KAFKA, ["run", "--dry-run"], "run --dry-run` reads Pub/Sub, but .*_TRANSPORT is 'kafka'"),
        ("push", PUSH, ["run", "--dry-run"], "set it to 'pubsub'"),
        ("files", FILES, ["tail", "members"], "`ingest tail` reads Pub/Sub"),
        ("files", FILES, ["replay", "--from", "2026-01-31T12:00:00Z"], "no contract says which files are its own"),
    ],
)  # fmt: skip
def test_what_a_transport_cannot_do_is_wrong_use_and_the_message_says_what_to_do(
    transport: str, settings: dict[str, str], arguments: list[str], words: str
) -> None:
    named = {f"MILLRACE_INGEST_{name}": value for name, value in {"TRANSPORT": transport, **settings}.items()}
    result = runner.invoke(app, arguments, env={**named, "MILLRACE_PROJECT": "millrace-local"})
    # `core.cli` makes exit code 2 of it.
    assert isinstance(result.exception, UsageError), result.output
    assert re.search(words, str(result.exception)), result.exception


def test_an_unknown_table_is_named() -> None:
    result = runner.invoke(app, ["run", "--table", "nope"])
    assert isinstance(result.exception, ConfigurationError)
    assert "nope" in str(result.exception)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_setup_leaves_terraform_its_own(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MILLRACE_ENVIRONMENT", environment)
    result = runner.invoke(app, ["setup"])
    assert isinstance(result.exception, ConfigurationError)
    assert "terraform" in str(result.exception)
