"""The other loaders are given the same rows, and one that cannot be had is said to be left out, not made up."""

import json
from pathlib import Path

import pytest

from bench import peers_ingest
from bench.conditions import Conditions
from bench.environments import NoEnvironmentError, environment
from bench.peers_ingest import Job, ingester, json_loads, keyed, run, write_input
from bench.result import Case, Run, ratio
from bench.stand_ins import StandIns
from core.contracts import load_contracts
from core.settings import Settings

CONTRACTS = Settings().contracts_path


def test_both_sides_are_given_the_same_rows(tmp_path: Path) -> None:
    job = Job(CONTRACTS, 300, tmp_path)
    write_input(job)
    singer = [json.loads(line) for line in (tmp_path / "singer.jsonl").read_text().splitlines()]
    records = [(one["stream"], one["record"]) for one in singer if one["type"] == "RECORD"]
    files = [
        (file.stem, json.loads(line))
        for file in (tmp_path / "rows").iterdir()
        for line in file.read_text().splitlines()
    ]
    by_text = sorted((table, json.dumps(row)) for table, row in records)
    assert by_text == sorted((table, json.dumps(row)) for table, row in files)
    assert ingester(job).items == json_loads(job).items == len(records) > 200
    schemas = {one["stream"]: one for one in singer if one["type"] == "SCHEMA"}
    contracts = load_contracts(CONTRACTS)
    assert set(schemas) == set(contracts)
    for table, row in records:
        assert set(row) <= set(schemas[table]["schema"]["properties"])


def test_without_environments_the_peers_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    found = run(Conditions(1, quick=True, stand_ins=StandIns(), scratch=tmp_path))
    assert [case.kind for case in found.cases] == ["ours", "floor"]
    assert sum("was left out" in note for note in found.notes) == 3
    assert keyed(found.ratios) == {}


def test_a_registry_that_does_not_answer_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, _: tuple[str, ...]) -> Path:
        raise NoEnvironmentError(f"no environment for {name}")

    monkeypatch.setattr(peers_ingest, "environment", refuse)
    conditions = Conditions(1, quick=False, stand_ins=StandIns(), scratch=tmp_path)
    monkeypatch.setattr(Conditions, "size", lambda *sizes: sizes[-1])
    assert keyed(run(conditions).ratios) == {}


def test_an_environment_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(NoEnvironmentError, match="no environment for broken"):
        environment("broken", ("-r /nowhere/requirements.txt",), tmp_path)
    assert not (tmp_path / "broken").exists()


def test_ratios_have_the_names_of_the_tools_and_the_cheaper_way_of_each() -> None:
    def case(name: str, kind: str, cpu_s: float) -> Case:
        return Case(name, kind, "", (Run(100, cpu_s, 1.0),))  # type: ignore[arg-type]

    ours = case("ingester", "ours", 1.0)
    peers = [case("target-bigquery", "peer", 4.0), case("dlt rows", "peer", 5.0), case("dlt arrow", "peer", 2.0)]
    found = peers_ingest.ratios([ours, *peers])
    assert keyed(found) == {"ratio_target_bigquery": 4.0, "ratio_dlt": 2.0}
    assert keyed([ratio(ours, case("json.loads", "floor", 0.5), "")]) == {}
