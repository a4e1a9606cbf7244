"""The audit trail: runs, columns and differences, appended to BigQuery, where they can be queried for years."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from google.cloud import bigquery

from core.errors import UnavailableError
from core.settings import Settings
from reconcile.audit_tables import AuditTable, append
from reconcile.result import ComparisonResult, Counts, Difference, Evidence, RunResult

TABLE: Final = "reconciliation_runs"
PARTITION_COLUMN: Final = "started_at"

_KEY: Final = (
    bigquery.SchemaField("run_id", "STRING", "REQUIRED", description="Run that made the comparison."),
    bigquery.SchemaField("comparison", "STRING", "REQUIRED", description="Name of the comparison."),
)
_STARTED: Final = bigquery.SchemaField("started_at", "TIMESTAMP", "REQUIRED", description="When the run began (UTC).")

SCHEMA: Final = (
    *_KEY,
    bigquery.SchemaField("contract", "STRING", description="Contract it follows; null without one."),
    bigquery.SchemaField("verdict", "STRING", "REQUIRED", description="equal, different or unreadable."),
    bigquery.SchemaField("outcome", "STRING", description="passed or failed: the verdict, by the thresholds."),
    bigquery.SchemaField("reason", "STRING", description="Why it was unreadable."),
    _STARTED,
    bigquery.SchemaField("seconds", "FLOAT64", description="Seconds spent reading and comparing."),
    bigquery.SchemaField("mode", "STRING", description="How it was compared; null when it was not."),
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
    bigquery.SchemaField("decisions", "JSON", description="Thresholds applied, each with what was measured."),
    bigquery.SchemaField("causes", "JSON", description="Likely causes, without any value of a row."),
    bigquery.SchemaField("inputs", "JSON", description="What was read: table, filters, instant, objects, ETags."),
    bigquery.SchemaField("versions", "JSON", description="Versions of what made the comparison."),
    bigquery.SchemaField("duplicated_warehouse", "INT64", description="Rows the warehouse holds under doubled keys."),
    bigquery.SchemaField("duplicated_snapshot", "INT64", description="Rows the snapshot holds under doubled keys."),
    bigquery.SchemaField("in_flight_warehouse", "INT64", description="Rows the warehouse holds under keys in flight."),
    bigquery.SchemaField("in_flight_snapshot", "INT64", description="Rows the snapshot holds under keys in flight."),
    bigquery.SchemaField("why", "STRING", description="Why it was compared in that mode."),
    bigquery.SchemaField("evidence", "JSON", description="By what a mode that joins not every row found."),
    bigquery.SchemaField("snapshot_manifest", "JSON", description="The snapshot's manifest, in the version read."),
)
"""Columns that came later stand at the end, where BigQuery adds them."""

COLUMNS_SCHEMA: Final = (
    *_KEY,
    _STARTED,
    bigquery.SchemaField("column_name", "STRING", "REQUIRED", description="Column of the warehouse."),
    bigquery.SchemaField("snapshot_name", "STRING", description="Its name in the snapshot."),
    bigquery.SchemaField("data_type", "STRING", description="Type both sides were compared in."),
    bigquery.SchemaField("is_key", "BOOL", description="Whether it belongs to the key."),
    bigquery.SchemaField("rule", "STRING", description="The rule, in words."),
    bigquery.SchemaField("changed", "INT64", description="Changed rows that differ in it; never capped."),
    bigquery.SchemaField("rate", "FLOAT64", description="Their share of the keys both sides hold once, from 0 to 1."),
    bigquery.SchemaField("cause", "STRING", description="What they probably come from; null when nothing is plain."),
)

DIFFERENCES_SCHEMA: Final = (
    *_KEY,
    _STARTED,
    bigquery.SchemaField("kind", "STRING", "REQUIRED", description="changed, missing, extra, duplicated or in_flight."),
    bigquery.SchemaField("key", "JSON", description="The key's columns; personal ones only as what they are."),
    bigquery.SchemaField("changes", "JSON", description="Columns that differ, both values; personal ones masked."),
    bigquery.SchemaField("warehouse_rows", "INT64", description="Rows the warehouse holds under the key."),
    bigquery.SchemaField("snapshot_rows", "INT64", description="Rows the snapshot holds under the key."),
)


def audit_rows(result: RunResult) -> list[dict[str, Any]]:
    """Return a run as rows of `reconciliation_runs`, as JSON values.

    Args:
        result: the run.

    Returns:
        One row for each comparison. No value of any compared row is in them.
    """
    return [_row(result, comparison) for comparison in result.comparisons]


def column_rows(result: RunResult) -> list[dict[str, Any]]:
    """Return a run as rows of `reconciliation_columns`, as JSON values.

    Args:
        result: the run.

    Returns:
        One row for each compared column of each comparison, and for each that was left out.
    """
    return [row for comparison in result.comparisons for row in _columns(result, comparison)]


def difference_rows(result: RunResult) -> list[dict[str, Any]]:
    """Return a run as rows of `reconciliation_differences`, as JSON values.

    Args:
        result: the run.

    Returns:
        One row for each difference that the report shows, masked as there.
    """
    return [_difference(result, comparison, found) for comparison in result.comparisons for found in comparison.sample]


def _table(name: str, description: str, schema: tuple[bigquery.SchemaField, ...]) -> AuditTable:
    return AuditTable(name, description, schema, PARTITION_COLUMN)


TABLES: Final = (
    _table(
        "reconciliation_columns",
        "One row for each compared column of each comparison; append-only.",
        COLUMNS_SCHEMA,
    ),
    _table(
        "reconciliation_differences",
        "The first differences of each kind of each comparison, personal values masked; append-only.",
        DIFFERENCES_SCHEMA,
    ),
    _table(TABLE, "One row for each comparison of the warehouse with a snapshot; append-only.", SCHEMA),
)
"""The trail's tables; that of the runs last, so that a run that stands there is there with all its details."""

_ROWS: Final[Mapping[str, Callable[[RunResult], list[dict[str, Any]]]]] = {
    "reconciliation_columns": column_rows,
    "reconciliation_differences": difference_rows,
    TABLE: audit_rows,
}
"""A run as rows of each of them."""


def append_run(client: bigquery.Client, settings: Settings, result: RunResult) -> None:
    """Append a run to the audit trail: a load job a table, named after the run, that happens once or not at all.

    Args:
        client: where to write.
        settings: the audit dataset and the environment.
        result: the run.

    Raises:
        UnavailableError: when BigQuery refuses, with what to do about it.
    """
    for table in TABLES:
        job_id = f"reconcile-{_attempt(result)}" + ("" if table.name == TABLE else f"-{table.name}")
        try:
            append(client, settings, table, _ROWS[table.name](result), job_id)
        except UnavailableError as error:
            raise UnavailableError(f"{error}; `--no-audit` leaves them out") from error


def _attempt(result: RunResult) -> str:
    """Return what names the jobs: the run, and why it is not whole, for it may be made again until it is."""
    if result.verdict != "unreadable":
        return result.run_id
    told = [(found.name, found.verdict, found.reason) for found in result.comparisons]
    return f"{result.run_id}-{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}"


def _row(result: RunResult, comparison: ComparisonResult) -> dict[str, Any]:
    counts = comparison.counts
    return {
        **_identity(result, comparison),
        "contract": comparison.contract,
        "verdict": comparison.verdict,
        "outcome": comparison.outcome,
        "reason": comparison.reason,
        "seconds": round(comparison.timing.read_s + comparison.timing.compare_s, 3),
        "mode": comparison.mode,
        "snapshot_uri": result.snapshot.uri,
        "snapshot_id": result.snapshot.snapshot_id,
        "snapshot_taken_at": result.snapshot.taken_at,
        **{name: getattr(counts, name) if counts else None for name in _COUNTED},
        "changed_columns": {column.name: column.changed for column in comparison.columns if column.changed},
        "decisions": [asdict(decision) for decision in comparison.decisions],
        "causes": [asdict(cause) for cause in comparison.causes],
        "inputs": comparison.inputs,
        "versions": asdict(result.versions),
        "why": comparison.why or None,
        "evidence": _evidence(comparison.evidence),
        "snapshot_manifest": result.snapshot.manifest,
    }


def _evidence(found: Evidence | None) -> dict[str, Any] | None:
    """Return what a verdict rests on; of a measure no value, for a least and a greatest are values of rows."""
    if found is None:
        return None
    return {
        "words": found.words,
        "rate_low": found.rate_low,
        "rate_high": found.rate_high,
        "measures": [{"name": measure.name, "agrees": measure.agrees} for measure in found.measures],
    }


def _columns(result: RunResult, comparison: ComparisonResult) -> Iterator[dict[str, Any]]:
    causes = {cause.column: cause.name for cause in comparison.causes}
    for column in comparison.columns:
        yield {
            **_identity(result, comparison),
            "column_name": column.name,
            "snapshot_name": column.snapshot_name,
            "data_type": column.data_type,
            "is_key": column.is_key,
            "rule": column.rule,
            "changed": column.changed,
            "rate": column.rate,
            "cause": causes.get(column.name),
        }
    for left_out in comparison.not_compared:
        side, _, told = left_out.partition(".")
        name, _, note = told.partition(" ")
        yield {
            **_identity(result, comparison),
            "column_name": name,
            "snapshot_name": name if side == "snapshot" else None,
            "rule": f"left out of the {side} {note}".strip(),
        }


def _difference(result: RunResult, comparison: ComparisonResult, found: Difference) -> dict[str, Any]:
    return {
        **_identity(result, comparison),
        "kind": found.kind,
        "key": {part.column: part.value for part in found.key},
        "changes": [asdict(change) for change in found.changes],
        "warehouse_rows": found.warehouse_rows,
        "snapshot_rows": found.snapshot_rows,
    }


def _identity(result: RunResult, comparison: ComparisonResult) -> dict[str, Any]:
    return {"run_id": result.run_id, "comparison": comparison.name, "started_at": result.started_at}


_COUNTED: Final = tuple(field.name for field in SCHEMA if field.name in Counts.__dataclass_fields__)
"""Counts that are columns of the table."""
