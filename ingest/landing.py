"""Landing: rows gathered per table, appended, and only then acknowledged."""

from collections.abc import Mapping, Sequence

from core.clock import to_micros
from ingest.append import MAX_ROW_BYTES, TableWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.leases import Leases
from ingest.message import Message
from ingest.row import Landing, RawRow, encode_rows


class TableLanding:
    """Appends the rows of one table."""

    def __init__(
        self,
        table: str,
        writer: TableWriter,
        dead_letters: DeadLetters,
        leases: Leases,
        context: RunContext,
    ) -> None:
        """Prepare to append.

        Args:
            table: name of the table, for counting.
            writer: appends to it.
            dead_letters: takes the rows that BigQuery refuses.
            leases: acknowledges what has landed.
            context: the run.
        """
        self._table = table
        self._writer = writer
        self._dead_letters = dead_letters
        self._leases = leases
        self._context = context
        settings = context.settings
        limits = BatchLimits(
            settings.batch_rows, settings.batch_wait_ms / 1_000, settings.batch_bytes, settings.append_concurrency
        )
        self.batches: MicroBatches[Landing] = MicroBatches(self._append, limits, context.fail)

    def add(self, message: Message, row: RawRow) -> None:
        """Append a row, soon.

        Args:
            message: acknowledged once the row is confirmed.
            row: the row.
        """
        self.batches.add(Landing(message, row), len(row.payload or b"") + len(row.before or b"") + 256)

    def add_all(self, landings: Sequence[Landing]) -> None:
        """Append rows that were decoded together, soon.

        Args:
            landings: the rows with their messages, in order; a row is not larger than its message, more or less.
        """
        self.batches.add_all(landings, sum([landing.message.size for landing in landings]))

    async def close(self) -> None:
        """Close the connection to the table."""
        await self._writer.close()

    async def _append(self, landings: list[Landing]) -> None:
        self._context.failpoint.hit("before_append", len(landings))
        encoded = encode_rows([landing.row for landing in landings], to_micros(self._context.clock()))
        landings, encoded = self._without_large(landings, encoded)
        refused = await self._writer.append(encoded)
        self._context.failpoint.hit("after_append", len(landings))
        self._settle(landings, refused)

    def _without_large(self, landings: list[Landing], encoded: list[bytes]) -> tuple[list[Landing], list[bytes]]:
        if max(map(len, encoded)) <= MAX_ROW_BYTES:
            return landings, encoded
        kept = []
        for landing, row in zip(landings, encoded, strict=True):
            if len(row) <= MAX_ROW_BYTES:
                kept.append((landing, row))
            else:
                self._give_up(landing, "row_too_large", f"the row has {len(row)} bytes, over {MAX_ROW_BYTES}")
        return [landing for landing, _ in kept], [row for _, row in kept]

    def _settle(self, landings: list[Landing], refused: Mapping[int, str]) -> None:
        for place, words in refused.items():
            self._give_up(landings[place], "refused_by_bigquery", words)
        landed = [landing.message for place, landing in enumerate(landings) if place not in refused]
        self._context.progress.land(self._table, len(landed))
        self._leases.settle(landed)

    def _give_up(self, landing: Landing, reason: str, words: str) -> None:
        self._dead_letters.add(DeadLetter(landing.message, reason, words, self._table))
