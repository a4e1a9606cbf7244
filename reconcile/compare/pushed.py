"""What the warehouse found by itself, as the engine takes it up: which rows are left to join, and totals of all."""

from dataclasses import dataclass

from reconcile.result import Measure


@dataclass(frozen=True)
class Pushed:
    """What was found before a row of the warehouse was read.

    Attributes:
        warehouse_rows: rows that the warehouse holds.
        snapshot_rows: rows that the snapshot holds.
        condition: SQL over the engine's views that rows must meet to be joined; it may name `differing`.
        differing: buckets that differ, for the table `differing`; none when the condition does not name it.
        measures: aggregates of both sides.
        words: what was found.
    """

    warehouse_rows: int
    snapshot_rows: int
    condition: str = ""
    differing: tuple[int, ...] = ()
    measures: tuple[Measure, ...] = ()
    words: str = ""

    @property
    def totals(self) -> tuple[int, int]:
        """Rows of the warehouse and of the snapshot."""
        return self.warehouse_rows, self.snapshot_rows
