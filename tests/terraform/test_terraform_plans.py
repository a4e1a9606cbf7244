"""Every root module passes `terraform test`, and what the environments would make keeps our policies."""

import json
import os
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from core.contracts import load_contracts
from ingest.setup import AUDIT_TABLES
from reconcile import audit
from reconcile.cli import app
from reconcile.repair.ledger import REPAIRS

REPOSITORY = Path(__file__).parents[2]
TERRAFORM = REPOSITORY / "terraform"
ENVIRONMENTS = sorted(path.name for path in (TERRAFORM / "environments").iterdir())
MODULES = sorted(path.parent.name for path in (TERRAFORM / "modules").glob("*/tests"))

ROLES = {
    "roles/bigquery.dataEditor",
    "roles/bigquery.dataViewer",
    "roles/bigquery.jobUser",
    "roles/bigquery.readSessionUser",
    "roles/pubsub.publisher",
    "roles/pubsub.subscriber",
    "roles/pubsub.viewer",
    "roles/run.invoker",
    "roles/secretmanager.secretAccessor",
    "roles/storage.objectUser",
}

# INFORMATION_SCHEMA shows an account its own jobs when it may list jobs, which no predefined role allows without more.
OWN_ROLE = "projects/acme-millrace/roles/millrace_pipeline"

Change = dict[str, Any]


def check(root: str, **environment: str) -> None:
    result = subprocess.run(
        [TERRAFORM / "check", root],
        check=False,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plan(environment: str, tmp_path_factory: pytest.TempPathFactory) -> list[Change]:
    """What `terraform apply` would make in a fresh project, after the root's own tests have passed."""
    folder = tmp_path_factory.mktemp(environment)
    variables, output = folder / "variables.tfvars.json", folder / "plan.json"
    digest = "@sha256:" + "0" * 64
    images = {name: f"registry.example/{name}{digest}" for name in ("ingest", "pipeline", "reconcile")}
    variables.write_text(
        json.dumps(
            {
                "project": "acme-millrace",
                "api_base_url": "https://members.acme.example",
                "snapshot_uri": "s3://acme-member-snapshots",
                "images": images,
            }
        )
    )
    check(f"environments/{environment}", PLAN_JSON=str(output), VARS=f"-var-file={variables}")
    changes: list[Change] = json.loads(output.read_text())["resource_changes"]
    return [change for change in changes if change["mode"] == "managed"]


def planned(plan: list[Change], resource_type: str) -> list[dict[str, Any]]:
    return [change["change"]["after"] for change in plan if change["type"] == resource_type]


def grants(plan: list[Change]) -> list[tuple[str, str, str]]:
    """Every role given: by which module, on what, which."""
    found = []
    for change in plan:
        after = change["change"]["after"]
        if not change["type"].endswith("_iam_member"):
            continue
        target = next(
            (after[k] for k in ("dataset_id", "subscription", "topic", "secret_id", "bucket", "name") if k in after),
            None,
        )
        found.append((change["module_address"].removeprefix("module.millrace."), target or "project", after["role"]))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_the_tests_of_a_module_pass(module: str) -> None:
    check(f"modules/{module}")


def test_every_contract_has_its_topic_subscription_and_raw_table(plan: list[Change]) -> None:
    contracts = load_contracts(REPOSITORY / "dbt_project/models/raw")
    topics = {topic["name"] for topic in planned(plan, "google_pubsub_topic")}
    expected = {*contracts.by_topic(), *contracts.notification_topics()}
    assert topics == {*expected, "millrace-dead-letters"}
    subscriptions = {subscription["name"] for subscription in planned(plan, "google_pubsub_subscription")}
    assert subscriptions == {*(f"{topic}-ingest" for topic in expected), "millrace-dead-letters-keep"}
    tables = {(table["dataset_id"], table["table_id"]) for table in planned(plan, "google_bigquery_table")}
    assert tables == {
        *(("raw", name) for name in contracts),
        *(("audit", table.name) for table in (*AUDIT_TABLES, *audit.TABLES, REPAIRS)),
    }


def test_nobody_gets_more_than_a_named_role_on_a_named_thing(plan: list[Change]) -> None:
    roles = grants(plan)
    assert roles
    assert {role for _, _, role in roles} == {*ROLES, OWN_ROLE}
    on_project = {role for _, target, role in roles if target == "project"}
    assert on_project <= {"roles/bigquery.jobUser", "roles/bigquery.readSessionUser", OWN_ROLE}
    assert not re.search(r"allUsers|allAuthenticatedUsers", json.dumps(plan))


def test_who_builds_may_ask_bigquery_what_its_jobs_did_and_no_more(plan: list[Change]) -> None:
    """The statement that writes audit.model_runs reads INFORMATION_SCHEMA.JOBS_BY_USER, which jobUser alone may not."""
    [role] = planned(plan, "google_project_iam_custom_role")
    assert (role["role_id"], role["permissions"]) == ("millrace_pipeline", ["bigquery.jobs.list"])
    assert ("module.pipeline_identity", "project", OWN_ROLE) in grants(plan)


def test_only_members_are_added_so_that_no_grant_made_elsewhere_is_removed(plan: list[Change]) -> None:
    iam = {change["type"] for change in plan if "_iam_" in change["type"]} - {"google_project_iam_custom_role"}
    assert iam
    assert all(name.endswith("_iam_member") for name in iam)


def test_what_runs_runs_under_an_account_of_its_own_from_a_pinned_image(plan: list[Change]) -> None:
    pools = planned(plan, "google_cloud_run_v2_worker_pool")
    jobs = [job["template"][0] for job in planned(plan, "google_cloud_run_v2_job")]
    containers = [
        template["template"][0]["containers"][0] for template in (*jobs, *({"template": p["template"]} for p in pools))
    ]
    assert len(containers) == 6
    for container in containers:
        assert "@sha256:" in container["image"]
        secret = [env for env in container["env"] if re.search("TOKEN|SECRET|KEY", env["name"])]
        assert all(env["value_source"] and env.get("value") is None for env in secret)
    accounts = [account["account_id"] for account in planned(plan, "google_service_account")]
    deployed = ("ingest", "pipeline", "privacy", "reconcile", "scheduler")
    assert sorted(accounts) == [f"millrace-{name}" for name in deployed]


def test_raw_is_written_by_two_read_by_two_and_seen_by_no_person(plan: list[Change]) -> None:
    who: dict[tuple[str, str], set[str]] = {}
    for module, target, role in grants(plan):
        who.setdefault((target, role), set()).add(module)
    assert who["raw", "roles/bigquery.dataEditor"] == {"module.ingest_identity", "module.privacy_identity"}
    assert who["raw", "roles/bigquery.dataViewer"] == {"module.pipeline_identity", "module.reconcile_identity"}
    assert who["privacy", "roles/bigquery.dataViewer"] == {"module.privacy"}
    assert not re.search(r'"(user|domain|group):', json.dumps(plan))


def test_the_erased_are_kept_out_every_night_by_an_account_of_its_own(plan: list[Change]) -> None:
    [job] = [job for job in planned(plan, "google_cloud_run_v2_job") if job["name"] == "millrace-erasures"]
    task = job["template"][0]["template"][0]
    assert task["containers"][0]["args"] == ["privacy", "enforce", "--json"]
    [schedule] = [one for one in planned(plan, "google_cloud_scheduler_job") if one["name"] == "millrace-erasures"]
    minute, hour, *days = schedule["schedule"].split()
    assert (minute.isdigit(), hour.isdigit(), days) == (True, True, ["*", "*", "*"])


def test_what_fits_no_row_has_a_private_bucket_that_the_ingester_knows(plan: list[Change], environment: str) -> None:
    [bucket] = [each for each in planned(plan, "google_storage_bucket") if each["name"].endswith("-oversize")]
    assert (bucket["uniform_bucket_level_access"], bucket["public_access_prevention"]) == (True, "enforced")
    assert bucket["force_destroy"] == (environment == "dev")
    deleted = [rule["condition"][0] for rule in bucket["lifecycle_rule"] if rule["action"][0]["type"] == "Delete"]
    days = {"dev": 31, "staging": 93, "production": None}[environment]
    assert [(one["age"], one["matches_prefix"]) for one in deleted] == ([(days, ["rows/"])] if days else [])
    [pool] = planned(plan, "google_cloud_run_v2_worker_pool")
    variables = {env["name"]: env.get("value") for env in pool["template"][0]["containers"][0]["env"]}
    assert variables["MILLRACE_INGEST_OVERSIZE_URI"] == f"gs://{bucket['name']}"


def test_the_tasks_of_a_reconciliation_share_a_private_bucket_and_go_on_where_they_were_killed(
    plan: list[Change],
) -> None:
    [bucket] = [each for each in planned(plan, "google_storage_bucket") if each["name"].endswith("-reconcile")]
    assert (bucket["uniform_bucket_level_access"], bucket["public_access_prevention"]) == (True, "enforced")
    [job] = [job for job in planned(plan, "google_cloud_run_v2_job") if job["name"] == "millrace-reconcile"]
    assert job["template"][0]["task_count"] == job["template"][0]["parallelism"]
    task = job["template"][0]["template"][0]
    assert task["max_retries"] >= 1
    arguments = task["containers"][0]["args"]
    options = dict(pairwise(arguments))
    assert options["--shards"] == f"gs://{bucket['name']}/runs"
    # The image can write nowhere else; and the command takes these options.
    assert all(options[name].startswith("/var/tmp/") for name in ("--state", "--output"))  # noqa: S108 - the container's
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(app).main([*arguments, "--help"], prog_name="reconcile")
    assert ended.value.code == 0


def test_no_secret_value_reaches_the_state(plan: list[Change]) -> None:
    assert not planned(plan, "google_secret_manager_secret_version")
    assert planned(plan, "google_secret_manager_secret")


def test_data_is_protected_everywhere_but_in_dev(plan: list[Change], environment: str) -> None:
    protected = environment != "dev"
    tables = planned(plan, "google_bigquery_table")
    assert {table["deletion_protection"] for table in tables} == {protected}
    assert {dataset["delete_contents_on_destroy"] for dataset in planned(plan, "google_bigquery_dataset")} == {
        not protected
    }
    expirations = {
        table["time_partitioning"][0].get("expiration_ms") for table in tables if table["dataset_id"] == "raw"
    }
    days = {"dev": 30, "staging": 92, "production": None}[environment]
    assert expirations == {days and days * 86_400_000}


def test_the_plan_is_the_one_that_was_reviewed(plan: list[Change], environment: str) -> None:
    """A change of what stands here is read in a diff, before it is read in a bill or an incident."""
    reviewed = yaml.safe_load((Path(__file__).parent / "inventory.yml").read_text())
    assert dict(Counter(change["type"] for change in plan)) == reviewed["resources"], environment
    told: dict[str, list[str]] = {}
    for module, target, role in grants(plan):
        told.setdefault(module, []).append(f"{target} {role}")
    per_topic = re.compile(r"^loyalty\.member\.\w+-ingest ")
    compact = {
        module: sorted({per_topic.sub("loyalty.member.*-ingest ", line) for line in lines})
        for module, lines in told.items()
    }
    assert compact == reviewed["grants"], environment
