"""The other loaders are given the same rows, and one that cannot be had is said to be left out, not made up."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import peers_ingest
from bench.environments import NoEnvironmentError, environment
from bench.null_services import small_event, small_rows
from bench.peers_ingest import compare, other_loaders, write_input
from bench.result import Case, Run


def test_the_rows_are_those_of_the_events(tmp_path: Path) -> None:
    given = write_input(small_rows(300), tmp_path)
    rows = [json.loads(small_event(number)[1])["after"] for number in range(300)]
    assert [json.loads(line) for line in (given.folder / "rows.ndjson").read_text().splitlines()] == rows
    schema, *records = [json.loads(line) for line in given.singer.read_text().splitlines()]
    assert [record["record"] for record in records] == rows
    assert given.rows == 300
    types = {name: one["type"][1] for name, one in schema["schema"]["properties"].items()}
    assert (types["tier_id"], types["tier"]) == ("integer", "string")
    assert set(types) == set(rows[0])


def test_a_quick_run_makes_no_environments(tmp_path: Path) -> None:
    found = other_loaders(small_rows(10), tmp_path, quick=True)
    assert found.contenders == ()
    assert "were left out" in found.notes[0]


def test_a_registry_that_does_not_answer_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, _: tuple[str, ...]) -> Path:
        raise NoEnvironmentError(f"no environment for {name}")

    monkeypatch.setattr(peers_ingest, "environment", refuse)
    found = other_loaders(small_rows(10), tmp_path, quick=False)
    assert found.contenders == ()
    assert [note.partition(" ")[0] for note in found.notes] == ["target-bigquery", "dlt"]


def test_what_a_peer_tells_is_its_run_unless_it_lost_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_ingest, "environment", lambda *_: Path(sys.executable))
    monkeypatch.setattr(peers_ingest, "_SCRIPTS", tmp_path)
    told: dict[str, Any] = {"cpu_s": 0.5, "wall_s": 1.0, "rows": 10}
    for name in ("load_target_bigquery.py", "load_dlt.py"):
        (tmp_path / name).write_text(f"print('chatter')\nprint('''{json.dumps(told)}''')")
    found = other_loaders(small_rows(10), tmp_path, quick=False)
    assert [one.name for one in found.contenders] == ["ingester, no services", "target bigquery", "dlt", "dlt arrow"]
    assert found.contenders[0].work(None).items == 10
    for contender in found.contenders[1:]:
        run = contender.work(None)
        assert (run.items, run.cpu_s) == (10, 0.5)
    (tmp_path / "load_dlt.py").write_text(f"print('''{json.dumps(told | {'rows': 9})}''')")
    with pytest.raises(RuntimeError, match="9 rows of 10"):
        found.contenders[2].work(None)


def test_loaders_are_compared_between_the_same_ends_first() -> None:
    def case(name: str, cpu_s: float) -> Case:
        return Case(name, "peer", "", (Run(100, cpu_s, 1.0),))

    whole = case("whole", 2.0)
    found = compare([case("ours", 1.0), case("dlt", 4.0), case("other", 3.0)], whole)
    assert [(one.of, one.over, one.value) for one in found] == [
        ("ours", "dlt", 4.0),
        ("ours", "other", 3.0),
        ("whole", "dlt", 2.0),
        ("whole", "other", 1.5),
    ]
    assert compare([], whole) == ()


def test_an_environment_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(NoEnvironmentError, match="no environment for broken"):
        environment("broken", ("-r /nowhere/requirements.txt",), tmp_path)
    assert not (tmp_path / "broken").exists()
