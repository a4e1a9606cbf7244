"""The way into a table: past change detection where messages do not say what happened, else straight to landing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.contracts import TableContract
from ingest.detect.detector import CDCDetector
from ingest.detect.dumps import DumpEnds
from ingest.detect.outcome import Downstream, Outcomes
from ingest.detect.stage import ChangeDetection
from ingest.detect.warehouse import RawTables
from ingest.landing import TableLanding
from ingest.message import Message
from ingest.row import Landing


@dataclass(frozen=True)
class Inlet:
    """Where the rows of a table go, whoever brings them.

    Attributes:
        land: takes rows, to be appended soon.
        outcomes: told of every row of the table that has landed, or will not.
        detection: works out what happened; None for a table whose messages say it.
    """

    land: Callable[[Sequence[Landing]], None]
    outcomes: Outcomes
    detection: ChangeDetection | None = None

    def take_markers(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Take the markers of dumps out of what is to be decoded.

        Args:
            messages: what arrived together.

        Returns:
            The messages that hold rows.
        """
        return messages if self.detection is None else self.detection.take_markers(messages)

    async def drain(self) -> None:
        """Hand on everything that is held."""
        if self.detection is not None:
            await self.detection.drain()

    async def cancel(self) -> None:
        """Give up what is held."""
        if self.detection is not None:
            await self.detection.cancel()


def open_inlet(
    contract: TableContract, table: TableLanding, warehouse: RawTables | None, downstream: Downstream
) -> Inlet:
    """Return the way into a table, told from now on what becomes of its rows.

    Args:
        contract: the table; its pattern decides.
        table: appends the rows.
        warehouse: knows the rows that have landed; None when no table needs to know.
        downstream: what comes after detection.

    Returns:
        The way.
    """
    if contract.pattern == "event" or warehouse is None:
        table.observe(downstream.outcomes)
        return Inlet(downstream.land, downstream.outcomes)
    context = downstream.context
    detector = CDCDetector(contract, warehouse, context.settings, context.progress)
    detection = ChangeDetection(contract, detector, DumpEnds(contract, warehouse, detector, downstream), downstream)
    table.observe(detection)
    return Inlet(detection.add, downstream.outcomes, detection)
