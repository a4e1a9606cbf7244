"""`ingest replay` where messages come as files: those written within a window are read again, beside the ingester."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from file_place import TABLE, Place, row
from ingest_river import River
from typer.testing import CliRunner

from core.errors import ConfigurationError
from ingest.cli import app
from ingest.files.matching import TableMatcher

DAY_S = 86_400
Replay = Callable[..., Any]


@pytest.fixture
def place(river: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(river, tmp_path, monkeypatch)


@pytest.fixture
def replay() -> Replay:
    """Runs the command and returns its JSON, or raises its failure."""

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["replay", *arguments, "--json"])
        structlog.reset_defaults()  # the stream it logs to is closed by now
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    return run


def landed(place: Place) -> Counter[str]:
    """How often each row landed, by its file's name and its number."""
    ids = [row["_event_id"] for row in place.river.rows(TABLE)]
    return Counter(f"{Path(one.partition('#')[0]).stem}:{one.rpartition(':')[2]}" for one in ids)


def test_what_was_written_within_a_window_lands_again_under_its_ids(place: Place, replay: Replay) -> None:
    place.write("old.ndjson", row(1, "old"))
    before = time.time() - 2 * DAY_S
    os.utime(place.folder / "old.ndjson", (before, before))
    place.write("new.ndjson", row(1, "new"), row(2, "two"))
    (place.folder / "stray.txt").write_text("?")
    (place.folder / "_draft.ndjson").write_text("?")
    place.load()
    once = Counter({"old:1": 1, "new:1": 1, "new:2": 1})
    assert landed(place) == once
    assert [one["reason"] for one in place.river.dead_letters()] == ["unknown_object"]

    told = replay("--from", "1h", "--dry-run")
    assert told["files"] == {"count": 1, "bytes": (place.folder / "new.ndjson").stat().st_size}
    assert (told["is_done"], landed(place)) == (False, once)

    told = replay("--from", "1h", "--yes")
    assert (told["is_done"], told["summary"]["landed"]) == (True, 2)
    assert landed(place) == Counter({"old:1": 1, "new:1": 2, "new:2": 2})
    told = replay("--from", "3d", "--to", "1d", "--yes")
    assert (told["files"]["count"], told["summary"]["landed"]) == (1, 1)
    assert landed(place) == Counter({"old:1": 2, "new:1": 2, "new:2": 2})

    # The same row in the same place: the merge takes each once, and none over a newer one.
    rows = place.river.rows(TABLE)
    assert len({(one["_event_id"], one["_source_position"], one["payload"]) for one in rows}) == 3
    assert place.state() == {1: "new", 2: "two"}
    assert len(place.river.dead_letters()) == 1, "strangers are left alone"
    assert replay("--from", "5m", "--to", "4m", "--yes")["summary"]["landed"] == 0


def test_what_was_not_loaded_yet_counts_as_loaded_then(place: Place, replay: Replay) -> None:
    place.write("new.ndjson", row(1, "one"))
    assert replay("--from", "1h", "--table", TABLE, "--yes")["summary"]["landed"] == 1
    assert place.load().landed == 0
    assert landed(place) == Counter({"new:1": 1})


def test_a_place_that_is_not_there_is_told(place: Place, replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", (place.folder / "nowhere").as_uri())
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_FILES_URI names the place"):
        replay("--from", "1h", "--yes")


def test_a_file_belongs_to_the_one_table_that_claims_it(place: Place) -> None:
    place.declare(pattern="full_dump", files="dumps/{dump_id}/*.ndjson")
    matcher = TableMatcher(place.river.contracts)
    for path in ("dumps/1/a.ndjson", "dumps/1/_SUCCESS"):
        assert matcher.claimant(path) == TABLE
    for path in ("a.ndjson", "dumps/1/_draft.ndjson", "dumps/_SUCCESS"):
        assert matcher.claimant(path) is None
