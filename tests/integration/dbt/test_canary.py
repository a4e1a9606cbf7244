"""No value of a personal column reaches analytics, an audit table, a report, a log or the lineage.

Each column of personal data of each raw table holds a value of its own. Where such a value turns up is asked of every
table and every file there is, and each detector is shown a leak, that it may prove it would have seen one.
"""

import copy
import dataclasses
import hashlib
import json
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from canaries import Canary, canaries, events, heard, heard_in_files, heard_in_table
from dbt.cli.main import dbtRunner
from openlineage.client.serde import Serde
from openlineage.common.provider.dbt.facets import ParentRunMetadata
from structure_warehouse import ROOT, Warehouse, options
from typer.testing import CliRunner

import pipeline.cli
import reconcile.cli
from devstack.world.snapshots import snapshot_files
from pipeline.dbt_project import artifacts_of
from pipeline.lineage.artifacts import read_events

# The first is broken, its failing key a card number; the others are about masks.
RULES = ("str_members_member_number_is_unique", "dim_masked_members")
COMPARED = ("members", "member_emails", "member_profiles", "member_addresses", "member_identities")


@dataclass(frozen=True)
class Planted:
    """A warehouse built from canaries.

    Attributes:
        warehouse: all zones of it, its tests having failed.
        canaries: what was planted.
        lineage: the lineage of the build, as JSON.
        reads: what the lineage says each table reads.
        key: the key of hashes.
    """

    warehouse: Warehouse
    canaries: list[Canary]
    lineage: str
    reads: dict[str, set[str]]
    key: str

    def tables(self, dataset: str) -> list[str]:
        """Return the tables and views of a dataset."""
        return [f"{dataset}.{table.table_id}" for table in self.warehouse.client.list_tables(dataset)]

    def heard_in(self, dataset: str) -> dict[str, set[str]]:
        """Return the canaries in each table of a dataset; tables without are left out."""
        found = {name: heard_in_table(self.warehouse.client, name, self.canaries) for name in self.tables(dataset)}
        return {name: names for name, names in found.items() if names}


@pytest.fixture(scope="module")
def planted(structure_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("canary")
    warehouse = dataclasses.replace(structure_warehouse, folder=folder)
    there = canaries(warehouse.contracts)
    for table in warehouse.contracts:
        warehouse.empty(table)
    key = secrets.token_hex(32)
    (folder.parent / "canary-key").write_text(json.dumps({"key": key}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_PRIVACY_KEY_FILE", str(folder.parent / "canary-key"))
        warehouse.dbt("run-operation", "privacy_load_key")
    warehouse.land(events(warehouse.contracts, there))
    manifest = dataclasses.replace(warehouse.manifest, nodes=copy.deepcopy(warehouse.manifest.nodes))
    build = ["build", "--exclude-resource-type", "test", "unit_test", "--full-refresh", "--log-level-file", "debug"]
    built = dbtRunner(manifest=manifest).invoke([*build, *options(folder)])
    assert built.success, built.exception or [
        f"{r.node.name}: {r.message}" for r in built.result if r.status == "error"
    ]
    artifacts = artifacts_of(built.result, manifest)
    assert artifacts is not None
    told = read_events(artifacts, "dbt", ParentRunMetadata(str(uuid.uuid4()), "test", "dbt"))
    warehouse.dbt("test", "--select", *RULES, "--log-level-file", "debug")
    reads = {event.outputs[0].name: {dataset.name for dataset in event.inputs or ()} for event in told if event.outputs}
    yield Planted(warehouse, there, "\n".join(Serde.to_json(event) for event in told), reads, key)
    warehouse.client.delete_dataset("privacy", delete_contents=True)
    for table in warehouse.contracts:
        warehouse.empty(table)


def every(planted: Planted) -> set[str]:
    return {canary.name for canary in planted.canaries}


def test_every_personal_column_is_planted_and_reaches_structure(planted: Planted) -> None:
    """The control of the detector of tables: it finds each of them, in every type there is."""
    assert len(every(planted)) == len(planted.canaries) >= 20
    for dataset in ("raw", "structure"):
        found = planted.heard_in(dataset)
        for name in every(planted):
            assert name in found[f"{dataset}.{name.partition('.')[0]}"], (dataset, name)
    assert planted.heard_in("structure")["structure.quarantine"]
    wrong = [row for row in planted.warehouse.rows("structure.quarantined_values") if row["_op"] != "READ"]
    contracts = planted.warehouse.contracts
    # whatever is told is JSON, so that no value of a JSON column is wrong
    casting = {c.name for c in planted.canaries if contracts[c.table].column(c.column).data_type != "json"}
    assert {f"{row['table_name']}.{row['column_name']}" for row in wrong} == casting
    assert {row["value"][:4] for row in wrong} == {"tok_"}
    assert heard_in_table(planted.warehouse.client, "structure.quarantined_values", planted.canaries) == set()
    assert planted.heard_in("refined").keys() >= {"refined.member_profiles", "refined.member_contacts"}
    assert planted.heard_in("snapshots").keys() >= {"snapshots.snp_members", "snapshots.snp_member_addresses"}


def test_no_table_of_analytics_holds_one(planted: Planted) -> None:
    tables = planted.tables("analytics")
    rows = {name: planted.warehouse.rows(name) for name in tables}
    assert {name for name, held in rows.items() if not held} == set(), "an empty table proves nothing"
    assert len(tables) >= 5
    assert planted.heard_in("analytics") == {}


def test_no_audit_table_holds_one_though_rules_have_failed(planted: Planted) -> None:
    rows = planted.warehouse.rows("audit.quality_failures")
    (number,) = [canary.value for canary in planted.canaries if canary.name == "members.member_number"]
    inner = hashlib.sha256(f"{planted.key}{number}".encode()).hexdigest()
    token = hashlib.sha256(f"{planted.key}{inner}".encode()).hexdigest()[:24]
    assert f"tok_{token}" in {row["failing_key"] for row in rows if row["rule"] == RULES[0]}
    assert planted.heard_in("audit") == {}


def test_no_log_artifact_or_lineage_holds_one(planted: Planted) -> None:
    assert any(path.name == "dbt.log" for path in planted.warehouse.folder.rglob("*"))
    assert any(path.name == "run_results.json" for path in planted.warehouse.folder.rglob("*"))
    assert heard_in_files(planted.warehouse.folder, planted.canaries) == {}
    assert "member_profiles" in planted.lineage
    assert heard(planted.lineage, planted.canaries) == set()


def test_the_report_of_quality_holds_none(planted: Planted, tmp_path: Path) -> None:
    report(planted, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json"}
    assert heard_in_files(tmp_path, planted.canaries) == {}


def test_the_reports_of_reconciliation_hold_none(planted: Planted, tmp_path: Path) -> None:
    output = reconciled(planted, tmp_path)
    document = json.loads((output / "report.json").read_bytes())
    assert {found["name"] for found in document["comparisons"] if found["verdict"] != "equal"} == set(COMPARED)
    assert heard_in_files(output, planted.canaries) == {}
    assert planted.heard_in("audit") == {}


def test_a_leak_would_be_seen(planted: Planted, tmp_path: Path) -> None:
    """The control of every other detector: one column in clear, one hashed without a key, and each tells which."""
    client = planted.warehouse.client
    (leaked,) = [canary for canary in planted.canaries if canary.name == "member_profiles.biography"]
    client.query_and_wait(
        "create table analytics.leak as select profiles.biography as note, to_hex(sha256(emails.email)) as digest "
        "from structure.member_profiles as profiles inner join structure.member_emails as emails using (member_id)"
    )
    client.query_and_wait(f"update audit.quality_failures set failing_key = '{leaked.value}' where rule = '{RULES[0]}'")
    try:
        assert planted.heard_in("analytics") == {"analytics.leak": {leaked.name, "member_emails.email"}}
        assert planted.heard_in("audit") == {"audit.quality_failures": {leaked.name}}
        report(planted, tmp_path)
        assert heard_in_files(tmp_path, planted.canaries) == {
            "report.html": {leaked.name},
            "report.json": {leaked.name},
        }
    finally:
        client.delete_table("analytics.leak")
        client.query_and_wait("delete from audit.quality_failures where true")


def test_the_lineage_says_what_each_table_reads(planted: Planted) -> None:
    """Of the whole project: what the manifest says, ephemeral models seen through."""
    manifest = planted.warehouse.manifest
    named = {**manifest.nodes, **manifest.sources}

    def behind(node: Any) -> Iterator[str]:
        for name in node.depends_on.nodes:
            parent = named[name]
            if getattr(parent.config, "materialized", "") == "ephemeral":
                yield from behind(parent)
            else:
                yield parent.relation_name.replace("`", "")

    expected = {
        node.relation_name.replace("`", ""): set(behind(node))
        for node in manifest.nodes.values()
        if node.resource_type in ("model", "snapshot") and node.config.materialized != "ephemeral"
    }
    assert planted.reads == expected


def report(planted: Planted, folder: Path) -> None:
    result = CliRunner().invoke(pipeline.cli.app, ["quality", "report", "--output", str(folder)])
    assert result.exit_code in (0, 1), result.output
    assert (folder / "report.html").exists(), result.output


def reconciled(planted: Planted, folder: Path) -> Path:
    """Compare structure with a snapshot in which every personal value is another, and return the folder of reports."""
    contracts = planted.warehouse.contracts
    truth: dict[str, Any] = {}
    for name in COMPARED:
        contract = contracts[name]
        rows = [
            {column.name: row[column.name] for column in contract.columns}
            for row in planted.warehouse.rows(f"structure.{name}")
        ]
        for row in rows[1:]:  # the first is missing in the warehouse's stead: it stands on one side alone
            row |= {column.name: None for column in contract.columns if column.pii and column.is_nullable}
        truth[name] = {tuple(row[column.name] for column in contract.key): row for row in rows[1:]}
    snapshot = folder / "snapshots" / "2026-01-05"
    tables: dict[str, Any] = {}
    for file in snapshot_files(contracts, truth):
        (snapshot / file.path).parent.mkdir(parents=True)
        (snapshot / file.path).write_bytes(file.data)
        tables[file.table] = {"format": file.format, "rows": file.rows, "files": [file.path]}
    manifest = {"snapshot_id": snapshot.name, "taken_at": "2026-01-05T08:00:00.000000Z", "tables": tables}
    (snapshot / "manifest.json").write_text(json.dumps(manifest))
    arguments = ["run", "--config", str(ROOT / "reconcile.yml"), "--output", str(folder / "out")]
    arguments += [part for name in COMPARED for part in ("--table", name)]
    environment = {
        "MILLRACE_SNAPSHOT_URI": snapshot.parent.as_uri(),
        "MILLRACE_CONTRACTS_PATH": str(ROOT / "dbt_project/models/raw"),
    }
    done = CliRunner().invoke(reconcile.cli.app, arguments, env=environment)
    assert done.exit_code == 1, done.output
    return folder / "out"
