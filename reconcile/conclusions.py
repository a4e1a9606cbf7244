"""What is concluded from what was found: likely causes, partitions, and whether thresholds held; part of a result."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed"]
"""What a verdict means for who asked: differences within the thresholds pass."""


@dataclass(frozen=True)
class Cause:
    """What the differences have plainly in common, and so probably come from; a lead, and no proof.

    Attributes:
        name: the pattern, such as `time zone shift`; see `reconcile.causes`.
        column: column that shows it; None when it is of whole rows.
        words: the pattern in words, without any value of a row.
        rows: rows that show it.
        looked_at: rows that were looked at: the first ones, not all.
    """

    name: str
    column: str | None
    words: str
    rows: int
    looked_at: int


@dataclass(frozen=True)
class PartitionResult:
    """One partition of a comparison.

    Attributes:
        value: its value, such as `2026-01`; None for null.
        warehouse_rows: rows of the warehouse in it.
        snapshot_rows: rows of the snapshot in it.
        missing: keys only the snapshot holds.
        extra: keys only the warehouse holds.
        changed: keys whose rows differ.
        duplicated_keys: keys that stand more than once on a side.
        rate: share of differing keys among the rows of the larger side, from 0 to 1.
    """

    value: str | None
    warehouse_rows: int
    snapshot_rows: int
    missing: int
    extra: int
    changed: int
    duplicated_keys: int
    rate: float

    @property
    def differences(self) -> int:
        """Keys of it that differ."""
        return self.missing + self.extra + self.changed + self.duplicated_keys


@dataclass(frozen=True)
class Decision:
    """A threshold, and whether it held.

    Attributes:
        measure: what it limits: `missing`, `extra`, `changed`, `duplicated`, `differences`, `in_flight` or
            `column <name>`.
        limit: the limit as it was written, such as `10` keys or `0.01%` of them.
        measured: keys that were found.
        share: their share of all keys, from 0 to 1.
        holds: whether what was found is within the limit.
    """

    measure: str
    limit: str
    measured: int
    share: float
    holds: bool
