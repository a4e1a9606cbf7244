"""The table of loaded files: which object, in which version, was loaded by which run, with how many rows.

It is what people look at, and what a listing is held against: an object that stands there is not loaded again.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery

from core.clients import bigquery_client
from core.clock import to_micros
from core.errors import UnavailableError
from core.identifiers import qualified
from core.settings import Settings
from ingest.append import TableWriter
from ingest.audit_tables import AuditColumn, AuditTable
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.files.objects import ObjectLedger
from ingest.proto import RowType, row_type

_log = structlog.get_logger(__name__)

_ASKED_AT_ONCE: Final = 1_000
_QUERY_TIMEOUT_S: Final = 60.0

LOADED_FILES: Final = AuditTable(
    "loaded_files",
    "Objects that were loaded: one row each, written once every row of the object was landed or dead-lettered. "
    "Append-only.",
    (
        AuditColumn("uri", "STRING", True, "Where the object lies."),
        AuditColumn("version", "STRING", True, "Its generation (Cloud Storage), or ETag (S3, files)."),
        AuditColumn("state", "STRING", True, "loaded, superseded (replaced before it was read) or unreadable."),
        AuditColumn("table_name", "STRING", False, "Raw table of its rows; null when no contract claims it."),
        AuditColumn("row_count", "INT64", True, "Rows read, those that were dead-lettered included."),
        AuditColumn("byte_count", "INT64", False, "Length of the object, in bytes."),
        AuditColumn("error", "STRING", False, "Why it is unreadable."),
        AuditColumn("modified_at", "TIMESTAMP", False, "When this version was written (UTC)."),
        AuditColumn("loaded_at", "TIMESTAMP", True, "When the last of it was settled (UTC); the partition."),
        AuditColumn("load_id", "STRING", True, "Run of the ingester."),
    ),
    partition_by="loaded_at",
    clustering=("uri",),
)
LOADED_FILE_TYPE: Final[RowType] = row_type("LoadedFile", LOADED_FILES.columns)


class LoadRecords:
    """Writes a row for each object that is over, then has its source told."""

    def __init__(self, writer: TableWriter, done: Callable[[ObjectLedger], None], context: RunContext) -> None:
        """Prepare to write.

        Args:
            writer: appends to `audit.loaded_files`.
            done: told of each object whose row is confirmed.
            context: the run.
        """
        self._writer = writer
        self._done = done
        self._context = context
        limits = BatchLimits(context.settings.batch_rows, context.settings.batch_wait_ms / 1_000)
        self._batches: MicroBatches[ObjectLedger] = MicroBatches(self._write, limits, context.fail)

    @property
    def is_empty(self) -> bool:
        """Whether every row has been confirmed."""
        return self._batches.is_empty

    def add(self, ledger: ObjectLedger) -> None:
        """Write an object's row, soon.

        Args:
            ledger: of the object; it is over.
        """
        self._batches.add(ledger)

    async def drain(self) -> None:
        """Return when every row has been confirmed."""
        await self._batches.drain()

    async def _write(self, ledgers: list[ObjectLedger]) -> None:
        rows = sum(ledger.rows for ledger in ledgers)
        self._context.failpoint.hit("before_ack", rows)
        now = to_micros(self._context.clock())
        refused = await self._writer.append([_row(ledger, now, self._context.progress.load_id) for ledger in ledgers])
        for place, words in refused.items():
            # The rows themselves have landed; what is missing is the note, so the object may be loaded once more.
            _log.error("load record refused", uri=ledgers[place].found.uri, error=words)
        self._context.progress.acked += rows
        self._context.failpoint.hit("after_ack", rows)
        for ledger in ledgers:
            self._done(ledger)


def _row(ledger: ObjectLedger, now: int, load_id: str) -> bytes:
    row: bytes = LOADED_FILE_TYPE.message_class(
        uri=ledger.found.uri,
        version=ledger.found.version,
        state=ledger.state,
        table_name=ledger.table,
        row_count=ledger.rows,
        byte_count=None if ledger.ref is None else ledger.ref.size,
        error=ledger.error or None,
        modified_at=None if ledger.ref is None else ledger.ref.modified_us,
        loaded_at=now,
        load_id=load_id,
    ).SerializeToString()
    return row


def loaded_versions(settings: Settings, uris: Sequence[str]) -> set[tuple[str, str]]:
    """Return which versions of some objects were loaded already. Blocks.

    Args:
        settings: where BigQuery is.
        uris: of the objects.

    Returns:
        Pairs of URI and version.

    Raises:
        UnavailableError: when BigQuery does not answer.
    """
    table = qualified(settings.project, settings.audit_dataset, LOADED_FILES.name)
    found: set[tuple[str, str]] = set()
    client = bigquery_client(settings)
    try:
        for first in range(0, len(uris), _ASKED_AT_ONCE):
            asked = bigquery.ArrayQueryParameter("uris", "STRING", uris[first : first + _ASKED_AT_ONCE])
            rows = client.query_and_wait(
                f"select distinct uri, version from {table} where uri in unnest(@uris)",  # noqa: S608 - identifiers are checked
                job_config=bigquery.QueryJobConfig(query_parameters=[asked]),
                api_timeout=_QUERY_TIMEOUT_S,
            )
            found.update((row["uri"], row["version"]) for row in rows)
    except (GoogleAPIError, OSError) as error:
        raise UnavailableError(f"{table} cannot be asked which files were loaded: {error}") from error
    finally:
        client.close()
    return found
