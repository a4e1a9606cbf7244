"""Runs with a name: what ended is shown again to the same request alone, and what was unreadable is tried again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.errors import UnavailableError
from reconcile.audit import append_run
from reconcile.cli import app
from reconcile.report.files import read_json
from reconcile.result import RunResult

Command = Callable[..., Any]


def _side(folder: Path, **columns: list[Any] | pa.Array) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "a.parquet")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in a folder with two tables, of which `t` differs in seven rows."""
    monkeypatch.chdir(tmp_path)
    for name, left, right in (("u", 5, 5), ("t", 5, 12)):
        _side(tmp_path / f"{name}_w", id=list(range(left)))
        _side(tmp_path / f"{name}_s", id=list(range(right)))
    configure(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--no-audit"])


def configure(folder: Path, **more: Any) -> None:
    comparisons = [
        {
            "name": name,
            "key": ["id"],
            "warehouse": {"type": "files", "uri": (folder / f"{name}_w").as_uri()},
            "snapshot": {"type": "files", "uri": (folder / f"{name}_s").as_uri()},
        }
        for name in ("u", "t")
    ]
    (folder / "reconcile.yml").write_text(json.dumps({"version": 1, "comparisons": comparisons, **more}))


@pytest.mark.parametrize("place", [(), ("--shards", "shared")])
def test_a_run_that_ended_answers_no_other_request(command: Command, tmp_path: Path, place: tuple[str, ...]) -> None:
    named = ("run", "--run-id", "day", "--output", "out", *place)
    assert command(*named, "--table", "u").exit_code == 0
    for other in (("--table", "t"), ("--table", "u", "--mode", "count"), ("--table", "u", "--snapshot", "x"), ()):
        done = command(*named, *other)
        assert (done.exit_code, "another --run-id" in done.output) == (2, True), (other, done.output)
    again = command(*named, "--table", "u")
    assert (again.exit_code, "nothing was compared" in again.output) == (0, True)
    configure(tmp_path, limits={"sample": 3})
    assert command(*named, "--table", "u").exit_code == 2


@pytest.mark.parametrize("place", [(), ("--shards", "shared")])
def test_what_was_unreadable_is_tried_again_and_the_rest_is_kept(
    command: Command, tmp_path: Path, place: tuple[str, ...]
) -> None:
    named = ("run", "--run-id", "day", "--output", "out", *place)
    file = tmp_path / "u_s/a.parquet"
    data = file.read_bytes()
    file.unlink()
    for _ in range(2):
        first = command(*named)
        assert first.exit_code == 1
        assert [found.verdict for found in read_json(tmp_path / "out").comparisons] == ["unreadable", "different"]
    file.write_bytes(data)
    (tmp_path / "t_s/a.parquet").touch()
    command(*named)
    result = read_json(tmp_path / "out")
    assert [(found.name, found.verdict) for found in result.comparisons] == [("u", "equal"), ("t", "different")]
    assert "nothing was compared" in command(*named).output


def test_a_task_whose_part_was_unreadable_fails_and_is_tried_again(command: Command, tmp_path: Path) -> None:
    tasks = [("run", "--run-id", "day", "--shards", "s", "--task-count", "2", "--task-index", str(n)) for n in (0, 1)]
    for side in ("w", "s"):  # what has no rows weighs nothing, like what cannot be read, which is then the first task's
        _side(tmp_path / f"u_{side}", id=pa.array([], pa.int64()))
    file = tmp_path / "t_s/a.parquet"
    data = file.read_bytes()
    file.write_bytes(data[:-20])
    first, last = (command(*task) for task in tasks)
    assert (first.exit_code, "1 of them unreadable" in first.output, last.exit_code) == (1, True, 1)
    file.write_bytes(data)
    for number, task in enumerate(tasks):
        command(*task, "--output", f"out{number}")
        assert [found.verdict for found in read_json(tmp_path / f"out{number}").comparisons] == ["equal", "different"]


def test_the_reports_of_a_run_that_ended_are_written_where_they_are_asked_for(command: Command, tmp_path: Path) -> None:
    named = ("--run-id", "day", "--shards", "shared")
    assert command("run", *named, "--output", "out").exit_code == 1
    assert command("merge", *named, "--output", "om").exit_code == 1
    assert read_json(tmp_path / "om") == read_json(tmp_path / "out")
    assert (tmp_path / "om/report.html").is_file()
    rows = [pq.read_table(tmp_path / folder / "differences/t.parquet") for folder in ("out", "om")]
    assert rows[0].equals(rows[1])
    assert rows[0].num_rows == 7


def test_of_a_run_of_one_task_the_differences_are_not_named_where_they_are_not(
    command: Command, tmp_path: Path
) -> None:
    assert command("run", "--run-id", "day", "--output", "out").exit_code == 1
    assert command("run", "--run-id", "day", "--output", "again").exit_code == 1
    assert [found.differences_file for found in read_json(tmp_path / "again").comparisons] == [None, None]


def test_a_merge_before_its_tasks_are_done_is_a_failure_and_no_wrong_use(command: Command) -> None:
    named = ("--run-id", "day", "--shards", "shared")
    command("run", *named, "--task-count", "2", "--task-index", "0")
    early = command("merge", *named)
    assert early.exit_code == 1
    assert isinstance(early.exception, UnavailableError)
    assert "are not done" in str(early.exception)


def test_the_trail_takes_every_attempt_once(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of one name happens once, so an attempt that could not read must not take the name of the whole run."""
    jobs: list[str] = []
    monkeypatch.setattr("reconcile.audit.append", lambda *arguments: jobs.append(arguments[-1]))
    command("run", "--run-id", "day", "--output", "out")
    whole = read_json(tmp_path / "out")
    lost = replace(whole.comparisons[0], verdict="unreadable", reason="no files are there")
    attempt: RunResult = replace(whole, verdict="unreadable", comparisons=(lost, *whole.comparisons[1:]))
    for result in (attempt, attempt, whole):
        append_run(None, None, result)  # type: ignore[arg-type]  # never looked at
    first, second, third = jobs[:3], jobs[3:6], jobs[6:]
    assert first == second
    assert not set(first) & set(third)
    assert "reconcile-day" in third
