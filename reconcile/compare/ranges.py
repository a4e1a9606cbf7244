"""Key ranges: a comparison cut into parts that are joined one after the other, each in little memory.

Where the row groups of both sides follow the order of the key, a range of keys is found in few of them, and is read,
joined and forgotten before the next, whether they are files as they lie or rows in scratch space. One join of
everything would hold one side whole, or write it to scratch space and read it again.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from reconcile.plans import ComparisonPlan
from reconcile.read.direct import Direct
from reconcile.read.footers import KEY_TYPES, KeyGroup
from reconcile.read.spill import Spill
from reconcile.rules import EXACT, literal

_LONGEST_OVERLAP: Final = 1.5
"""How often a row may be read on average before one join of everything is the lesser work."""


@dataclass(frozen=True)
class KeyRange:
    """A range of the first key column.

    Attributes:
        low: its first value; None for the range that begins before all.
        high: the first value after it; None for the range that ends after all.
        is_closed: whether `high` is of the range, too.
    """

    low: Any
    high: Any
    is_closed: bool = False

    def holds(self, group: KeyGroup) -> bool:
        """Return whether a row group may hold keys of the range."""
        before = self.high is None or group.low < self.high or (self.is_closed and group.low == self.high)
        return before and (self.low is None or group.high >= self.low)

    def sql(self, column: str) -> str:
        """Return the condition that a row is of the range.

        Args:
            column: SQL of the first key column, which holds no null.
        """
        tests = [
            f"{column} {sign} {_literal(bound)}"
            for sign, bound in ((">=", self.low), ("<=" if self.is_closed else "<", self.high))
            if bound is not None
        ]
        return " and ".join(tests) or "true"

    def files(self, side: Spill | Direct) -> tuple[Path, ...]:
        """Return the files of a side that may hold keys of the range; one of them at least, if there is one."""
        found = tuple(
            file
            for file, groups in zip(side.files, side.key_groups, strict=True)
            if groups is None or any(self.holds(group) for group in groups)
        )
        return found or side.files[:1]


EVERYTHING: Final = KeyRange(None, None)
"""The range of all keys."""


def key_ranges(
    plan: ComparisonPlan, warehouse: Spill | Direct, snapshot: Spill | Direct, rows: int
) -> tuple[KeyRange, ...]:
    """Cut the keys of two sides into ranges.

    Args:
        plan: the comparison.
        warehouse: one side.
        snapshot: the other.
        rows: about how many rows a side should have in a range.

    Returns:
        Ranges that every key is in exactly one of; none when the files do not follow the order of the key.
    """
    files = [side.key_groups for side in (warehouse, snapshot)]
    groups = [[group for file in side for group in file or ()] for side in files]
    if plan.key[0].rule != EXACT or any(file is None for side in files for file in side):
        return ()
    if len({type(group.low) for side in groups for group in side}) != 1:
        return ()
    # Ranges that begin where groups of one side do cut through those of the other, the more of it the longer those are.
    for side in sorted(groups, key=len, reverse=True):
        ranges = tuple(KeyRange(low, high) for low, high in pairwise([None, *_bounds(side, rows), None]))
        if all(_overlap(ranges, held) <= _LONGEST_OVERLAP for held in groups):
            return ranges
    return ()


def _overlap(ranges: tuple[KeyRange, ...], groups: list[KeyGroup]) -> float:
    """Return how often a row is read on average when one range is read after the other."""
    read = sum(group.rows for part in ranges for group in groups if part.holds(group))
    return read / max(1, sum(group.rows for group in groups))


def _bounds(groups: list[KeyGroup], rows: int) -> list[Any]:
    """Return keys at which row groups begin, about so many rows apart."""
    bounds: list[Any] = []
    held = 0
    for group in sorted(groups, key=lambda group: group.low):
        if held >= rows and (not bounds or group.low > bounds[-1]):
            bounds.append(group.low)
            held = 0
        held += group.rows
    return bounds


def range_of(plan: ComparisonPlan, low: Any, high: Any) -> KeyRange:
    """Return the range from one key to another, both included, as far as it can be told.

    Args:
        plan: the comparison.
        low: the least value of the first key column; None when unknown.
        high: the greatest value of it.

    Returns:
        The range; that of all keys when the column is normalised, or of a type that has no bounds here.
    """
    if plan.key[0].rule != EXACT or not {type(low), type(high)} <= KEY_TYPES:
        return EVERYTHING
    return KeyRange(low, high, is_closed=True)


def _literal(value: Any) -> str:
    if isinstance(value, int):
        return f"cast({literal(str(value))} as bigint)"
    return literal(value) if isinstance(value, str) else f"date {literal(value.isoformat())}"
