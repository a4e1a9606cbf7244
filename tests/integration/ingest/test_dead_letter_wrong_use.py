"""`ingest dead-letters` tells apart: nothing there, a name misspelt, a target that is none, a BigQuery that is away."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from ingest_river import River
from typer.testing import CliRunner, Result

from core.errors import ConfigurationError, UnavailableError, UsageError
from ingest import bigquery_errors
from ingest.cli import app

Call = Callable[..., Result]


@pytest.fixture
def call(river: River, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command of `ingest` on the river."""
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        structlog.reset_defaults()  # the stream it logs to is closed by now
        return result

    return run


@contextmanager
def hanging_up() -> Iterator[str]:
    """A server that takes connections, and ends each at once."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "command", [["list"], ["list", "--json"], ["replay", "--dry-run"], ["replay"], ["export", "letters.ndjson"]]
)
def test_a_name_that_nothing_can_have_is_wrong_use_and_the_nearest_is_named(
    call: Call, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, river: River
) -> None:
    contracts = river.settings.contracts_path.resolve()
    monkeypatch.setenv("MILLRACE_CONTRACTS_PATH", str(contracts))
    monkeypatch.chdir(tmp_path)
    for name, wrong, words in (
        ("--reason", "mising_key", "did you mean missing_key?"),
        ("--table", "memberz", "did you mean members?"),
        ("--table", "zzz", "the tables are "),
        ("--topic", "loyalty.member.memberz", "did you mean loyalty.member.members?"),
        ("--topic", "zzz", "the topics are "),
    ):
        error = call("dead-letters", *command, name, wrong).exception
        assert isinstance(error, UsageError), error
        assert f"{wrong!r}" in str(error)
        assert words in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_nothing_has_yet_finds_nothing(call: Call) -> None:
    for topic in ("loyalty.member.members", "files"):
        found = call("dead-letters", "list", "--reason", "missing_key", "--table", "members", "--topic", topic)
        assert (found.exit_code, found.output) == (0, "no dead letters\n")
    for topic, error in (("loyalty.member.memberz", UsageError), ("loyalty.member.members", ConfigurationError)):
        assert type(call("dead-letters", "show", "17", "--topic", topic).exception) is error


def test_letters_of_a_table_without_a_contract_and_of_a_reason_of_old_are_found(call: Call, river: River) -> None:
    row = {
        "event_id": "1", "reason": "former_reason", "table_name": "former_table", "topic": "former", "data": "",
        "publish_ts": "2026-01-31 12:00:00", "dead_lettered_at": "2026-01-31 12:00:01",
    }  # fmt: skip
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.dead_letters", [row])
    found = call("dead-letters", "list", "--json", "--reason", "former_reason", "--table", "former_table")
    assert [group["letters"] for group in json.loads(found.stdout)] == [1], found.output


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "'' names no place"),
        ("ftp://place/letters", "names no place"),
        ("file:letters", "names no place"),
        ("file://host/letters", "names no place"),
        ("s3://bucket", "names no object"),
        ("gs://bucket/folder/", "names no object"),
        (".", "is a folder"),
        ("http://place/letters", "names no place"),
    ],
)
def test_a_target_that_is_none_is_wrong_use_and_nothing_is_written(
    call: Call, target: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = call("dead-letters", "export", target).exception
    assert isinstance(error, UsageError), error
    assert words in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_named_as_people_and_as_programs_do(
    call: Call, tmp_path: Path, river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_CONTRACTS_PATH", str(river.settings.contracts_path.resolve()))
    monkeypatch.chdir(tmp_path)
    targets = {"of monday": (tmp_path / "of monday").as_uri(), "12:00.ndjson": "12:00.ndjson"}
    for target in targets.values():
        assert call("dead-letters", "export", target).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {*targets}


@pytest.mark.parametrize("arguments", [["dead-letters", "list"], ["watermarks"]])
def test_a_bigquery_that_hangs_up_is_told_soon_and_in_plain_words(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(bigquery_errors, "PATIENCE_S", 0.5)
    with hanging_up() as url:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
        error = call(*arguments).exception
    assert isinstance(error, UnavailableError), error
    assert "BigQuery does not answer" in str(error)
    assert str(error).endswith("; try again later")
    assert "object at 0x" not in str(error)


@pytest.mark.parametrize(
    "arguments", [["dead-letters", "list"], ["dead-letters", "show", "1"], ["dead-letters", "replay", "--all"],
                  ["dead-letters", "export", "letters"], ["watermarks"], ["drift"]]
)  # fmt: skip
def test_a_stack_that_is_not_there_is_told_at_once(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    error: Any = call(*arguments).exception
    assert isinstance(error, UnavailableError), error
    assert "nothing listens at http://127.0.0.1:1 (BIGQUERY_EMULATOR_HOST): start the local stack" in str(error)
