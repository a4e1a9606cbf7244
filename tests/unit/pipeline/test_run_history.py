from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from pipeline.history import History, Run
from pipeline.schedule import LastRun

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def run(stage: str, minute: int, status: str = "succeeded", error: str | None = None) -> Run:
    return Run(stage, f"run-{minute}", status, START + timedelta(minutes=minute), 1.5, 13, 40, 0, error)


def test_what_was_added_is_read_back_to_the_microsecond(tmp_path: Path) -> None:
    history = History(tmp_path / "deep" / "runs.sqlite")
    assert history.last() == {}
    runs = [run("structure", 0), run("refined", 1, "failed", "ref_members: it broke"), run("structure", 2)]
    for added in runs:
        history.add(added)
    assert History(tmp_path / "deep" / "runs.sqlite").recent(10) == runs[::-1]
    assert history.recent(1) == [runs[2]]
    assert history.last() == {"structure": runs[2], "refined": runs[1]}
    assert history.last_runs()["refined"] == LastRun(START + timedelta(minutes=1), succeeded=False)


def test_the_oldest_runs_of_a_stage_are_forgotten_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.history._KEEP", 10)
    history = History(tmp_path / "runs.sqlite")
    history.add(run("analytics", 0))
    for minute in range(25):
        history.add(run("structure", minute))
    kept = history.recent(100)
    assert [r.run_id for r in kept if r.stage == "structure"] == [f"run-{m}" for m in range(24, 14, -1)]
    assert "analytics" in history.last()


def test_a_file_that_is_no_history_is_told_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError, match="may be removed"):
        History(path).last()
