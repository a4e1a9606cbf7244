"""Writing, and asking, which objects were loaded."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from google.cloud import bigquery

from core.clients import bigquery_client
from core.clock import to_micros
from core.identifiers import qualified
from core.settings import Settings
from ingest.append import TableWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.bigquery_errors import told
from ingest.context import RunContext
from ingest.files.objects import ObjectLedger
from ingest.files.table import LOADED_FILE_TYPE, LOADED_FILES

_log = structlog.get_logger(__name__)

_ASKED_AT_ONCE: Final = 1_000
_QUERY_TIMEOUT_S: Final = 60.0


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


class LoadedRows(NamedTuple):
    """What is known of a version of an object that is over.

    Attributes:
        state: `loaded`, unless that never was.
        row_count: rows read.
    """

    state: str
    row_count: int


def loaded_rows(settings: Settings, uris: Sequence[str]) -> dict[tuple[str, str], LoadedRows]:
    """Return how many rows of some objects were loaded. Blocks.

    Args:
        settings: where BigQuery is.
        uris: of the objects.

    Returns:
        By URI and version; nothing of those that are not over.

    Raises:
        ConfigurationError: when the table that tells is not there, or may not be read.
        UnavailableError: when BigQuery does not answer.
    """
    # Of a version that was loaded more than once, an attempt that came to its end counts.
    columns = "min(state) as state, max(row_count) as row_count"
    found = _asked(settings, uris, columns)
    return {(row["uri"], row["version"]): LoadedRows(row["state"], row["row_count"]) for row in found}


def loaded_versions(settings: Settings, uris: Sequence[str]) -> set[tuple[str, str]]:
    """Return which versions of some objects were loaded already. Blocks.

    Args:
        settings: where BigQuery is.
        uris: of the objects.

    Returns:
        Pairs of URI and version.

    Raises:
        ConfigurationError: when the table that tells is not there, or may not be read.
        UnavailableError: when BigQuery does not answer.
    """
    return {(row["uri"], row["version"]) for row in _asked(settings, uris, "count(*) as times")}


def _asked(settings: Settings, uris: Sequence[str], columns: str) -> list[Any]:
    """Ask for the versions of some objects, with further columns over the records of each."""
    table = qualified(settings.project, settings.audit_dataset, LOADED_FILES.name)
    statement = f"select uri, version, {columns} from {table} where uri in unnest(@uris) group by uri, version"  # noqa: S608 - identifiers are checked
    found: list[Any] = []
    client = bigquery_client(settings)
    try:
        for first in range(0, len(uris), _ASKED_AT_ONCE):
            asked = bigquery.ArrayQueryParameter("uris", "STRING", uris[first : first + _ASKED_AT_ONCE])
            # A cached answer might be older than what was recorded a moment ago.
            config = bigquery.QueryJobConfig(query_parameters=[asked], use_query_cache=False)
            with told(f"asking {table} which files were loaded"):
                found += client.query_and_wait(statement, job_config=config, api_timeout=_QUERY_TIMEOUT_S)
    finally:
        client.close()
    return found
