"""The ledger of repairs, `audit.reconciliation_repairs`: what was sent or applied, when, and for which run.

It is asked before a correction is published and written after. A crash between the two can cost a repetition, which
does no harm: the repeated event has the key, the place and the values of the first, and structure merges by these.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import UnavailableError
from core.identifiers import qualified
from core.settings import Settings
from reconcile.audit_tables import AuditTable, append

REPAIRS: Final = AuditTable(
    "reconciliation_repairs",
    "One row for each correction that was published, and each statement that was applied; append-only.",
    (
        bigquery.SchemaField("repair_id", "STRING", "REQUIRED", description="Call of `reconcile repair`."),
        bigquery.SchemaField("run_id", "STRING", "REQUIRED", description="Run that found the differences."),
        bigquery.SchemaField("comparison", "STRING", "REQUIRED", description="Name of the comparison."),
        bigquery.SchemaField("repaired_at", "TIMESTAMP", "REQUIRED", description="When it was done (UTC)."),
        bigquery.SchemaField("method", "STRING", "REQUIRED", description="republish or merge."),
        bigquery.SchemaField("kind", "STRING", description="changed, missing or extra; null for a statement of many."),
        bigquery.SchemaField(
            "digest", "STRING", "REQUIRED", description="SHA-256 of the record's key, or of the statement."
        ),
        bigquery.SchemaField("changed_rows", "INT64", description="Rows that a statement changed."),
        bigquery.SchemaField("event_id", "STRING", description="Pub/Sub id of a correction: its _event_id in raw."),
        bigquery.SchemaField("topic", "STRING", description="Topic it was published to."),
        bigquery.SchemaField("source_position", "STRING", description="Place in the source's log that it claims."),
        bigquery.SchemaField("source_sequence", "INT64", description="Order among changes of one position."),
    ),
    "repaired_at",
)


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; see the table's columns."""

    repair_id: str
    run_id: str
    comparison: str
    repaired_at: datetime
    method: Literal["republish", "merge"]
    digest: str
    kind: str | None = None
    changed_rows: int | None = None
    event_id: str | None = None
    topic: str | None = None
    source_position: str | None = None
    source_sequence: int | None = None


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal: no key and no value of a row stands in the ledger.

    Args:
        text: the record's key, or a statement.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def published_before(client: bigquery.Client, settings: Settings, run_id: str, comparison: str) -> frozenset[str]:
    """Return the digests of the corrections of a run that were published.

    Args:
        client: where the ledger is.
        settings: the project and the audit dataset.
        run_id: the run.
        comparison: the comparison.

    Returns:
        The digests; none when there is no ledger yet.

    Raises:
        UnavailableError: when BigQuery does not answer.
    """
    ledger = qualified(settings.project, settings.audit_dataset, REPAIRS.name)
    statement = (
        f"select digest from {ledger} "  # noqa: S608 - checked names; values are bound
        "where run_id = @run_id and comparison = @comparison and method = 'republish'"
    )
    values = {"run_id": run_id, "comparison": comparison}
    parameters = [bigquery.ScalarQueryParameter(name, "STRING", value) for name, value in values.items()]
    try:
        rows = client.query_and_wait(statement, job_config=bigquery.QueryJobConfig(query_parameters=parameters))
        return frozenset(row["digest"] for row in rows)
    except NotFound:
        return frozenset()
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{ledger}: does not say what was published before: {error}") from error


def enter(client: bigquery.Client, settings: Settings, entries: Sequence[Entry], part: str) -> None:
    """Append to the ledger.

    Args:
        client: where the ledger is.
        settings: the project, the audit dataset and the environment.
        entries: what was done in one call.
        part: which part of the call they are, for the name of the load job.

    Raises:
        UnavailableError: when BigQuery refuses; what was done is done.
    """
    if entries:
        rows = [{name: getattr(entry, name) for name in Entry.__dataclass_fields__} for entry in entries]
        append(client, settings, REPAIRS, rows, f"repair-{entries[0].repair_id}-{part}")
