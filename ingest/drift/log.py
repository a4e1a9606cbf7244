"""Writing schema drift to its audit table, beside the rows and never in their way."""

import structlog

from core.clock import to_micros
from core.errors import MillraceError
from ingest.append import TableWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.drift.samples import sample
from ingest.drift.table import SCHEMA_DRIFT_TYPE
from ingest.drift.watch import Drift

_log = structlog.get_logger(__name__)


class DriftLog:
    """Appends what the watches report to `audit.schema_drift`."""

    def __init__(self, writer: TableWriter, context: RunContext) -> None:
        """Prepare to write.

        Args:
            writer: appends to the table.
            context: the run.
        """
        self._writer = writer
        self._context = context
        settings = context.settings
        limits = BatchLimits(settings.batch_rows, settings.batch_wait_ms / 1_000)
        self.batches: MicroBatches[Drift] = MicroBatches(self._write, limits, context.fail)

    def add(self, drift: Drift) -> None:
        """Write a change down, soon; must be called in the event loop.

        Args:
            drift: the change, where it was first seen.
        """
        self.batches.add(drift)

    async def _write(self, drifts: list[Drift]) -> None:
        now = to_micros(self._context.clock())
        load_id = self._context.progress.load_id
        # Whatever fails here, the payloads have landed or are dead letters: only the notes about them are lost.
        try:
            refused = await self._writer.append([drift_row(drift, now, load_id) for drift in drifts])
        except MillraceError as error:
            _log.error("schema drift was not written down", changes=len(drifts), error=str(error))
            return
        for place, words in refused.items():
            _log.error("schema drift was refused", change=str(drifts[place].change), error=words)


def drift_row(drift: Drift, now: int, load_id: str) -> bytes:
    """Return the row of a change, serialised for the Storage Write API.

    Args:
        drift: the change.
        now: when it was seen, in microseconds since 1970 UTC.
        load_id: the run.
    """
    change = drift.change
    row: bytes = SCHEMA_DRIFT_TYPE.message_class(
        table_name=drift.contract.name,
        change=change.kind,
        field=change.field,
        expected_type=change.expected,
        seen_type=change.seen,
        sample=sample(drift),
        schema_fingerprint=drift.schema_fingerprint,
        first_seen=now,
        event_id=drift.event_id,
        load_id=load_id,
    ).SerializeToString()
    return row
