"""`ingest dead-letters replay` where messages come as files: rows land from what was kept, files are read again."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from file_place import TABLE, Place, row
from ingest_river import River, topic_of
from typer.testing import CliRunner

from core.errors import MillraceError
from ingest.cli import app
from ingest.dead_letters.relanding import LetterLedger


@pytest.fixture
def place(river: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(river, tmp_path, monkeypatch)


Replay = Callable[..., Any]


@pytest.fixture
def replay() -> Replay:
    """Runs the command; returns its JSON, its words where there is none, or those of its failure."""

    def run(*arguments: str, failed: bool = False) -> Any:
        result = CliRunner().invoke(app, ["dead-letters", "replay", *arguments])
        structlog.reset_defaults()  # the stream it logs to is closed by now
        if failed:
            assert isinstance(result.exception, MillraceError), result.output
            return str(result.exception)
        assert result.exit_code == 0, result.output + str(result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return run


def test_a_row_lands_once_under_its_id_and_takes_no_newer_ones_place(place: Place, replay: Replay) -> None:
    """The file itself is gone by then: what was kept is enough."""
    place.write("a.ndjson", row(1, "OLD", extra=1), row(2, "kept"), row(3, "lone", extra=1))
    assert place.load().reasons == {"schema_drift": 2}
    place.write("b.ndjson", row(1, "NEW"))
    place.load()
    (place.folder / "a.ndjson").unlink()
    river = place.river
    letters = {one["event_id"] for one in river.dead_letters()}
    before = river.landed_ids()
    told = replay("--all", "--dry-run")
    assert "2 letters would be taken in again" in told
    assert re.search(r"2  rows would land from the bytes that were kept\n +0  files would be read again", told)
    assert river.landed_ids() == before
    assert not river.ledger()

    place.declare(extra="int64")
    assert replay("--all", "--json")["replayed"] == 2
    assert sorted(river.landed_ids()) == sorted([*before, *letters])
    assert place.state() == {1: "NEW", 2: "kept", 3: "lone"}
    assert {one["replay_event_id"] for one in river.ledger()} == letters
    assert {one["topic"] for one in river.ledger()} == {topic_of(TABLE)}

    assert "0 landed" in replay("--all")
    assert len(river.landed_ids()) == len(before) + 2
    # A crash before the ledger was written: the zones see the same row once more.
    river.bigquery.query_and_wait(f"delete from `{river.settings.project}.audit.dead_letter_replays` where true")
    assert replay("--all", "--json")["replayed"] == 2
    landed = [one for one in river.rows(TABLE) if one["_event_id"] in letters]
    assert len(landed) == 4
    assert len({(one["_event_id"], one["_source_position"], one["payload"]) for one in landed}) == 2
    assert place.state() == {1: "NEW", 2: "kept", 3: "lone"}


def test_what_still_cannot_land_stays_to_be_replayed(place: Place, replay: Replay) -> None:
    place.write("a.ndjson", row(1, "a", extra=1), row(2, "b", other=1))
    place.load()
    place.declare(extra="int64")
    told = replay("--all", failed=True)
    assert re.match(r"1 letters could not be landed, such as \S+:2: schema_drift: ", told)
    assert place.state() == {1: "a"}
    assert [one["event_id"][-2:] for one in place.river.ledger()] == [":1"]
    place.declare(extra="int64", drift="ignore")
    assert replay("--all", "--json")["replayed"] == 1
    assert place.state() == {1: "a", 2: "b"}
    assert replay("--all", "--json")["replayed"] == 0


def test_an_object_is_read_again_and_strangers_hold_up_nothing(place: Place, replay: Replay) -> None:
    """First no contract claims it; then one does, and in the end it has been replaced by a newer version."""
    place.write("a.ndjson", row(1, "a"))
    place.write("late/b.ndjson", row(2, "b"), row(3, "b"))
    place.write("late/c.ndjson", row(4, "old"))
    assert place.load().reasons == {"unknown_object": 2}
    river = place.river
    base = {"reason": "x", "dead_lettered_at": "2026-01-02T00:00:00Z", "publish_ts": "2026-01-02T00:00:00Z"}
    strays: list[dict[str, Any]] = [
        base | {"event_id": "17", "topic": topic_of(TABLE)},
        base | {"event_id": "elsewhere/b.ndjson#1", "topic": "files"},
        base | {"event_id": "elsewhere/b.ndjson#1:1", "topic": "loyalty.member.gone"},
        base | {"event_id": "elsewhere/b.ndjson#1:2", "topic": topic_of(TABLE), "data": "YQ==", "data_bytes": 9},
    ]
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.dead_letters", strays)
    told = replay("--all", "--dry-run")
    assert re.search(r"2  rows .*\n +3  files .*\n +1  would be refused", told)
    place.write("late/c.ndjson", row(4, "new"))
    place.declare(files="**/*.ndjson")
    told = replay("--all", failed=True)
    assert told.startswith("4 letters could not be landed")
    assert place.state() == {1: "a", 2: "b", 3: "b"}
    assert sorted(one["event_id"].rpartition("/")[2][:8] for one in river.ledger()) == ["b.ndjson", "c.ndjson"]
    words = {"17": "neither as a row", strays[1]["event_id"]: "lies outside", strays[2]["event_id"]: "no contract"}
    words[strays[3]["event_id"]] = "its body was cut"
    for event_id, expected in words.items():
        assert expected in replay("--event-id", event_id, failed=True)
    place.load()
    assert place.state() == {1: "a", 2: "b", 3: "b", 4: "new"}


def test_a_dump_completes_once_its_row_has_landed(place: Place, replay: Replay) -> None:
    """The row and the marker are letters; with both the absent key is deleted, and not before."""
    place.declare(pattern="full_dump", files="{dump_id}/*.ndjson")
    place.write("1/a.ndjson", row(1, "a"), row(2, "a"))
    place.write("1/_SUCCESS")
    place.load()
    place.write("2/a.ndjson", row(1, "b", extra=1))
    place.write("2/_SUCCESS")
    assert place.load().reasons == {"schema_drift": 1, "dump_incomplete": 1}
    assert "could not be landed" in replay("--all", failed=True)
    assert place.state() == {1: "a", 2: "a"}
    place.declare(extra="int64", pattern="full_dump", files="{dump_id}/*.ndjson")
    assert replay("--all", "--json")["replayed"] == 2
    assert place.state() == {1: "b"}
    assert replay("--all", "--json")["replayed"] == 0


def lose_table(place: Place) -> None:
    place.river.bigquery.delete_table(f"{place.river.settings.project}.raw.{TABLE}")


def test_what_did_not_land_is_not_in_the_ledger(place: Place, replay: Replay) -> None:
    place.write("a.ndjson", row(1, "a", extra=1), row(2, "b", extra=1))
    place.load()
    place.declare(extra="int64")
    lose_table(place)
    assert "was not found" in replay("--all", failed=True)
    assert place.river.ledger() == []
    place.river.set_up()
    assert replay("--all", "--json")["replayed"] == 2
    assert place.state() == {1: "a", 2: "b"}


def test_the_control_that_writes_the_ledger_first_loses_letters(
    place: Place, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    place.write("a.ndjson", row(1, "a", extra=1))
    place.load()
    place.declare(extra="int64")
    lose_table(place)
    with monkeypatch.context() as patch:
        patch.setattr(LetterLedger, "expect", lambda self, letter: self._batches.add(letter))
        replay("--all", failed=True)
    place.river.set_up()
    assert replay("--all", "--json")["replayed"] == 0
    assert place.state() == {}


@pytest.mark.parametrize("boundary", ["after_append", "before_ack", "after_ack"])
def test_killed_at_any_boundary_it_goes_on_where_it_stopped(place: Place, replay: Replay, boundary: str) -> None:
    """What lands once more has the id and the place that it had."""
    place.write("a.ndjson", *(row(key, "a", extra=1) for key in range(6)))
    place.load()
    place.declare(extra="int64")
    failpoint = {"MILLRACE_FAILPOINT": f"{boundary}:crash_after=1"}
    with place.river.start("dead-letters", "replay", "--all", **failpoint) as process:
        assert process.wait(60) == -signal.SIGKILL
    noted = len(place.river.ledger())
    assert noted == (6 if boundary == "after_ack" else 0)
    assert replay("--all", "--json")["replayed"] == 6 - noted
    assert place.state() == dict.fromkeys(range(6), "a")
    assert len({(one["_event_id"], one["_source_position"]) for one in place.river.rows(TABLE)}) == 6
    assert len(place.river.ledger()) == 6
