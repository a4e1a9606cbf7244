"""Zones of a small dbt project, built by dbt in this process on the BigQuery stand-in."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from structlog.testing import capture_logs

from core.errors import ConfigurationError, LockedError
from devstack.bigquery import running_bigquery
from pipeline.dbt_project import DbtProject, DbtSettings
from pipeline.locks import zone_lock
from pipeline.zones import build

FILES = {
    "dbt_project.yml": """
name: tiny
version: "1.0"
profile: tiny
model-paths: [models]
flags: {send_anonymous_usage_stats: false}
on-run-end: ["select 1"]
""",
    "profiles/profiles.yml": """
tiny:
  target: local
  outputs:
    local:
      type: bigquery
      method: oauth-secrets
      token: local
      project: millrace-local
      dataset: tiny
      threads: 2
      api_endpoint: "{{ env_var('BIGQUERY_EMULATOR_HOST') }}"
""",
    "selectors.yml": """
selectors:
  - {name: structure, definition: {method: path, value: models/structure}}
  - {name: refined, definition: {method: path, value: models/refined}}
  - {name: failing, definition: {method: path, value: models/failing}}
  - {name: nothing, definition: {method: path, value: models/nothing}}
  - {name: raw, definition: {method: source, value: member}}
""",
    "models/raw/raw.yml": """
sources:
  - name: member
    schema: raw
    config:
      loaded_at_field: landed_at
      freshness: {warn_after: {count: 1, period: hour}, error_after: {count: 1, period: day}}
    tables:
      - {name: members, config: {freshness: null}}
      - {name: tiers}
      - {name: points}
      - {name: cases}
      - {name: phones}
""",
    "tests/tiers_have_rows.sql": """
with counted as (select count(*) as n from {{ source('member', 'tiers') }})
select n from counted where n = 0
""",
    "models/structure/str_members.sql": """
{{ config(materialized='incremental', unique_key='member_id') }}
{{ log('said while building', info=true) }}
{% if execute %}{% do exceptions.warn('worth a look') %}{% endif %}
select member_id + {{ var('offset', 0) }} as member_id, '{{ run_started_at }}' as built_at
from {{ source('member', 'members') }}
""",
    "models/structure/structure.yml": """
models:
  - name: str_members
    columns: [{name: member_id, data_tests: [not_null, unique]}]
unit_tests:
  - name: unit_tests_are_not_run_here
    model: str_members
    given: [{input: "source('member', 'members')", rows: [{member_id: 1}]}]
    expect: {rows: [{member_id: 99}]}
""",
    "models/refined/ref_names.sql": """
{{ config(materialized='ephemeral') }}
select member_id from {{ ref('str_members') }}
""",
    "models/refined/ref_members.sql": """
{{ config(materialized='table') }}
select member_id, '{{ invocation_id }}' as invocation_id from {{ ref('ref_names') }}
""",
    "models/failing/broken.sql": "select no_such_column from {{ ref('str_members') }}",
    "models/failing/below.sql": "select * from {{ ref('broken') }}",
    "models/failing/doubtful.sql": "select 1 as id union all select 1 as id",
    "models/failing/failing.yml": """
models:
  - name: doubtful
    columns:
      - name: id
        data_tests: [unique, {accepted_values: {arguments: {values: [2]}, config: {severity: warn}}}]
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip())
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[bigquery.Client]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        with bigquery.Client(
            project="millrace-local",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": address.rest_url},
        ) as client:
            client.create_dataset("raw")
            client.create_dataset("tiny")
            client.query_and_wait("create table `millrace-local.raw.members` as select 1 as member_id")
            for table, hours in (("tiers", 0), ("points", 3), ("cases", 100)):
                client.query_and_wait(
                    f"create table `millrace-local.raw.{table}` as"
                    f" select timestamp_sub(current_timestamp(), interval {hours} hour) as landed_at"
                )
            client.query_and_wait("create table `millrace-local.raw.phones` (landed_at timestamp)")
            yield client


def settings(folder: Path) -> DbtSettings:
    return DbtSettings(project_dir=folder, profiles_dir=folder / "profiles", log_path=folder / "logs")


@pytest.fixture(scope="module")
def project(folder: Path, client: bigquery.Client) -> DbtProject:
    project = DbtProject(settings(folder))
    project.parse()
    return project


def rows(client: bigquery.Client, table: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in client.query_and_wait(f"select * from `millrace-local.tiny.{table}`")]


def test_a_zone_is_built_and_tested_again_and_again_from_one_parse(
    project: DbtProject, client: bigquery.Client, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    invocations, instants = set(), set()
    with capture_logs() as logs:
        for _ in range(2):
            structure = build("structure", project, locks=tmp_path)
            assert (structure.status, structure.models_built, structure.tests_passed) == ("succeeded", 1, 2), (
                structure.errors
            )
            refined = build("refined", project, locks=tmp_path)
            assert (refined.status, refined.models_built) == ("succeeded", 1), refined.errors
            ((_, instant),) = rows(client, "str_members")
            ((_, invocation),) = rows(client, "ref_members")
            invocations.add(invocation)
            instants.add(instant)
    assert len(invocations) == len(instants) == 2, "a warm manifest must not freeze what is told by the run"
    assert {node.kind for node in structure.nodes} == {"model", "test", "other"}, "the other is the hook at the end"
    assert capfd.readouterr().out == "", "standard output belongs to our own results"
    assert [log["event"] for log in logs if "worth a look" in log.get("detail", "")] == ["dbt"], (
        "told once, not each time"
    )
    assert "said while building" in (folder / "logs" / "dbt.log").read_text()
    assert [log["zone"] for log in logs if log["event"] == "zone succeeded"] == ["structure", "refined"] * 2


def test_failures_are_named_counted_and_stop_what_is_below(project: DbtProject, tmp_path: Path) -> None:
    build("structure", project, locks=tmp_path)
    with capture_logs() as logs:
        result = build("failing", project, locks=tmp_path)
    told = [(log["rule"], log["detail"]) for log in logs if log["event"] == "rule warned"]
    assert told == [("accepted_values_doubtful_id__2", "Got 1 result, configured to warn if != 0")]
    assert not [log for log in logs if log["event"] == "dbt" and "doubtful" in log["detail"]], "told once"
    assert result.status == "failed"
    assert (result.models_failed, result.tests_failed, result.tests_warned, result.nodes_skipped) == (1, 1, 1, 1)
    errors = sorted(result.errors)
    assert len(errors) == 2
    assert errors[0].startswith("broken: ")
    assert "no_such_column" in errors[0]
    assert errors[1].startswith("unique_doubtful_id: ")
    outcomes = {node.name: node.outcome for node in result.nodes}
    assert (outcomes["broken"], outcomes["below"], outcomes["doubtful"]) == ("failed", "skipped", "ok")


@pytest.mark.parametrize(("zone", "fault"), [("nothing", "no model and no test"), ("bronze", "selector named bronze")])
def test_a_selector_that_finds_nothing_is_a_failure(project: DbtProject, tmp_path: Path, zone: str, fault: str) -> None:
    result = build(zone, project, locks=tmp_path)
    assert result.status == "failed"
    assert fault in result.errors[0]


def test_a_zone_can_be_built_anew_with_a_selector_of_another_name(
    project: DbtProject, client: bigquery.Client, tmp_path: Path
) -> None:
    client.query_and_wait(
        "create or replace table `millrace-local.tiny.str_members` as select 7 as member_id, '' as built_at"
    )
    build("members", project, selector="structure", locks=tmp_path)
    assert {row[0] for row in rows(client, "str_members")} == {1, 7}
    result = build("members", project, selector="structure", locks=tmp_path, full_refresh=True)
    assert result.zone == "members"
    assert {row[0] for row in rows(client, "str_members")} == {1}


def test_a_variable_can_be_set_for_a_run(folder: Path, client: bigquery.Client, tmp_path: Path) -> None:
    project = DbtProject(replace(settings(folder), variables={"offset": 41}, threads=1))
    assert build("structure", project, full_refresh=True, locks=tmp_path).succeeded
    assert {row[0] for row in rows(client, "str_members")} == {42}


def test_a_zone_that_somebody_else_builds_is_left_alone(project: DbtProject, tmp_path: Path) -> None:
    with zone_lock(tmp_path, "structure", "another"), pytest.raises(LockedError, match="run another"):
        build("structure", project, locks=tmp_path)


def test_what_is_asked_of_the_sources_includes_how_fresh_they_are(project: DbtProject, tmp_path: Path) -> None:
    plain = build("raw", project, locks=tmp_path)
    assert (plain.status, plain.tests_passed) == ("succeeded", 1), "freshness is asked for where it is wanted"
    with capture_logs() as logs:
        result = build("raw", project, freshness=True, locks=tmp_path)
    assert (result.status, result.tests_passed, result.tests_warned, result.tests_failed) == ("failed", 2, 1, 2)
    errors = sorted(result.errors)
    assert errors[0].startswith("source_member_cases_is_fresh: the newest row is of 20")
    assert errors[1] == "source_member_phones_is_fresh: it holds no row"
    [told] = [log for log in logs if log["event"] == "rule warned"]
    assert told["rule"] == "source_member_points_is_fresh"
    assert told["detail"].startswith("the newest row is of 20")
    assert not [log for log in logs if log["event"] == "dbt"], "told once"


def test_an_invalid_project_or_profile_is_told_before_anything_is_built(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="profiles' does not exist"):
        build("structure", DbtProject(settings(tmp_path)), locks=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "models/refined/ref_members.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(ConfigurationError, match="no_such_model"):
        build("structure", DbtProject(settings(copy)), locks=tmp_path)
