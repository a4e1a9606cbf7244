"""Key ranges: a comparison cut into parts that are joined one after the other, each in little memory.

Where the row groups of both sides follow the order of the key, a range of keys is found in few of them, and is read,
joined and forgotten before the next, whether they are files as they lie or rows in scratch space. One join of
everything would hold one side whole, or write it to scratch space and read it again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
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
_SCATTERED: Final = 0.5
"""Share of all row groups from which keys are rather looked up in one go."""


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
    return ranges_in_order(plan, [side.key_groups for side in (warehouse, snapshot)], rows)


def ranges_in_order(
    plan: ComparisonPlan, files: Sequence[Sequence[tuple[KeyGroup, ...] | None]], rows: int
) -> tuple[KeyRange, ...]:
    """Cut the keys of two sides into ranges, by what their row groups hold.

    Args:
        plan: the comparison.
        files: the row groups of each file of each side; None of a file that does not tell.
        rows: about how many rows a side should have in a range.

    Returns:
        See `key_ranges`.
    """
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


def ranges_of(
    plan: ComparisonPlan, keys: Sequence[Any], warehouse: Spill | Direct, snapshot: Spill | Direct
) -> tuple[KeyRange, ...]:
    """Return ranges that hold some keys, and few row groups beside those that the keys are in.

    Args:
        plan: the comparison.
        keys: values of the first key column, in order.
        warehouse: one side.
        snapshot: the other.

    Returns:
        The ranges, which do not overlap; that of all keys when the column is normalised, of a type that has no bounds
        here, or the keys lie all over.
    """
    if not keys or plan.key[0].rule != EXACT or not {type(key) for key in keys} <= KEY_TYPES:
        return (EVERYTHING,)
    files = [file for side in (warehouse, snapshot) for file in side.key_groups]
    groups = [group for file in files for group in file or ()]
    if any(file is None for file in files) or len({type(end) for group in groups for end in (group.low, keys[0])}) > 1:
        return (KeyRange(keys[0], keys[-1], is_closed=True),)
    lows, highs = sorted(group.low for group in groups), sorted(group.high for group in groups)

    def held(low: Any, high: Any) -> int:
        """Count the groups that begin no later than the range ends, less those that end before it begins."""
        return bisect_right(lows, high) - bisect_left(highs, low)

    found: list[tuple[Any, Any]] = [(keys[0], keys[0])]
    for key in keys[1:]:
        low, high = found[-1]
        if held(low, key) <= held(low, high) + held(key, key):
            found[-1] = (low, key)
        else:
            found.append((key, key))
    if sum(held(low, high) for low, high in found) > _SCATTERED * len(groups):
        found = [(keys[0], keys[-1])]
    return tuple(KeyRange(low, high, is_closed=True) for low, high in found)


def _literal(value: Any) -> str:
    if isinstance(value, int):
        return f"cast({literal(str(value))} as bigint)"
    return literal(value) if isinstance(value, str) else f"date {literal(value.isoformat())}"
