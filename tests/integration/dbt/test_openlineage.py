"""The lineage of a zone's build as a backend receives it: over HTTP, and in a file; by `pipeline`, and by `dbt-ol`."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lineage_project import Backend, names, outcomes, running_backend, write
from structlog.testing import capture_logs
from structure_warehouse import Warehouse

from core.errors import ConfigurationError
from pipeline.dbt_project import DbtProject, DbtSettings
from pipeline.lineage.emit import lineage_from_environment
from pipeline.results import ZoneResult
from pipeline.zones import build

RUN = uuid.UUID("0f2c1b34-5d6e-4f70-8192-a3b4c5d6e7f8")
DIM = "millrace-local.traced.traced.dim_people.build.run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, structure_warehouse: Warehouse) -> Path:
    client = structure_warehouse.client
    for dataset in ("traced", "traced_raw"):
        client.create_dataset(dataset)
    client.query_and_wait("create table traced_raw.landed as select 1 as person_id, 'canary' as name, 'DE' as code")
    return write(tmp_path_factory.mktemp("traced"))


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep the lineage of these tests to themselves."""
    forget()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield
    forget()


def forget() -> None:
    """Remove the variables of OpenLineage, and with them the aliases that its client makes of them."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE_")]:
        del os.environ[name]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with running_backend() as running:
        yield running


def project(folder: Path, **variables: object) -> DbtProject:
    return DbtProject(
        DbtSettings(project_dir=folder, profiles_dir=folder / "profiles", log_path=folder / "logs", variables=variables)
    )


def built(folder: Path, tmp_path: Path, zone: str = "structure", **variables: object) -> ZoneResult:
    with lineage_from_environment() as lineage:
        return build(zone, project(folder, **variables), locks=tmp_path, run_id=RUN.hex, lineage=lineage)


@pytest.fixture(scope="module")
def received(folder: Path, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENLINEAGE_URL", backend.url)
        patch.setenv("OPENLINEAGE_API_KEY", "secret-of-the-backend")
        patch.setenv("OPENLINEAGE_NAMESPACE", "loyalty")
        result = built(folder, tmp_path_factory.mktemp("locks"))
        forget()
    assert result.succeeded, result.errors
    taken = list(backend.events)
    backend.events.clear()
    return taken


def test_every_event_is_one_that_backends_take(received: list[dict[str, Any]], backend: Backend) -> None:
    assert {event["job"]["namespace"] for event in received} == {"loyalty"}
    assert all({"eventTime", "producer", "schemaURL", "run", "job"} <= event.keys() for event in received)
    starts = [event["run"]["runId"] for event in received if event["eventType"] == "START"]
    ends = [event["run"]["runId"] for event in received if event["eventType"] == "COMPLETE"]
    assert sorted(starts) == sorted(ends)
    assert len(set(ends)) == len(ends)
    assert backend.keys == {"Bearer secret-of-the-backend"}


def test_a_table_reads_what_it_reads_in_truth(received: list[dict[str, Any]]) -> None:
    """Snapshots and seeds too, and the tables behind what is ephemeral."""
    read = {
        next(iter(names(event["outputs"]))): names(event["inputs"])
        for event in outcomes(received).values()
        if event.get("outputs")
    }
    assert read == {
        "traced.str_people": {"traced_raw.landed"},
        "traced.snp_people": {"traced.str_people"},
        "traced.dim_people": {"traced.snp_people", "traced.countries"},
    }


def test_a_column_is_traced_to_the_tables_it_comes_from(received: list[dict[str, Any]]) -> None:
    ends = outcomes(received)
    (table,) = ends[DIM]["outputs"]
    traced = {
        column: {(origin["name"], origin["field"]) for origin in fields["inputFields"]}
        for column, fields in table["facets"]["columnLineage"]["fields"].items()
    }
    assert traced["called"] == {("millrace-local.traced.snp_people", "name")}
    assert traced["country"] == {("millrace-local.traced.countries", "country")}
    tables = {f"millrace-local.{name}" for event in ends.values() for name in names(event.get("inputs", []))}
    for event in ends.values():
        for output in event.get("outputs", []):
            fields = output["facets"].get("columnLineage", {}).get("fields", {})
            assert {origin["name"] for field in fields.values() for origin in field["inputFields"]} <= tables


def test_schema_owner_query_and_rules_come_along(received: list[dict[str, Any]]) -> None:
    end = outcomes(received)["millrace-local.traced.traced.str_people.build.run"]
    (table,) = end["outputs"]
    assert [(f["name"], f["type"]) for f in table["facets"]["schema"]["fields"]] == [
        ("person_id", "int64"),
        ("name", "string"),
    ]
    assert table["facets"]["ownership"]["owners"] == [{"name": "loyalty-data"}]
    assert table["facets"]["documentation"]["description"] == "People as they landed."
    assert "traced_raw" in end["job"]["facets"]["sql"]["query"]
    (tested,) = outcomes(received)["millrace-local.traced.traced.str_people.build.test"]["inputs"]
    (rule,) = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (rule["assertion"], rule["column"], rule["success"]) == ("unique", "person_id", True)


def test_nodes_belong_to_the_zone_and_the_zone_to_the_run(received: list[dict[str, Any]]) -> None:
    ends = outcomes(received)
    zone = ends.pop("millrace.structure")
    parent = zone["run"]["facets"]["parent"]
    assert (parent["job"]["name"], parent["run"]["runId"]) == ("millrace.pipeline", str(RUN))
    for event in ends.values():
        if event["job"]["facets"]["jobType"]["jobType"] != "TEST":
            assert event["run"]["facets"]["parent"]["run"]["runId"] == zone["run"]["runId"]
            assert event["run"]["facets"]["parent"]["root"]["run"]["runId"] == str(RUN)


def test_no_value_of_a_row_is_in_the_lineage(received: list[dict[str, Any]]) -> None:
    assert received
    assert "canary" not in json.dumps(received)


def test_a_failure_is_told_and_names_no_output(
    folder: Path, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, received: list[dict[str, Any]]
) -> None:
    assert received
    monkeypatch.setenv("OPENLINEAGE_URL", backend.url)
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "airflow/nightly.millrace/11111111-1111-4111-8111-111111111111")
    assert built(folder, tmp_path, "failing", broken=True).status == "failed"
    ends = outcomes(backend.events)
    backend.events.clear()
    assert {event["eventType"] for event in ends.values()} == {"FAIL"}
    broken = ends["millrace-local.traced.traced.broken.build.run"]
    assert (names(broken["inputs"]), broken["outputs"]) == ({"traced.str_people"}, [])
    above = ends["millrace.failing"]["run"]["facets"]["parent"]["job"]
    assert above == above | {"namespace": "airflow", "name": "nightly.millrace"}


def test_a_backend_that_refuses_fails_no_build(
    folder: Path, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", backend.url)
    monkeypatch.setattr(backend, "status", 403)
    with capture_logs() as logs:
        assert built(folder, tmp_path, "failing").status == "failed"
    (warning,) = [log for log in logs if log["event"] == "lineage not sent"]
    assert warning["events"] == 0
    assert "403" in warning["reason"]


def test_dbt_ol_writes_the_same_tables_to_a_file(folder: Path, tmp_path: Path) -> None:
    configuration = {"transport": {"type": "file", "log_file_path": str(tmp_path / "lineage.ndjson"), "append": True}}
    (tmp_path / "openlineage.yml").write_text(json.dumps(configuration))
    options = ["--project-dir", str(folder), "--profiles-dir", str(folder / "profiles"), "--select", "str_people"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["dbt-ol", "build", *options, "--target-path", str(folder / "target")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in (tmp_path / "lineage.ndjson").read_text().splitlines()]
    end = outcomes(events)["millrace-local.traced.traced.str_people.build.run"]
    assert (names(end["inputs"]), names(end["outputs"])) == ({"traced_raw.landed"}, {"traced.str_people"})


def test_pipeline_writes_to_the_file_that_dbt_ol_would(folder: Path, tmp_path: Path) -> None:
    configuration = {"transport": {"type": "file", "log_file_path": str(tmp_path / "lineage.ndjson"), "append": True}}
    (tmp_path / "openlineage.yml").write_text(json.dumps(configuration))
    built(folder, tmp_path, "failing", broken=True)
    events = [json.loads(line) for line in (tmp_path / "lineage.ndjson").read_text().splitlines()]
    assert "millrace-local.traced.traced.broken.build.run" in outcomes(events)
    assert events[0]["job"]["namespace"] == "dbt"


def test_nothing_is_sent_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with lineage_from_environment() as lineage:
        assert lineage is None
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    with lineage_from_environment() as lineage:
        assert lineage is None


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("OPENLINEAGE_CONFIG", "nowhere.yml", "nowhere.yml, which is no file"),
        ("OPENLINEAGE__TRANSPORT__TYPE", "pigeon", "not configured as it has to be"),
        ("OPENLINEAGE__TRANSPORT__URL", "http://127.0.0.1:9", "no transport is named"),
    ],
)
def test_a_wrong_configuration_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=fault), lineage_from_environment():
        pass
