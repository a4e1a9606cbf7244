"""How a comparison is cut into ranges of its key, and the plan of one part.

It is cut where the snapshot's Parquet files follow the order of the key, at row groups: each range is then in few of
them, however large the files are, and the warehouse reads only its own part (cluster the table by the key, and BigQuery
reads no more than that). What follows no order stays whole: every part would have to read all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

from core.errors import UnreadableError
from reconcile.compare.ranges import KeyRange
from reconcile.plans import ComparisonPlan, FileSet, PlannedColumn
from reconcile.read.direct import read_footers
from reconcile.read.filters import Condition
from reconcile.read.footers import Footer, KeyGroup
from reconcile.read.sides import Side, side_columns
from reconcile.rules import EXACT
from reconcile.shards.bounds import Between, Bound
from reconcile.shards.model import Shard, text_of
from reconcile.sources.services import Services

_LONGEST_OVERLAP: Final = 1.5
"""How often a row may be read on average before cutting costs more than it saves."""
_CUTTABLE: Final = frozenset({"auto", "typed"})
"""Modes that are cut: the others are cheap, or say something of the whole that parts cannot say."""
_KEY_TYPES: Final[dict[str, Literal["int", "str", "date"]]] = {"int": "int", "str": "str", "date": "date"}


@dataclass(frozen=True)
class _Side:
    """The files of a side, as far as the cut concerns them."""

    files: tuple[tuple[KeyGroup, ...], ...]
    rows: tuple[int, ...]

    def within(self, part: KeyRange) -> tuple[int, ...]:
        """Return the files that may hold keys of a range; one of them at least."""
        found = tuple(n for n, groups in enumerate(self.files) if any(_is_read(part, group) for group in groups))
        return found or (0,)

    def weight(self, part: KeyRange) -> int:
        """Return how many rows are read for a range."""
        return sum(group.rows for group in self.groups if _is_read(part, group))

    def is_scattered(self, ranges: Sequence[KeyRange]) -> bool:
        """Return whether its rows are read too often when one range is read after the other."""
        return sum(map(self.weight, ranges)) > _LONGEST_OVERLAP * sum(self.rows)

    @property
    def groups(self) -> list[KeyGroup]:
        return [group for groups in self.files for group in groups]


def _is_read(part: KeyRange, group: KeyGroup) -> bool:
    return Between("", (), part.low, part.high).may_hold(group.low, group.high)


@dataclass(frozen=True)
class ShardSize:
    """How large shards should be.

    Attributes:
        most: rows of the snapshot in a shard at most, about.
        parts: how many shards there should be at least; fewer of a comparison that is small.
        least: rows of a shard at least: opening both sides costs as much as comparing some ten thousand.
    """

    most: int
    parts: int = 1
    least: int = 250_000

    def of(self, rows: int) -> int:
        """Return the rows of a shard of a comparison that has so many."""
        return min(self.most, max(self.least, rows // self.parts))


@dataclass(frozen=True)
class Cut:
    """A comparison, cut.

    Attributes:
        shards: its parts, in the order of the key; one for the whole when it is not cut.
        whole_because: why it is not cut; None when it is.
    """

    shards: tuple[Shard, ...]
    whole_because: str | None = None


class _WholeError(Exception):
    """A comparison is not cut; the message says why."""


def cut(plan: ComparisonPlan, services: Services, *, mode: str, size: ShardSize, workers: int) -> Cut:
    """Cut a comparison into shards.

    Args:
        plan: the comparison.
        services: where its files lie.
        mode: the mode asked for.
        size: how large shards should be.
        workers: how many footers are read at once.

    Returns:
        Its shards, or why it stays whole.
    """
    try:
        return Cut(_shards(plan, services, mode=mode, size=size, workers=workers))
    except _WholeError as reason:
        return Cut((Shard(plan.name, 0, 1, plan.snapshot.expected_rows or 0),), str(reason))


def _shards(plan: ComparisonPlan, services: Services, *, mode: str, size: ShardSize, workers: int) -> tuple[Shard, ...]:
    first = plan.key[0]
    if mode not in _CUTTABLE:
        raise _WholeError(f"the mode {mode} says something of the whole, or costs little")
    if first.rule != EXACT or first.origin or first.snapshot_origin:
        raise _WholeError(f"its key begins with {first.name}, which a rule or a map changes")
    snapshot, warehouse = _sides(plan, services, workers)
    rows = sum(snapshot.rows)
    if plan.snapshot.expected_rows not in (None, rows):
        raise _WholeError(f"the snapshot's footers tell of {rows:,} rows, not of {plan.snapshot.expected_rows:,}")
    sides = {"snapshot": snapshot} | ({"warehouse": warehouse} if warehouse is not None else {})
    kinds = {type(group.low).__name__ for side in sides.values() for group in side.groups}
    ranges = _ranges(snapshot.groups, size.of(rows))
    if not ranges[1:]:
        raise _WholeError(f"it has {rows:,} rows, and a part {size.of(rows):,} or so, in whole row groups")
    if len(kinds) != 1 or not kinds <= _KEY_TYPES.keys():
        raise _WholeError(f"{first.name} is no integer, text or date on both sides alike")
    for name, side in sides.items():
        if side.is_scattered(ranges):
            raise _WholeError(f"the files of the {name} do not follow the order of {first.name}")
    return tuple(
        Shard(
            comparison=plan.name,
            number=number,
            of=len(ranges),
            rows=snapshot.weight(part),
            held=sum(snapshot.rows[n] for n in snapshot.within(part)),
            low=text_of(part.low),
            high=text_of(part.high),
            key_type=_KEY_TYPES[next(iter(kinds))],
            snapshot_files=snapshot.within(part),
            warehouse_files=warehouse.within(part) if warehouse is not None else (),
        )
        for number, part in enumerate(ranges)
    )


def part_of(plan: ComparisonPlan, shard: Shard) -> ComparisonPlan:
    """Return the plan of one part of a comparison.

    Args:
        plan: the comparison.
        shard: the part.

    Returns:
        The plan, under the name of the shard; the comparison itself when it is not cut.
    """
    if shard.of == 1:
        return plan
    low, high = shard.bounds()
    # In files that are cut no row is without a key.
    theirs = Between(plan.key[0].snapshot_name, (), low, high)
    table = plan.warehouse.table
    ours = replace(theirs, column=plan.key[0].name, is_first=shard.number == 0 and not isinstance(table, FileSet))
    if isinstance(table, FileSet):
        table = replace(table, objects=tuple(table.objects[n] for n in shard.warehouse_files), expected_rows=None)
    return replace(
        plan,
        name=shard.name,
        mode="typed" if plan.mode == "auto" else plan.mode,
        warehouse=replace(
            plan.warehouse,
            table=table,
            where=(*plan.warehouse.where, ours),
            restriction=_both(plan.warehouse.restriction, ours),
        ),
        snapshot=replace(
            plan.snapshot,
            objects=tuple(plan.snapshot.objects[n] for n in shard.snapshot_files),
            where=(*plan.snapshot.where, theirs),
            # By the footers of just these files; all of them together were held against the manifest.
            expected_rows=shard.held,
        ),
    )


def _both(restriction: str, condition: Condition) -> str:
    return f"({restriction}) and {condition.googlesql()}" if restriction else condition.googlesql()


def _sides(plan: ComparisonPlan, services: Services, workers: int) -> tuple[_Side, _Side | None]:
    """Return what the footers say of the snapshot and, where it is files, of the warehouse."""
    theirs = side_columns(plan, "snapshot")
    snapshot = _side("snapshot", theirs, plan.snapshot.spec, plan.snapshot.where, services, workers=workers)
    if not isinstance(plan.warehouse.table, FileSet):
        return snapshot, None
    ours = plan.warehouse
    return snapshot, _side("warehouse", plan.columns, ours.table, ours.where, services, workers=workers)


def _side(
    name: Side,
    columns: tuple[PlannedColumn, ...],
    files: object,
    where: tuple[Condition, ...],
    services: Services,
    *,
    workers: int,
) -> _Side:
    if not isinstance(files, FileSet) or files.format != "parquet" or files.constants or not files.objects:
        raise _WholeError(f"the {name} is not in Parquet files that hold every column")
    if any(column.origin for column in columns):
        raise _WholeError(f"a map makes a column of the {name}")
    names = tuple(column.name for column in columns)
    try:
        footers = read_footers(columns, names, where, services.store(files.root), files.objects, workers=workers)
    except UnreadableError as error:
        # The comparison itself will tell what is wrong with the files.
        raise _WholeError(f"the footers of the {name} cannot be read") from error
    if footers is None or any(footer.groups is None for footer in footers):
        raise _WholeError(f"the footers of the {name} do not tell where {columns[0].name} begins and ends")
    return _Side(tuple(_groups(footer) for footer in footers), tuple(footer.rows for footer in footers))


def _groups(footer: Footer) -> tuple[KeyGroup, ...]:
    return footer.groups or ()


def _ranges(groups: Sequence[KeyGroup], rows: int) -> tuple[KeyRange, ...]:
    """Cut where row groups begin, about so many rows apart."""
    bounds: list[Bound] = []
    held = 0
    in_order = sorted(groups, key=lambda group: group.low)
    for group in in_order:
        # As near to the size as row groups allow: to overshoot by half a group would have it read twice.
        if held and held + group.rows / 2 >= rows and group.low > (bounds[-1] if bounds else in_order[0].low):
            bounds.append(group.low)
            held = 0
        held += group.rows
    return tuple(KeyRange(low, high) for low, high in pairwise([None, *bounds, None]))
