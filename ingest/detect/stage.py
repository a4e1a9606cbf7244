"""The stage between decoding and landing, for a table whose messages do not say what happened."""

from collections.abc import Sequence

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.batches import BatchLimits, MicroBatches
from ingest.dead_letters import DeadLetter
from ingest.detect.detector import CDCDetector
from ingest.detect.dumps import DumpEnds, DumpMarker, dump_marker
from ingest.detect.outcome import Downstream
from ingest.detect.positions import positioner
from ingest.message import Message
from ingest.row import Landing


class ChangeDetection:
    """Gives the rows of one table their positions and operations, and ends its dumps."""

    def __init__(self, contract: TableContract, detector: CDCDetector, dumps: DumpEnds, downstream: Downstream) -> None:
        """Prepare to detect.

        Args:
            contract: the table; its pattern must not be `event`.
            detector: infers operations.
            dumps: ends full dumps.
            downstream: lands the rows, settles the beginnings of dumps, takes what belongs to no dump.
        """
        self._contract = contract
        self._detector = detector
        self._dumps = dumps
        self._downstream = downstream
        context = downstream.context
        self._progress = context.progress
        self._place = positioner(contract)
        settings = context.settings
        # One batch at a time: the next one is compared with what this one leads to.
        limits = BatchLimits(settings.batch_rows, settings.batch_wait_ms / 1_000, settings.batch_bytes, concurrency=1)
        self.batches: MicroBatches[Landing] = MicroBatches(self._resolve, limits, context.fail)
        self.ends: MicroBatches[DumpMarker] = MicroBatches(self._end, BatchLimits(1, 0.0), context.fail)

    def take_markers(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Take the markers of dumps out of what is to be decoded.

        Args:
            messages: what arrived together.

        Returns:
            The messages that hold rows.
        """
        if self._contract.pattern != "full_dump":
            return messages
        return [message for message in messages if not self._is_marker(message)]

    def add(self, landings: Sequence[Landing]) -> None:
        """Work out and land rows, soon.

        Args:
            landings: decoded rows.
        """
        for landing in landings:
            try:
                self._place(landing.message, landing.row)
            except DecodeError as error:
                self._refuse(landing.message, error)
                self._downstream.outcomes.lost((landing,))
            else:
                self.batches.add(landing, len(landing.row.payload or b""))

    async def drain(self) -> None:
        """Hand on everything that is held; what waits for the rest of its dump is not waited for."""
        await self.batches.drain()

    async def cancel(self) -> None:
        """Give up what is held."""
        await self.batches.cancel()
        await self.ends.cancel()

    def landed(self, landings: Sequence[Landing]) -> None:
        """Learn from rows of the table whose append was confirmed.

        Args:
            landings: the rows.
        """
        self._detector.landed(landings)
        self._downstream.outcomes.landed(landings)

    def lost(self, landings: Sequence[Landing]) -> None:
        """Forget rows of the table that will not land.

        Args:
            landings: the rows.
        """
        self._detector.lost(landings)
        self._downstream.outcomes.lost(landings)

    async def _resolve(self, landings: list[Landing]) -> None:
        self._downstream.land(await self._detector.resolve(landings))

    async def _end(self, markers: list[DumpMarker]) -> None:
        for marker in markers:
            await self._dumps.end(marker)

    def _is_marker(self, message: Message) -> bool:
        try:
            marker = dump_marker(message)
        except DecodeError as error:
            self._refuse(message, error)
            return True
        if marker is None:
            return False
        if marker.kind == "begin":
            self._progress.control += 1
            self._downstream.leases.settle((message,))
        else:
            self.ends.add(marker)
        return True

    def _refuse(self, message: Message, error: DecodeError) -> None:
        self._downstream.dead_letters.add(DeadLetter(message, error.reason, str(error), self._contract.name))
