"""What is wrong is told before anything is compared, and what a run found is never lost to a fault after it."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.errors import ConfigurationError, UnavailableError
from reconcile.cli import app
from reconcile.config_file import load_config
from reconcile.report.files import read_json

HOOK = "MILLRACE_RECONCILE_WEBHOOK"
Command = Callable[..., Any]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command over two files that differ in one value, with what is said of the comparison and of the run."""
    monkeypatch.chdir(tmp_path)
    for folder, value in (("w", "a"), ("s", "\x1b[31mred\x9b")):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"id": [1, 2], "v": ["a", value]}), tmp_path / folder / "a.parquet")

    def invoke(*arguments: str, comparison: Any = (), **more: Any) -> Any:
        sides = {
            "warehouse": {"type": "files", "uri": (tmp_path / "w").as_uri()},
            "snapshot": {"type": "files", "uri": (tmp_path / "s").as_uri()},
        }
        one = {"name": "t", "key": ["id"], **sides, **dict(comparison)}
        (tmp_path / "reconcile.yml").write_text(json.dumps({"version": 1, "comparisons": [one], **more}))
        return CliRunner().invoke(app, list(arguments))

    return invoke


RUN = ("run", "--no-audit", "--output", "out")


@pytest.mark.parametrize("arguments", [RUN, ("plan",), (*RUN, "--run-id", "day")])
def test_a_threshold_of_a_column_that_is_not_compared_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, comparison={"thresholds": {"changed": "100%", "columns": {"vv": 0}}})
    assert done.exit_code == 2, done.output
    assert "reconcile.yml is not valid" in done.output
    assert "line 1: comparisons[0] (t).thresholds.columns.vv: no such column is compared" in done.output
    assert "there are v" in done.output


@pytest.mark.parametrize("more", [(), ("--run-id", "day")])
@pytest.mark.parametrize("url", [None, "no url", "ftp://h/x", "https://", "hooks.example/x"])
def test_an_alert_that_cannot_be_sent_is_told_before_anything_is_compared(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, more: tuple[str, ...]
) -> None:
    monkeypatch.delenv(HOOK, raising=False)
    if url is not None:
        monkeypatch.setenv(HOOK, url)
    done = command(*RUN, *more, alert={"when": "failed"})
    assert (done.exit_code, HOOK in done.output) == (2, True)
    assert not (tmp_path / "out/report.json").exists()
    assert url is None or url not in done.output


def test_what_a_run_found_is_printed_though_nobody_could_be_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.alerts._LONGEST_WAIT_S", 0.01)
    monkeypatch.setenv(HOOK, "http://127.0.0.1:1/s3cret")
    done = command(*RUN, "--json", alert={})
    assert done.exit_code == 1
    assert isinstance(done.exception, UnavailableError)
    assert json.loads(done.stdout)["verdict"] == "different"


@pytest.mark.parametrize("more", [(), ("--run-id", "day"), ("--values",)])
def test_only_their_owner_can_read_the_differences(command: Command, tmp_path: Path, more: tuple[str, ...]) -> None:
    command(*RUN, *more)
    assert stat.S_IMODE((tmp_path / "out/differences/t.parquet").stat().st_mode) == 0o600


def test_values_cannot_command_a_terminal_nor_spoil_the_page(command: Command, tmp_path: Path) -> None:
    done = command(*RUN, "--mode", "aggregate", comparison={"columns": {"v": {"mask": False}}})
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for text in (done.output, page):
        assert "␛[31mred" in text
        assert not {"\x1b", "\x9b"} & set(text)


def test_a_report_is_written_into_a_new_folder_and_a_place_that_cannot_be_is_told(
    command: Command, tmp_path: Path
) -> None:
    command(*RUN)
    assert command("report", "out", "--format", "json", "--to", "x/y/j.xml").exit_code == 0
    assert read_json(tmp_path / "x/y/j.xml") == read_json(tmp_path / "out")
    refused = command("report", "out", "--to", "reconcile.yml/page.html")
    assert (refused.exit_code, isinstance(refused.exception, UnavailableError)) == (1, True)


@pytest.mark.parametrize("name", ["../x", "/etc", "", "a/b", "x\n"])
def test_the_name_of_a_snapshot_leads_nowhere_else(command: Command, name: str) -> None:
    done = command("plan", "--snapshot", name)
    assert (done.exit_code, "is no name of a snapshot" in done.output) == (2, True)


_COMPARISON = "version: 1\ncomparisons:\n  - name: t\n    key: [id]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{_COMPARISON}    key: [v]\n", "line 5"),
        (f"{_COMPARISON}    columns:\n      v: {{case: ignore}}\n      v: {{space: trim}}\n", "line 7"),
        (_COMPARISON.replace("[id]", "[id, id]"), "more than once"),
    ],
)
def test_what_stands_twice_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        load_config(tmp_path / "r.yml")


def test_a_fault_within_a_comparison_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(f"{_COMPARISON}    mode: fast\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path / "r.yml")
    assert len(str(caught.value).splitlines()) == 2
    (tmp_path / "r.yml").write_text("version: 1\ncomparisons: []\n")
    with pytest.raises(ConfigurationError, match="at least 1 item"):
        load_config(tmp_path / "r.yml")
