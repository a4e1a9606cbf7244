"""The audit row: each comparison of each run, appended to BigQuery, where it can be queried for years."""

import io
from dataclasses import asdict
from typing import Any, Final

import msgspec
from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import UnavailableError
from core.settings import Settings
from reconcile.result import ComparisonResult, Counts, RunResult

TABLE: Final = "reconciliation_runs"
PARTITION_COLUMN: Final = "started_at"

SCHEMA: Final = (
    bigquery.SchemaField("run_id", "STRING", "REQUIRED", description="Run that made the comparison."),
    bigquery.SchemaField("comparison", "STRING", "REQUIRED", description="Name of the comparison."),
    bigquery.SchemaField("contract", "STRING", description="Contract it follows; null without one."),
    bigquery.SchemaField("verdict", "STRING", "REQUIRED", description="equal, different or unreadable."),
    bigquery.SchemaField("reason", "STRING", description="Why it was unreadable."),
    bigquery.SchemaField("started_at", "TIMESTAMP", "REQUIRED", description="When the run began (UTC)."),
    bigquery.SchemaField("seconds", "FLOAT64", description="Seconds spent reading and comparing."),
    bigquery.SchemaField("snapshot_uri", "STRING", description="Where the snapshots lie."),
    bigquery.SchemaField("snapshot_id", "STRING", description="Snapshot compared with."),
    bigquery.SchemaField("snapshot_taken_at", "TIMESTAMP", description="When it was taken (UTC)."),
    bigquery.SchemaField("warehouse_rows", "INT64", description="Rows read from the warehouse."),
    bigquery.SchemaField("snapshot_rows", "INT64", description="Rows read from the snapshot."),
    bigquery.SchemaField("matched", "INT64", description="Rows alike on both sides."),
    bigquery.SchemaField("missing", "INT64", description="Rows only the snapshot holds."),
    bigquery.SchemaField("extra", "INT64", description="Rows only the warehouse holds."),
    bigquery.SchemaField("changed", "INT64", description="Rows that differ in some column."),
    bigquery.SchemaField("duplicated_keys", "INT64", description="Keys that stand more than once on a side."),
    bigquery.SchemaField("in_flight", "INT64", description="Keys set aside as taken in after the snapshot."),
    bigquery.SchemaField("changed_columns", "JSON", description="Changed rows by column, as an object."),
    bigquery.SchemaField("inputs", "JSON", description="What was read: table, filter, instant, objects, ETags."),
    bigquery.SchemaField("versions", "JSON", description="Versions of what made the comparison."),
)


def audit_rows(result: RunResult) -> list[dict[str, Any]]:
    """Return a run as rows of the audit table, as JSON values.

    Args:
        result: the run.

    Returns:
        One row for each comparison. No value of any compared row is in them.
    """
    return [_row(result, comparison) for comparison in result.comparisons]


def append_run(client: bigquery.Client, settings: Settings, result: RunResult) -> None:
    """Append a run to the audit table, by one load job named after the run: it happens once or not at all.

    In the environments `local` and `dev` a missing dataset or table is created; elsewhere they are Terraform's.

    Args:
        client: where to write.
        settings: the audit dataset and the environment.
        result: the run.

    Raises:
        UnavailableError: when BigQuery refuses, with what to do about it.
    """
    table = f"{settings.project}.{settings.audit_dataset}.{TABLE}"
    try:
        if settings.environment in ("local", "dev"):
            _create(client, settings, table)
        _load(client, table, result)
    except NotFound as error:
        raise UnavailableError(f"{table}: is not there; apply the Terraform of the audit dataset") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(
            f"{table}: the audit row was not written; `--no-audit` leaves it out: {error}"
        ) from error


def _create(client: bigquery.Client, settings: Settings, table: str) -> None:
    dataset = bigquery.Dataset(f"{settings.project}.{settings.audit_dataset}")
    dataset.location = settings.location
    client.create_dataset(dataset, exists_ok=True)
    wanted = bigquery.Table(table, schema=list(SCHEMA))
    wanted.time_partitioning = bigquery.TimePartitioning(field=PARTITION_COLUMN)
    wanted.description = "One row for each comparison of the warehouse with a snapshot; append-only."
    client.create_table(wanted, exists_ok=True)


def _load(client: bigquery.Client, table: str, result: RunResult) -> None:
    lines = b"\n".join(msgspec.json.encode(row) for row in audit_rows(result))
    config = bigquery.LoadJobConfig(
        schema=list(SCHEMA),
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    job_id = f"reconcile-{result.run_id}"
    try:
        job = client.load_table_from_file(io.BytesIO(lines), table, job_id=job_id, job_config=config)
    except Conflict:
        # The first answer was lost on its way: the job of this name is ours.
        job = client.get_job(job_id)
    job.result()


def _row(result: RunResult, comparison: ComparisonResult) -> dict[str, Any]:
    counts = comparison.counts
    return {
        "run_id": result.run_id,
        "comparison": comparison.name,
        "contract": comparison.contract,
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "started_at": result.started_at,
        "seconds": round(comparison.timing.read_s + comparison.timing.compare_s, 3),
        "snapshot_uri": result.snapshot.uri,
        "snapshot_id": result.snapshot.snapshot_id,
        "snapshot_taken_at": result.snapshot.taken_at,
        **{name: getattr(counts, name) if counts else None for name in _COUNTED},
        "changed_columns": {column.name: column.changed for column in comparison.columns if column.changed},
        "inputs": comparison.inputs,
        "versions": asdict(result.versions),
    }


_COUNTED: Final = tuple(field.name for field in SCHEMA if field.name in Counts.__dataclass_fields__)
"""Counts that are columns of the table."""
