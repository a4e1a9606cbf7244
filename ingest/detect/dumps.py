"""Full dumps: a complete copy of a table, whose end says that what it did not hold is gone.

Every message of a dump carries the attribute `millrace_dump_id`. A row needs nothing else. The end is a message with
`millrace_dump=end` and, in `millrace_dump_rows`, the number of rows; `millrace_dump=begin` may announce it. Markers
hold no row: their body is not read.

All rows of a dump land with its id as their position, so the raw table itself knows which of them have landed: nothing
is kept in memory, and neither restarts nor repetitions nor the order of arrival matter.
"""

import asyncio
from typing import Final, Literal

import msgspec
import structlog

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.dead_letters import DeadLetter
from ingest.detect.detector import CDCDetector
from ingest.detect.outcome import Downstream, inferred_message
from ingest.detect.positions import DUMP_ID, dump_position
from ingest.detect.warehouse import RawTables
from ingest.message import Message
from ingest.row import Landing, RawRow

_log = structlog.get_logger(__name__)

DUMP_MARKER: Final = "millrace_dump"
DUMP_ROWS: Final = "millrace_dump_rows"

_LOOKS: Final = 9
"""How often the table is looked at while a dump is incomplete, at doubling distances."""

_CHUNK_ROWS: Final = 5_000


class DumpMarker(msgspec.Struct, frozen=True):
    """A message that begins or ends a dump.

    Attributes:
        message: the message.
        kind: which of the two.
        dump: position of the dump's rows.
        rows: how many rows it has; None at its beginning.
    """

    message: Message
    kind: Literal["begin", "end"]
    dump: str
    rows: int | None


def dump_marker(message: Message) -> DumpMarker | None:
    """Read a marker.

    Args:
        message: any message of a table that comes as full dumps.

    Returns:
        The marker; None when the message is none.

    Raises:
        DecodeError: `invalid_dump_marker`, `missing_dump_id` or `invalid_dump_id`.
    """
    kind = message.attributes.get(DUMP_MARKER)
    if kind is None:
        return None
    dump_id = message.attributes.get(DUMP_ID)
    if dump_id is None:
        raise DecodeError("missing_dump_id", f"the marker of a full dump needs the attribute {DUMP_ID}")
    dump = dump_position(dump_id)
    if kind == "begin":
        return DumpMarker(message, "begin", dump, None)
    rows = message.attributes.get(DUMP_ROWS, "")
    if kind != "end" or not rows.isascii() or not rows.isdigit():
        raise DecodeError(
            "invalid_dump_marker", f"{DUMP_MARKER} must be begin or end, and an end needs a number in {DUMP_ROWS}"
        )
    return DumpMarker(message, "end", dump, int(rows))


class DumpEnds:
    """Ends the dumps of one table: deletes what a complete one did not hold, and reports an incomplete one."""

    def __init__(
        self, contract: TableContract, warehouse: RawTables, detector: CDCDetector, downstream: Downstream
    ) -> None:
        """Prepare to end dumps.

        Args:
            contract: the table.
            warehouse: knows what has landed.
            detector: of the table; takes note of what is deleted.
            downstream: lands the deletions and settles the ends; the end of an incomplete dump becomes a dead letter,
                so that it can be sent again once the rows are there.
        """
        self._contract = contract
        self._warehouse = warehouse
        self._detector = detector
        self._downstream = downstream
        self._context = downstream.context

    async def end(self, marker: DumpMarker) -> None:
        """End a dump.

        Args:
            marker: its end.

        Raises:
            MillraceError: when the table cannot be asked; the marker stays in flight.
        """
        landed = await self._wait_for_rows(marker)
        if landed != marker.rows:
            self._report(marker, f"{landed} of {marker.rows} rows have landed; nothing was deleted")
            return
        absent = await self._warehouse.absent(self._contract, marker.dump)
        for start in range(0, len(absent), _CHUNK_ROWS):
            rows = [self._deletion(marker, number, key) for number, key in absent[start : start + _CHUNK_ROWS]]
            done = self._downstream.outcomes.of(rows)
            self._detector.note(rows)
            self._downstream.land(rows)
            if not await done:
                self._report(marker, "a deletion was refused; see the dead letters whose id begins with this one's")
                return
            self._context.progress.inferred["DELETE"] += len(rows)
        self._context.progress.dumps["complete"] += 1
        self._context.progress.control += 1
        _log.info("dump ended", table=self._contract.name, dump=marker.dump, rows=landed, deleted=len(absent))
        self._downstream.leases.settle((marker.message,))

    async def _wait_for_rows(self, marker: DumpMarker) -> int:
        """Return how many rows have landed, once they are as many as announced or patience has run out."""
        patience_s = self._context.settings.dump_patience_s
        wait_s, waited_s = patience_s / 2**_LOOKS, 0.0
        while True:
            landed = await self._warehouse.dump_rows(self._contract, marker.dump)
            if landed == marker.rows or waited_s >= patience_s:
                return landed
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            wait_s *= 2

    def _report(self, marker: DumpMarker, words: str) -> None:
        self._context.progress.dumps["incomplete"] += 1
        _log.warning("dump incomplete", table=self._contract.name, dump=marker.dump, reason=words)
        letter = DeadLetter(marker.message, "dump_incomplete", words, self._contract.name)
        self._downstream.dead_letters.add(letter)

    def _deletion(self, marker: DumpMarker, number: int, key: bytes) -> Landing:
        message = marker.message
        event_id = f"{message.event_id}:{number}"
        row = RawRow(
            op="DELETE",
            op_inferred=True,
            source_system=self._contract.topic.partition(".")[0],
            source_table=self._contract.name,
            event_id=event_id,
            load_id=self._context.progress.load_id,
            publish_ts=message.publish_ts,
            key=key,
            source_position=marker.dump,
            source_sequence=0,
        )
        return Landing(inferred_message(message, event_id), row)
