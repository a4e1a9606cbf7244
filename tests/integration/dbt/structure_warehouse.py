"""A local BigQuery with raw tables, and dbt, parsed once, to build structure from them."""

import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from parsed_project import for_one_command, options
from structure_events import Event, Key, Row

from core.clients import bigquery_client
from core.contracts import Contracts, TableContract
from core.raw_row import RAW_COLUMNS
from core.settings import Settings
from ingest.setup import raw_table

ROOT = Path(__file__).parents[3]
_ARROW = {
    "STRING": pa.string(),
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}
_SCHEMA = pa.schema([(column.name, _ARROW[column.data_type]) for column in RAW_COLUMNS])


@dataclass(frozen=True)
class Warehouse:
    """A local BigQuery, and the folder dbt may write to.

    Attributes:
        settings: where it is.
        client: talks to it.
        contracts: the raw tables.
        folder: scratch space of dbt.
        manifest: the project, as dbt parsed it.
    """

    settings: Settings
    client: bigquery.Client
    contracts: Contracts
    folder: Path
    manifest: Any

    def empty(self, table: str) -> None:
        """Make a raw table anew, drop what structure and snapshots made of it, and forget what is known of it."""
        for made in (f"raw.{table}", f"structure.{table}", f"snapshots.snp_{table}"):
            self.client.delete_table(made, not_found_ok=True)
        self.client.create_table(raw_table(self.settings, self.contracts[table]))
        for of_all in {"truncates", "quarantined_values"} & {t.table_id for t in self.client.list_tables("structure")}:
            self.client.query_and_wait(f"delete from structure.{of_all} where table_name = '{table}'")

    def land(self, events: Iterable[Event]) -> None:
        """Append events to their raw tables."""
        rows: dict[str, list[Row]] = {}
        for event in events:
            rows.setdefault(event.table, []).append(event.raw(self.contracts[event.table]))
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
        for table, landed in rows.items():
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(landed, schema=_SCHEMA), buffer)
            buffer.seek(0)
            self.client.load_table_from_file(buffer, f"raw.{table}", job_config=config).result()

    def dbt(self, *arguments: str, manifest: Any = None) -> Any:
        """Run dbt quietly, and fail with what it has to say.

        Args:
            *arguments: the command and its options.
            manifest: a project to use instead of the one that was parsed.

        Returns:
            What dbt returns.
        """
        fresh = for_one_command(manifest or self.manifest)
        faults: list[str] = []

        def note(event: Any) -> None:
            # an operation says why it failed in no other way
            if event.info.level == "error":
                faults.append(event.info.msg)

        outcome = dbtRunner(manifest=fresh, callbacks=[note]).invoke([*arguments, *options(self.folder)])
        assert outcome.success, faults or outcome.exception
        return outcome.result

    def build(self, models: Sequence[str], *arguments: str, manifest: Any = None) -> dict[str, str]:
        """Run structure models, and return the query of each, as it was compiled."""
        results = self.dbt("run", "--no-write-json", "--select", *models, *arguments, manifest=manifest)
        return {result.node.name: result.node.compiled_code for result in results}

    def structure(self, table: str) -> dict[Key, Row]:
        """Return a structure table by key, in values that compare; fails when a key stands twice."""
        contract = self.contracts[table]
        found: dict[Key, Row] = {}
        for row in self.rows(f"structure.{table}"):
            key = tuple(row[column.name] for column in contract.key)
            assert key not in found, f"{table} holds {key} twice"
            found[key] = comparable(contract, row)
        return found

    def compiled(self, sql: str, **variables: object) -> str:
        """Return SQL as dbt renders it.

        Args:
            sql: a query with macros.
            **variables: dbt variables to use instead of the project's own.
        """
        command = ["compile", "--inline", sql, "--vars", json.dumps(variables)]
        outcome = dbtRunner(manifest=for_one_command(self.manifest)).invoke([*command, *options(self.folder)])
        assert outcome.success, outcome.exception
        return str(outcome.result.results[0].node.compiled_code)

    def rows(self, table: str) -> list[Row]:
        """Return all rows of a table or view."""
        return [dict(row.items()) for row in self.client.query_and_wait(f"select * from {table}")]


def connect(settings: Settings, contracts: Contracts, folder: Path, manifest: Any) -> Warehouse:
    """Create the raw tables, and the table of erasures.

    Args:
        settings: where the local BigQuery is.
        contracts: the raw tables.
        folder: scratch space for dbt.
        manifest: the project, as dbt parsed it.

    Returns:
        The warehouse.
    """
    client = bigquery_client(settings)
    for dataset in ("raw", "structure"):
        client.create_dataset(dataset, exists_ok=True)
    for contract in contracts.values():
        client.create_table(raw_table(settings, contract), exists_ok=True)
    made = Warehouse(settings, client, contracts, folder, manifest)
    made.build(["str_erasures"])  # which every structure model reads
    return made


def comparable(contract: TableContract, row: Row) -> Row:
    """Return a row whose values compare with `==`: NaN as text, no array as an empty one.

    Args:
        contract: its table.
        row: value by column, of the contract and others.

    Returns:
        A new row.
    """
    arrays = {column.name for column in contract.columns if column.data_type.startswith("array")}
    return {name: _comparable(value, is_array=name in arrays) for name, value in row.items()}


def _comparable(value: Any, *, is_array: bool) -> Any:
    if is_array:
        return [] if value is None else list(value)
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
