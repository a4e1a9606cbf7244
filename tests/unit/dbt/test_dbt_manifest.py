"""Rules of the dbt project, held against its manifest: dbt-bouncer's, and those it does not know."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.cli.main import dbtRunner

from core.contracts import load_contracts
from core.errors import UnreadableError
from core.raw_row import RAW_COLUMNS
from devstack.docs import describe_raw_rows

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "dbt-bouncer.yml"
ZONES = ("structure", "snapshots", "refined", "analytics")
# What may be read besides the own zone: structure alone reads raw, and no zone is skipped but for these.
ABOVE = {"structure": set(), "snapshots": {"structure"}, "refined": {"structure"}, "analytics": {"refined"}}
SKIPS = {
    # facts and history are taken from where they are whole; refined keeps no transactions, and of members no versions
    "fct_transactions": {"structure"},
    "dim_members": {"structure", "snapshots"},
    # history is what snapshots hold, and they are taken of structure alone
    "ref_member_address_versions": {"snapshots"},
    "ref_member_consent_versions": {"snapshots"},
    "ref_member_tier_versions": {"snapshots"},
}

# These look at every raw table by their nature.
OF_EVERY_SOURCE = {"str_truncates", "str_quarantine", "str_quarantined_values"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dbt")
    options = ["--project-dir", str(ROOT), "--profiles-dir", str(ROOT / "profiles"), "--target", "local"]
    options += ["--target-path", str(folder), "--log-path", str(folder / "logs"), "--log-level", "none"]
    outcome = dbtRunner().invoke(["parse", *options])
    assert outcome.success, outcome.exception
    return folder / "manifest.json"


@pytest.fixture(scope="module")
def project(manifest: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return found


def bounced(manifest: Path, folder: Path) -> list[str]:
    """Return the rules of dbt-bouncer that a manifest breaks."""
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    configuration["dbt_artifacts_dir"] = str(manifest.parent)
    (folder / "rules.yml").write_text(yaml.safe_dump(configuration))
    command = [str(Path(sys.executable).parent / "dbt-bouncer"), "--config-file", str(folder / "rules.yml")]
    found = folder / "found.json"
    done = subprocess.run([*command, "--output-file", str(found)], capture_output=True, text=True, check=False)
    assert found.exists(), done.stdout + done.stderr
    checks = json.loads(found.read_text(encoding="utf-8"))
    assert len(checks) > 500
    return [f"{c['check_run_id']}: {c['failure_message']}" for c in checks if c["outcome"] != "success"]


def skipping(project: dict[str, Any]) -> set[str]:
    """Return what reads past the zone above its own."""
    return {
        f"{node['name']} reads {read['name']}"
        for node in _nodes(project)
        for name in node["depends_on"]["nodes"]
        if (read := project["nodes"].get(name) or project["sources"][name])
        and _zone(read) not in {_zone(node), *ABOVE[_zone(node)], *SKIPS.get(node["name"], ())}
        and not (_zone(node) == "structure" and read["resource_type"] == "source")
        and read["resource_type"] != "seed"
    }


def test_the_project_keeps_the_rules(manifest: Path, tmp_path: Path) -> None:
    assert bounced(manifest, tmp_path) == []


def test_a_broken_rule_is_found(project: dict[str, Any], tmp_path: Path) -> None:
    changed: dict[str, Any] = json.loads(json.dumps(project))
    name = "model.millrace.ref_member_loyalty"
    changed["nodes"][name]["description"] = ""
    for meta in (changed["nodes"][name]["meta"], changed["nodes"][name]["config"]["meta"]):
        meta.pop("owner", None)
    changed["nodes"][name]["depends_on"]["nodes"].append("model.millrace.ms_member")
    changed["nodes"]["model.millrace.ms_member"]["access"] = "protected"
    changed["nodes"]["model.millrace.ms_member"]["config"]["access"] = "protected"
    changed["sources"]["source.millrace.member.members"]["columns"]["last_name"]["config"]["meta"].pop("pii")
    changed["sources"]["source.millrace.member.members"]["columns"]["last_name"]["meta"].pop("pii", None)
    changed["nodes"]["model.millrace.str_member_tiers"]["depends_on"]["nodes"].clear()
    changed["nodes"]["model.millrace.dim_members"]["config"]["materialized"] = "view"
    changed["nodes"]["model.millrace.ref_member_contacts"]["columns"]["email"]["description"] = ""
    changed["nodes"]["model.millrace.ref_member_contacts"]["config"]["contract"]["enforced"] = False
    changed["nodes"]["model.millrace.ref_member_contacts"]["contract"]["enforced"] = False
    changed["nodes"]["model.millrace.ref_fx_rates"]["name"] = "fx_rates"
    changed["nodes"]["model.millrace.member_months"]["depends_on"]["nodes"].append("source.millrace.member.members")
    for test in [key for key in changed["nodes"] if ".str_member_tiers_key_is_unique." in key]:
        del changed["nodes"][test]
    for test in [key for key in changed["nodes"] if ".str_members_contract_holds." in key]:
        for meta in (changed["nodes"][test]["meta"], changed["nodes"][test]["config"]["meta"]):
            meta.pop("owner", None)
    for test in [key for key, test in changed["unit_tests"].items() if test["model"] == "ref_member_sessions"]:
        del changed["unit_tests"][test]
    (tmp_path / "manifest.json").write_text(json.dumps(changed))
    found = {line.split(":")[0] for line in bounced(tmp_path / "manifest.json", tmp_path)}
    assert {
        "check_model_description_populated",
        "check_model_has_meta_keys",
        "check_lineage_permitted_upstream_models",
        "check_exposure_based_on_non_public_models",
        "check_exposure_based_on_view",
        "check_model_has_no_upstream_dependencies",
        "check_model_materialization_permitted",
        "check_source_pii_meta",
        "check_model_column_description_populated",
        "check_model_has_contracts_enforced",
        "check_model_names",
        "check_lineage_source_cannot_be_used",
        "check_model_has_unique_test",
        "check_test_has_meta_keys",
        "check_model_has_unit_tests",
    } <= found


def test_each_source_is_cast_by_a_model_of_its_own(project: dict[str, Any]) -> None:
    """No other model reads it, and that one joins it with nothing that is not about every table."""
    for source in project["sources"].values():
        readers = {node["name"] for node in _nodes(project) if source["unique_id"] in node["depends_on"]["nodes"]}
        assert readers == {f"str_{source['name']}"} | OF_EVERY_SOURCE
        cast = project["nodes"][f"model.millrace.str_{source['name']}"]["depends_on"]["nodes"]
        assert set(cast) <= {source["unique_id"], "model.millrace.str_erasures", "model.millrace.str_truncates"}


def test_every_macro_is_described_with_its_arguments(project: dict[str, Any]) -> None:
    """Also those that begin with an underscore and are for the file they stand in."""
    ours = [macro for macro in project["macros"].values() if macro["package_name"] == "millrace"]
    assert len(ours) > 100
    bare = {macro["name"] for macro in ours if not macro["description"].strip()}
    bare |= {
        f"{macro['name']}({argument['name']})"
        for macro in ours
        for argument in macro["arguments"]
        if not argument["description"].strip() or not argument["type"]
    }
    assert bare == set()


def test_no_zone_is_skipped(project: dict[str, Any]) -> None:
    assert skipping(project) == set()


def test_a_skipped_zone_is_found(project: dict[str, Any]) -> None:
    changed: dict[str, Any] = json.loads(json.dumps(project))
    reads = {"ms_member": "model.millrace.str_members", "ref_fx_rates": "source.millrace.member.members"}
    for name, read in reads.items():
        changed["nodes"][f"model.millrace.{name}"]["depends_on"]["nodes"].append(read)
    assert skipping(changed) == {"ms_member reads str_members", "ref_fx_rates reads members"}


def test_every_exception_is_needed(project: dict[str, Any]) -> None:
    read = {
        node["name"]: {_zone(project["nodes"][n]) for n in node["depends_on"]["nodes"] if n in project["nodes"]}
        for node in _nodes(project)
    }
    assert all(zones <= read[name] for name, zones in SKIPS.items())


def test_everything_that_the_docs_show_is_described(project: dict[str, Any]) -> None:
    things = {
        name: thing
        for kind in ("nodes", "sources", "exposures", "groups")
        for name, thing in project[kind].items()
        if thing["resource_type"] not in ("test", "unit_test", "operation")
    }
    bare = {name for name, thing in things.items() if not (thing.get("description") or "").strip()}
    bare |= {
        f"{name}.{column['name']}"
        for name, thing in things.items()
        for column in thing.get("columns", {}).values()
        if not column["description"].strip()
    }
    assert bare == set()


def test_the_pages_of_raw_tables_describe_what_they_hold_and_what_the_payload_does(
    manifest: Path, tmp_path: Path
) -> None:
    written = manifest.read_text(encoding="utf-8")
    (tmp_path / "manifest.json").write_text(written, encoding="utf-8")
    page = tmp_path / "static_index.html"
    page.write_text(f"<script>var manifest = {written}</script>", encoding="utf-8")
    describe_raw_rows(tmp_path / "manifest.json", page)
    shown = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert json.loads(page.read_text().removeprefix("<script>var manifest = ").removesuffix("</script>")) == shown
    contracts = load_contracts(ROOT / "dbt_project/models/raw")
    assert {source["name"] for source in shown["sources"].values()} == set(contracts)
    for source in shown["sources"].values():
        told = {name: column["description"] for name, column in source["columns"].items()}
        assert list(told) == [column.name for column in (*RAW_COLUMNS, *contracts[source["name"]].columns)]
        assert all(told.values())
        assert told["_op"].startswith("INSERT, UPDATE")
    page.write_text("nothing of it", encoding="utf-8")
    with pytest.raises(UnreadableError, match="in another way"):
        describe_raw_rows(tmp_path / "manifest.json", page)


def test_analytics_holds_no_column_of_a_personal_class(project: dict[str, Any]) -> None:
    """Neither declared as one, nor called like one that structure declares."""
    personal = {
        column["name"]
        for node in _nodes(project)
        if _zone(node) in ("structure", "snapshots", "refined")
        for column in node["columns"].values()
        if column["config"]["meta"].get("pii")
    }
    assert {"email", "last_name", "birth_date", "phone_number"} <= personal
    shown = {
        f"{node['name']}.{column['name']}"
        for node in _nodes(project)
        if _zone(node) == "analytics"
        for column in node["columns"].values()
        if column["name"] in personal or column["config"]["meta"].get("pii")
    }
    assert shown == set()


def test_a_personal_column_keeps_its_class_in_every_zone(project: dict[str, Any]) -> None:
    """By it refined and snapshots get their policy tags."""
    classes = {
        column["name"]: pii
        for source in project["sources"].values()
        for column in source["columns"].values()
        if (pii := column["config"]["meta"].get("pii"))
    }
    lost = {
        f"{node['name']}.{name}"
        for node in _nodes(project)
        if _zone(node) != "structure"
        for name, column in node["columns"].items()
        if name in classes and column["config"]["meta"].get("pii") != classes[name]
    }
    assert len(classes) > 20
    assert lost == set()


def _nodes(project: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for node in project["nodes"].values():
        if node["resource_type"] in ("model", "snapshot"):
            yield node


def _zone(thing: dict[str, Any]) -> str:
    """Return the zone of a model, snapshot, seed or source: its dataset, but for developers' prefixes."""
    return next((zone for zone in ZONES if thing["schema"].endswith(zone)), thing["schema"])
