"""Taking in again what was dead-lettered out of files, by a run of the ingester's own stages.

A row is landed from the bytes that were kept, under the id and with the instant it had: it takes the place of its first
reading, and the zones know it for the same should it land twice. A letter about a whole object, or about the marker of
a full dump, has the object read again. A letter enters the ledger once what it is about has landed; what cannot be
landed still is a dead letter once more, under the same id, and stays to be replayed.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import structlog

from core.clock import to_micros
from core.errors import UnreadableError
from ingest.append import TableWriter
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters.archive import Archive, Letter
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.origin import is_object, is_row, object_of
from ingest.dead_letters.outcome import ledger_row
from ingest.dead_letters.writer import DeadLetter
from ingest.files.named import NamedObjects
from ingest.files.objects import FoundObject
from ingest.message import Message

_log = structlog.get_logger(__name__)

NAME: Final = "dead letters"
"""Name of the transport that brings the rows."""


@dataclass
class Tally:
    """What has become of the letters so far.

    Attributes:
        replayed: letters in the ledger.
        unreadable: by id, those whose body cannot be read, with the reason in words.
        refused: by id, those that cannot be landed, with the reason in words.
    """

    replayed: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class LetterLedger:
    """Writes the ledger of letters that have landed: `ingest.finite.Settlements`."""

    def __init__(
        self, writer: TableWriter, replay_id: str, tally: Tally, report: Callable[[int], None], context: RunContext
    ) -> None:
        """Prepare to write.

        Args:
            writer: appends to `audit.dead_letter_replays`.
            replay_id: what to call this.
            tally: counts.
            report: told how many letters were dealt with.
            context: the run.
        """
        self._writer = writer
        self._replay_id = replay_id
        self._tally = tally
        self._report = report
        self._context = context
        self._open: dict[str, list[Letter]] = {}
        limits = BatchLimits(context.settings.batch_rows, context.settings.batch_wait_ms / 1_000)
        self._batches: MicroBatches[Letter] = MicroBatches(self._write, limits, context.fail)

    @property
    def is_empty(self) -> bool:
        """See `Settlements.is_empty`."""
        return self._batches.is_empty

    def expect(self, letter: Letter) -> None:
        """Take note of a letter that is being taken in.

        Args:
            letter: which one.
        """
        self._open.setdefault(letter.event_id, []).append(letter)

    def given_up(self, letters: Sequence[DeadLetter]) -> None:
        """Take note of what became a dead letter once more.

        Args:
            letters: these.
        """
        for one in letters:
            if one.message.event_id in self._open:
                self._tally.refused[one.message.event_id] = f"{one.reason}: {one.error}"

    def settle(self, event_ids: Sequence[str]) -> None:
        """See `Settlements.settle`: what was not given up once more has landed."""
        for event_id in event_ids:
            letters = self._open.pop(event_id, [])
            if event_id in self._tally.refused:
                self._report(len(letters))
            else:
                self._batches.add_all(letters)

    async def drain(self) -> None:
        """See `Settlements.drain`."""
        await self._batches.drain()

    async def _write(self, letters: list[Letter]) -> None:
        now = to_micros(self._context.clock())
        rows = [ledger_row(letter, letter.event_id, self._replay_id, now) for letter in letters]
        self._context.failpoint.hit("before_ack", len(letters))
        refused = await self._writer.append(rows)
        self._context.failpoint.hit("after_ack", len(letters))
        for place, words in refused.items():
            # The row itself has landed; what is missing is the note, so the letter may be landed once more.
            _log.error("replay record refused", event_id=letters[place].event_id, error=words)
        self._tally.replayed += len(letters)
        self._report(len(letters))


@dataclass(frozen=True)
class LetterReader:
    """Reads letters back, and says of each how it is taken in.

    Attributes:
        archive: the letters.
        filters: which are meant.
        place: the URI that files are read from.
        topics: those that have a table.
        objects: takes the letters about objects.
        ledger: told of everything that is taken in.
        tally: told of what is not.
        report: told how many letters were dealt with.
    """

    archive: Archive
    filters: Filters
    place: str
    topics: frozenset[str]
    objects: NamedObjects
    ledger: LetterLedger
    tally: Tally
    report: Callable[[int], None]

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Yield the rows as they were read, in the order in which they were: `ingest.finite.Batches`."""
        totals = await asyncio.to_thread(self.archive.totals, self.filters)
        pages = self.archive.letters(self.filters, totals.largest_bytes)
        while page := await asyncio.to_thread(next, pages, None):
            rows = [row for letter in page if (row := await self._take(letter)) is not None]
            for _, batch in groupby(rows, key=lambda row: row.topic):
                yield list(batch)

    async def _take(self, letter: Letter) -> Message | None:
        """Return the row that a letter is; None when it is an object, or cannot be taken in."""
        if (words := self._obstacle(letter)) is not None:
            self.tally.refused[letter.event_id] = words
        elif not is_row(letter.event_id):
            self._read_again(letter)
            return None
        else:
            try:
                return await self._row(letter)
            except UnreadableError as error:
                self.tally.unreadable[letter.event_id] = str(error)
        self.report(1)
        return None

    def _obstacle(self, letter: Letter) -> str | None:
        """Return why a letter cannot be taken in; None when nothing is known."""
        if is_row(letter.event_id):
            known = letter.topic in self.topics
            return None if known else f"no contract has the topic {letter.topic}; put it back, or export the letter"
        if not is_object(letter.event_id):
            return "came neither as a row of a file nor as a file; set MILLRACE_INGEST_TRANSPORT to where it came from"
        if object_of(letter.event_id, self.place) is None:
            return f"lies outside {self.place}; set MILLRACE_INGEST_FILES_URI to where it came from"
        return None

    async def _row(self, letter: Letter) -> Message:
        data = await asyncio.to_thread(self.archive.body, letter)
        self.ledger.expect(letter)
        instant_us = _instant_us(letter)
        return Message(NAME, letter.topic, letter.event_id, data, letter.attributes, letter.ordering_key, instant_us)

    def _read_again(self, letter: Letter) -> None:
        if (name := object_of(letter.event_id, self.place)) is not None:
            self.ledger.expect(letter)
            instant_us = _instant_us(letter)
            self.objects.add(FoundObject(*name, letter.data, letter.attributes, instant_us))


def _instant_us(letter: Letter) -> int:
    return 0 if letter.publish_ts is None else to_micros(letter.publish_ts)
