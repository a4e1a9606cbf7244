"""Landing: rows gathered per table, appended, and only then acknowledged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from core.clock import to_micros
from ingest.append import MAX_ROW_BYTES, BatchWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.encode import Encoder
from ingest.leases import Leases
from ingest.message import Message, size_of
from ingest.oversize import Oversize
from ingest.pace import Pace, PaceLimits
from ingest.row import Landing, RawRow


class LandingObserver(Protocol):
    """Whoever wants to know what became of a table's rows."""

    def landed(self, landings: Sequence[Landing]) -> None:
        """Take note of rows whose append was confirmed.

        Args:
            landings: the rows.
        """

    def lost(self, landings: Sequence[Landing]) -> None:
        """Take note of rows that will not land.

        Args:
            landings: the rows.
        """


def attributes_of(landings: Sequence[Landing]) -> Iterator[Mapping[str, str]]:
    """Yield the attributes of rows' messages, for tracing.

    Args:
        landings: the rows.
    """
    return (landing.message.attributes for landing in landings)


class TableLanding:
    """Appends the rows of one table."""

    def __init__(
        self,
        table: str,
        writer: BatchWriter,
        dead_letters: DeadLetters,
        leases: Leases,
        context: RunContext,
        *,
        encode: Encoder,
        oversize: Oversize,
    ) -> None:
        """Prepare to append.

        Args:
            table: name of the table, for counting.
            writer: appends to it.
            dead_letters: takes the rows that BigQuery refuses.
            leases: acknowledges what has landed.
            context: the run.
            encode: makes of rows what is appended.
            oversize: takes the rows that no append can carry.
        """
        self.table = table
        self._oversize = oversize
        self._writer = writer
        self._dead_letters = dead_letters
        self._leases = leases
        self._context = context
        self._encode = encode
        self._observers: list[LandingObserver] = []
        settings = context.settings
        wait_s, least_s = settings.batch_wait_ms / 1_000, settings.batch_wait_min_ms / 1_000
        limits = BatchLimits(
            settings.batch_rows,
            wait_s,
            settings.batch_bytes,
            settings.append_concurrency,
            settings.batch_rows_max,
        )
        pace = Pace(PaceLimits(wait_s, min(wait_s, least_s), settings.latency_goal_ms / 1_000))
        self.batches: MicroBatches[Landing] = MicroBatches(self._append, limits, context.fail, pace)

    def observe(self, observer: LandingObserver) -> None:
        """Tell somebody of every row that has landed, or will not, from now on.

        Args:
            observer: is told.
        """
        self._observers.append(observer)

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
        self.batches.add_all(landings, size_of([landing.message for landing in landings]))

    def give_up(self, landing: Landing, reason: str, words: str) -> None:
        """Dead-letter the message of a row that cannot be appended.

        Args:
            landing: the row with its message.
            reason: a stable code.
            words: the error in words.
        """
        self._tell_lost(landing)
        self._dead_letters.add(DeadLetter(landing.message, reason, words, self.table))

    def give_back(self, landing: Landing) -> None:
        """Have the message of a row that cannot be appended for now delivered again.

        Args:
            landing: the row with its message.
        """
        self._tell_lost(landing)
        self._leases.release((landing.message,))

    def _tell_lost(self, landing: Landing) -> None:
        for observer in self._observers:
            observer.lost((landing,))

    async def close(self) -> None:
        """Close the connection to the table."""
        await self._writer.close()

    async def _append(self, landings: list[Landing]) -> None:
        self._context.failpoint.hit("before_append", len(landings))
        rows = [landing.row for landing in landings]
        encoded = self._encode(rows, to_micros(self._context.clock()))
        if encoded.size > MAX_ROW_BYTES:
            sizes = encoded.row_sizes()
            kept = [place for place, size in enumerate(sizes) if size <= MAX_ROW_BYTES]
            for place, size in enumerate(sizes):
                if size > MAX_ROW_BYTES:
                    self._oversize.add(landings[place], size, self)
            encoded, landings = encoded.take(kept), [landings[place] for place in kept]
        context = self._context
        with context.tracing.span("append", attributes_of(landings), table=self.table, rows=len(landings)):
            refused = await self._writer.append(encoded)
        self._context.failpoint.hit("after_append", len(landings))
        for place, words in refused.items():
            self.give_up(landings[place], "refused_by_bigquery", words)
        if refused:
            landings = [landing for place, landing in enumerate(landings) if place not in refused]
        context.progress.land(self.table, len(landings))
        published = [landing.message.publish_ts for landing in landings]
        context.measures.landed(self.table, published, to_micros(context.clock()))
        for observer in self._observers:
            observer.landed(landings)
        with context.tracing.span("settle", attributes_of(landings), table=self.table, rows=len(landings)):
            self._leases.settle([landing.message for landing in landings])
