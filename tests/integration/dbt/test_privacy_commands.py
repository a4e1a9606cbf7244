"""`pipeline privacy`: a member is erased by a command, while no zone is built."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structure_warehouse import ROOT, Warehouse
from typer.testing import CliRunner

from core.errors import LockedError, MillraceError
from pipeline.cli import app
from pipeline.locks import zone_lock

Command = Callable[..., Any]


@pytest.fixture
def command(structure_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("DBT_PROFILES_DIR", str(ROOT / "profiles"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(structure_warehouse.folder / "target"))
    monkeypatch.chdir(ROOT)
    options = ["--target", "local", "--state", str(tmp_path)]
    return lambda *arguments: CliRunner().invoke(app, ["privacy", *arguments, *options])


def test_a_member_is_erased_and_kept_erased(command: Command, structure_warehouse: Warehouse) -> None:
    done = command("erase", "4711", "--request", "DSR-2026-4711", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["operation"] == "erase_member"
    assert any("Deleted" in message for message in told["messages"])
    noted = "select count(*) from structure.erasures where member_id = 4711"
    assert [tuple(row.values()) for row in structure_warehouse.client.query_and_wait(noted)] == [(1,)]
    done = command("enforce")
    assert (done.exit_code, "Deleted 0 rows" in done.stdout) == (0, True), done.output
    structure_warehouse.client.query_and_wait("delete from structure.erasures where member_id = 4711")


def test_it_waits_for_no_build_and_lets_none_begin(command: Command, tmp_path: Path) -> None:
    with zone_lock(tmp_path / "locks", "refined", "a build"):
        done = command("erase", "4711", "--request", "DSR-1")
    assert isinstance(done.exception, LockedError)
    assert "run a build" in str(done.exception)


def test_a_wrong_reference_is_told_in_the_operations_words(command: Command) -> None:
    done = command("erase", "4711", "--request", "two words")
    assert isinstance(done.exception, MillraceError)
    assert "give the reference of the request" in str(done.exception)
