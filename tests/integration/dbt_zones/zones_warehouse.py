"""A local BigQuery with structure tables, and dbt to build the zones above them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bigquery_json import json_value, schema_field
from dbt.cli.main import dbtRunner
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from parsed_project import for_one_command, options
from zones_costs import Costs
from zones_restated import raw_rows
from zones_rows import AS_OF, Row, StructureRows, Tables

from core.contracts import load_contracts
from core.settings import load_settings
from ingest.setup import raw_table

ROOT = Path(__file__).parents[3]
CONTRACTS = load_contracts(ROOT / "dbt_project/models/raw")
REFINED = (
    *("profiles", "contacts", "addresses", "consents", "preferences", "loyalty", "activity"),
    *("events", "sessions", "behaviour", "consent_periods"),
)
HISTORIES = {"addresses": "address_versions", "consents": "consent_versions", "tiers": "tier_versions"}
ANALYTICS = ("ms_member", "dim_members", "fct_transactions", "member_months")
BUILT = (
    *(f"refined.member_{name}" for name in (*REFINED, *HISTORIES.values())),
    *(f"analytics.{name}" for name in ANALYTICS),
)
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
_METADATA = {
    "is_deleted": "bool",
    "_op": "string",
    "_key": "string",
    "_source_system": "string",
    "_source_ts": "timestamp",
    "_source_position": "string",
    "_source_sequence": "int64",
    "_event_id": "string",
    "_ingestion_ts": "timestamp",
}
_SNAPSHOT = {
    "dbt_scd_id": "string",
    "dbt_is_deleted": "string",
    "dbt_updated_at": "timestamp",
    "dbt_valid_from": "timestamp",
    "dbt_valid_to": "timestamp",
}


@dataclass(frozen=True)
class Build:
    """What went in and what came out.

    Attributes:
        given: the structure rows.
        built: rows by table of the refined and analytics zones.
        costs: what the models read; only of the first build.
    """

    given: StructureRows
    built: Mapping[str, list[Row]]
    costs: Costs | None = None


@dataclass(frozen=True)
class Restated:
    """A build of what was changed after its instant.

    Attributes:
        build: what went in and what came out.
        caught: each cut of `as_of_rows`, by what follows it, and whether a model that forgets it finds anything else.
        members: what `ms_member` says of an instant of the same day by which the changes had been made.
    """

    build: Build
    caught: tuple[tuple[str, bool], ...]
    members: list[Row]


@dataclass(frozen=True)
class Warehouse:
    """A local BigQuery, and the folder dbt may write to.

    Attributes:
        client: talks to it.
        folder: scratch space of dbt.
        manifest: the project, as dbt parsed it.
    """

    client: bigquery.Client
    folder: Path
    manifest: Any

    def load(self, tables: Tables) -> None:
        """Replace the structure tables, and the snapshots by one version of each row."""
        for dataset in ("structure", "snapshots", "refined", "analytics"):
            self.client.create_dataset(dataset, exists_ok=True)
        for name, contract in CONTRACTS.items():
            columns = {column.name: str(column.data_type) for column in contract.columns} | _METADATA
            self._replace(f"structure.{name}", columns, tables.get(name, []))
            if name == "members" or name.removeprefix("member_") in HISTORIES:
                versions = [snapshot_of(row) for row in tables[name] if not row["is_deleted"]]
                self._replace(f"snapshots.snp_{name}", columns | _SNAPSHOT, versions)

    def load_raw(self, *states: Tables) -> None:
        """Fill the raw tables with what led from one state of structure to the next."""
        for name, rows in raw_rows(CONTRACTS, *states).items():
            assert self.client.insert_rows_json(f"{self.client.project}.raw.{name}", rows) == []

    def dbt(self, *arguments: str, **variables: Any) -> None:
        """Run dbt as of `AS_OF` and fail with what it has to say.

        Args:
            *arguments: the command and its options.
            **variables: more variables of the project.
        """
        as_of = AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ")
        own = ["--no-write-json", *options(self.folder), "--vars", json.dumps({"as_of": as_of, **variables})]
        outcome = dbtRunner(manifest=for_one_command(self.manifest)).invoke(["--quiet", *arguments, *own])
        faults = [f"{r.node.name}: {r.message}" for r in outcome.result or [] if r.status in ("error", "fail", "warn")]
        assert outcome.success, faults or outcome.exception
        assert faults == []

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table, in an order that depends on nothing but them."""
        fetched = [dict(row.items()) for row in self.client.list_rows(self.client.get_table(table))]
        return sorted(fetched, key=repr)

    def ask(self, sql: str) -> list[Row]:
        """Return the rows of a query, in an order that depends on nothing but them."""
        return sorted((dict(row.items()) for row in self.client.query_and_wait(sql)), key=repr)

    def compiled(self) -> Mapping[str, str]:
        """Return the SQL of every refined and analytics model as it was built last, by the model."""
        folder = self.folder / "target/compiled/millrace/dbt_project/models"
        paths = [path for zone in ("refined", "analytics") for path in sorted((folder / zone).glob("*.sql"))]
        return {path.stem: path.read_text(encoding="utf-8") for path in paths}

    def built(self) -> Mapping[str, list[Row]]:
        """Return the rows of every refined and analytics table, by its name without the dataset."""
        return {table: self.rows(table) for table in BUILT}

    def _replace(self, table: str, columns: Mapping[str, str], rows: list[Row]) -> None:
        full_name = f"{self.client.project}.{table}"
        self.client.delete_table(full_name, not_found_ok=True)
        made = self.client.create_table(
            bigquery.Table(full_name, schema=[schema_field(*item) for item in columns.items()])
        )
        if rows:
            known = [{name: json_value(value) for name, value in row.items() if name in columns} for row in rows]
            assert self.client.insert_rows_json(made, known) == []


def connect(rest_url: str, folder: Path, manifest: Any) -> Warehouse:
    """Return the warehouse behind an endpoint, with raw tables that are empty, and the project to build there."""
    client = bigquery.Client(
        project="millrace-local",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=rest_url),
    )
    warehouse = Warehouse(client, folder, manifest)
    for dataset in ("raw", "structure"):
        client.create_dataset(dataset)
    for contract in CONTRACTS.values():
        client.create_table(raw_table(load_settings(), contract))
    erasures = {"member_id": "int64", "table_name": "string", "_key": "string", "erased_at": "timestamp"}
    client.create_table(
        bigquery.Table(f"{client.project}.structure.erasures", [schema_field(*item) for item in erasures.items()])
    )
    return warehouse


def snapshot_of(row: Row) -> Row:
    """Return the only version of a row in its snapshot."""
    return row | {
        "dbt_scd_id": f"version-{row['_event_id']}",
        "dbt_is_deleted": "False",
        "dbt_updated_at": row["_source_ts"],
        "dbt_valid_from": row["_source_ts"],
        "dbt_valid_to": FOREVER,
    }
