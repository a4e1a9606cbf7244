"""The `pipeline` command as its users meet it, with builds that need no warehouse."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.dbt_project import DbtProject
from pipeline.results import ZoneResult

CONFIG = """
version: 1
zones:
  - {name: structure, every: 60s}
  - {name: refined, every: 300s, after: [structure]}
"""

# The real command in a process of its own, only the build replaced, and the look whether there is a warehouse: the
# build tells that it has begun, waits for the test's leave, and ends as the test says.
FAKE = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
import pipeline.cli
from pipeline.locks import zone_lock
from pipeline.results import ZoneResult

def build(zone, *, run_id, freshness, project, locks, full_refresh, lineage):
    with zone_lock(locks, zone, run_id):
        Path(f"{zone}.begun").touch()
        deadline = time.monotonic() + 30
        while Path("hold").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        Path(f"{zone}.done").touch()
    failed = Path(f"{zone}.fail").exists()
    return ZoneResult(zone, "failed" if failed else "succeeded", datetime.now(UTC), 0.1, models_built=2, tests_passed=5,
                      errors=("str_members: [broken]",) if failed else ())

pipeline.cli.build = build
pipeline.cli.check_warehouse = lambda *_: None
sys.argv = ["pipeline", *sys.argv[1:]]
pipeline.cli.main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.yml").write_text(CONFIG)
    return tmp_path


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_", "DBT_"))}
    return subprocess.Popen(
        [sys.executable, "-c", FAKE, *arguments],
        cwd=folder,
        env=clean | {"COLUMNS": "200"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pipeline(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    with start(folder, *arguments, **environment) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.01)


def status(folder: Path) -> Any:
    code, out, _ = pipeline(folder, "status", "--json")
    assert code == 0
    return json.loads(out)


def test_once_builds_all_and_prints_one_json_document(folder: Path) -> None:
    code, out, _ = pipeline(folder, "run", "--once", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["status"] == "succeeded"
    assert [(zone["zone"], zone["models_built"], zone["tests_passed"]) for zone in document["zones"]] == [
        ("structure", 2, 5),
        ("refined", 2, 5),
    ]
    told = status(folder)
    assert [(zone["zone"], zone["status"]) for zone in told["zones"]] == [
        ("structure", "succeeded"),
        ("refined", "succeeded"),
    ]
    assert told["recent"][0]["run_id"] == document["run_id"]


def test_a_failing_zone_exits_1_with_the_reason_and_the_status_shows_it(folder: Path) -> None:
    (folder / "structure.fail").touch()
    code, out, _ = pipeline(folder, "run", "--once")
    assert code == 1
    assert "structure: str_members: [broken]" in out
    assert "refined: waits for structure" in out
    assert not (folder / "refined.begun").exists()
    _, table, _ = pipeline(folder, "status")
    assert "failed" in table
    assert "never" in table
    assert "[broken]" in table


def test_wrong_use_exits_2_on_the_real_command(folder: Path) -> None:
    code, out, err = pipeline(folder, "run")
    assert (code, out) == (2, "")
    assert "Usage: pipeline" in err


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None, bool]]]:
    """The command within this process, where a start costs nothing; notes what would have been built."""
    built: list[tuple[str, str | None, bool]] = []

    def build(
        zone: str,
        *,
        run_id: str,
        freshness: bool,
        project: DbtProject,
        locks: Path,
        full_refresh: bool,
        lineage: object,
    ) -> ZoneResult:
        assert run_id
        assert not freshness
        assert locks == Path("build/pipeline/locks")
        built.append((zone, project.settings.target, full_refresh))
        return ZoneResult(zone, "succeeded", datetime.now(UTC), 0.1)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("pipeline.cli.build", build)
    monkeypatch.setattr("pipeline.cli.check_warehouse", lambda *_: None)
    for name in os.environ:
        if name.startswith(("MILLRACE_", "DBT_")):
            monkeypatch.delenv(name)
    before = signal.getsignal(signal.SIGTERM)
    yield built
    signal.signal(signal.SIGTERM, before)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--once", "--follow"],
        ["run", "--follow", "--full-refresh"],
        ["run", "--follow", "--vars", "{a: 1}"],
        ["run", "--once", "--vars", "[1, 2]"],
        ["run", "--once", "--vars", "{"],
        ["run", "--sideways"],
        ["build"],
    ],
)
def test_wrong_use_exits_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, *arguments) == 2


@pytest.mark.usefixtures("inside")
def test_an_unknown_zone_or_a_wrong_file_exits_2_without_a_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", "--once", "--zone", "bronze") == 2
    assert "there is no zone bronze" in capsys.readouterr().err
    Path("pipeline.yml").write_text("version: 1\nzones: [{name: structure, every: sometimes}]\n")
    assert call(monkeypatch, "run", "--once") == 2
    told = capsys.readouterr().err
    assert "'sometimes' is not a duration" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:1"])
def test_without_a_local_stack_the_message_says_how_to_start_one(
    folder: Path, address: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("MILLRACE_", "DBT_", "BIGQUERY_"))]:
        monkeypatch.delenv(name)
    if address:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", address)
    assert call(monkeypatch, "run", "--once") == 1
    told = capsys.readouterr().err
    assert "`devstack up`" in told
    assert "BIGQUERY_EMULATOR_HOST" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("environment", "arguments", "target"),
    [
        ({}, [], "local"),
        ({"MILLRACE_ENVIRONMENT": "staging"}, [], "staging"),
        ({"MILLRACE_ENVIRONMENT": "dev", "DBT_TARGET": "staging"}, [], "staging"),
        ({"DBT_TARGET": "staging"}, ["--target", "dev"], "dev"),
    ],
)
def test_the_target_is_the_environment_unless_it_is_named(
    inside: list[tuple[str, str | None, bool]],
    environment: dict[str, str],
    arguments: list[str],
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert call(monkeypatch, "run", "--once", "--zone", "refined", "--full-refresh", *arguments) == 0
    assert inside == [("refined", target, True)]


@pytest.mark.parametrize("mode", ["--once", "--follow"])
def test_sigterm_finishes_the_zone_being_built_and_exits_0(folder: Path, mode: str) -> None:
    (folder / "hold").touch()
    with start(folder, "run", mode, "--json") as process:
        wait_for(folder / "structure.begun")
        assert status(folder)["zones"][0]["building"]["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        (folder / "hold").unlink()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert (folder / "structure.done").exists()
    assert not (folder / "refined.begun").exists()
    assert json.loads(out)["status"] == "stopped"


def test_follow_builds_what_is_due_then_waits_until_it_is_told_to_stop(folder: Path) -> None:
    with start(folder, "run", "--follow", "--no-reconciliation", MILLRACE_LOG_FORMAT="json") as process:
        wait_for(folder / "refined.done")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert {run["stage"] for run in status(folder)["recent"]} == {"structure", "refined"}


def test_a_zone_that_somebody_else_builds_is_named_with_them(folder: Path) -> None:
    (folder / "hold").touch()
    with start(folder, "run", "--once", "--zone", "structure") as first:
        wait_for(folder / "structure.begun")
        code, out, _ = pipeline(folder, "run", "--once", "--zone", "structure")
        assert code == 1
        assert f"is being built by process {first.pid}" in out
        first.kill()
        first.communicate(timeout=30)
    (folder / "hold").unlink()
    code, _, err = pipeline(folder, "run", "--once", "--zone", "structure")
    assert code == 0
    assert "recovered the lock" in err
