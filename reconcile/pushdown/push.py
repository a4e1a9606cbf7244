"""A comparison in which the warehouse does its part by itself: asked for numbers first, and then for few rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import UnreadableError
from reconcile.compare.aggregates import shown
from reconcile.compare.checksum import in_differing
from reconcile.compare.engine import EngineLimits
from reconcile.compare.pushed import Pushed
from reconcile.compare.statements import Source as SideRows
from reconcile.compare.tree import Leaves, differing
from reconcile.plans import ComparisonPlan
from reconcile.pushdown import local, remote
from reconcile.pushdown.aggregates import aggregates
from reconcile.pushdown.buckets import KeyBuckets, sample_condition, sample_restriction
from reconcile.pushdown.forms import HASH_BITS
from reconcile.reading import Reading, ReadSides, read_side, spill_rows
from reconcile.result import Measure, Mode
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.model import Rows

_MOST: Final = 0.5
"""Share of the warehouse's rows from which on reading them all costs no more than reading those of some buckets."""


@dataclass(frozen=True)
class Pushing:
    """A comparison to push down.

    Attributes:
        reading: both sides, opened.
        warehouse: the warehouse's table.
        scratch: an existing folder.
        limits: what the engine may use.
        kept: file of the checksums that are kept from run to run; None to keep none.
        by_value: whether to read value by value also what the engine could scan as it is.
    """

    reading: Reading
    warehouse: BigQuerySource
    scratch: Path
    limits: EngineLimits
    kept: Path | None
    by_value: bool

    @property
    def plan(self) -> ComparisonPlan:
        """The comparison."""
        return self.reading.plan

    def snapshot(self) -> SideRows:
        """Read the snapshot."""
        return read_side(self.reading, "snapshot", self.scratch / "snapshot", by_value=self.by_value)


@dataclass(frozen=True)
class PushedSides:
    """What is left for the engine.

    Attributes:
        sides: the rows that were read.
        pushed: what was found before.
    """

    sides: ReadSides
    pushed: Pushed


def push_down(pushing: Pushing, mode: Mode, share: float) -> PushedSides:
    """Have the warehouse do its part, and read what is left.

    Args:
        pushing: the comparison; one that `reconcile.pushdown.suits.refusal` does not refuse.
        mode: how it is compared.
        share: share of the keys that a sample takes.

    Returns:
        What is left for the engine.

    Raises:
        UnreadableError: when a side cannot be read whole, or the warehouse cannot do its part.
    """
    if mode == "count":
        return _counted(pushing)
    if mode == "aggregate":
        return _aggregated(pushing)
    return _sampled(pushing, share) if mode == "sample" else _checksummed(pushing)


def _counted(pushing: Pushing) -> PushedSides:
    reading = pushing.reading
    found = reading.snapshot.count(reading.predicate("snapshot"))
    stated = pushing.plan.snapshot.expected_rows
    if stated not in (None, found) and not pushing.plan.snapshot.where:
        raise UnreadableError(
            f"{pushing.plan.snapshot.spec}: the manifest says {stated} rows and the files hold {found}"
        )
    pushed = Pushed(remote.count(pushing.warehouse, pushing.plan), found)
    return PushedSides(ReadSides(local.NOTHING, local.NOTHING, None), pushed)


def _aggregated(pushing: Pushing) -> PushedSides:
    plan, snapshot = pushing.plan, pushing.snapshot()
    ours, theirs = aggregates(plan.columns, "duckdb"), aggregates(plan.columns, "googlesql")
    with local.snapshot_space(plan, snapshot, pushing.scratch, pushing.limits) as space:
        rows, right = local.aggregated(space, [sql for _, sql in ours])
    warehouse_rows, left = remote.aggregated(pushing.warehouse, plan, [sql for _, sql in theirs])
    measures = _measures(plan, [name for name, _ in ours], left, right)
    return PushedSides(ReadSides(local.NOTHING, snapshot, None), Pushed(warehouse_rows, rows, measures=measures))


def _measures(
    plan: ComparisonPlan, names: Sequence[str], left: Sequence[Any], right: Sequence[Any]
) -> tuple[Measure, ...]:
    masked = {column.name for column in plan.columns if column.masked is not None}
    texts = [(name, _text(one), _text(other)) for name, one, other in zip(names, left, right, strict=True)]
    return tuple(
        Measure(name, shown(one, name, masked), shown(other, name, masked), is_equal=one == other)
        for name, one, other in texts
    )


def _text(value: Any) -> str | None:
    # A sum is a decimal with or without a fraction of zeros, by the engine.
    return value if value is None or isinstance(value, str) else str(int(value))


def _sampled(pushing: Pushing, share: float) -> PushedSides:
    plan, snapshot = pushing.plan, pushing.snapshot()
    threshold = max(1, int(share * 2**HASH_BITS))
    with local.snapshot_space(plan, snapshot, pushing.scratch, pushing.limits) as space:
        rows = space.rows("snapshot")
    warehouse_rows = remote.count(pushing.warehouse, plan)
    sample = remote.rows(pushing.warehouse, plan, sample_restriction(plan.key, threshold))
    sides = _with(pushing, snapshot, sample)
    return PushedSides(sides, Pushed(warehouse_rows, rows, condition=sample_condition(plan.key, threshold)))


def _checksummed(pushing: Pushing) -> PushedSides:
    plan, snapshot = pushing.plan, pushing.snapshot()
    with local.snapshot_space(plan, snapshot, pushing.scratch, pushing.limits) as space:
        buckets, right, skipped = local.leaves(space, pushing.kept)
    left = remote.leaves(pushing.warehouse, plan, buckets)
    found = differing(left, right)
    pushed = Pushed(
        warehouse_rows=sum(leaf.rows for leaf in left.values()),
        snapshot_rows=sum(leaf.rows for leaf in right.values()),
        condition=in_differing(buckets.sql("duckdb")),
        differing=tuple(sorted(found)),
        words=_words(len(found), len(left.keys() | right.keys()), skipped),
    )
    sides = _differing_rows(pushing, snapshot, buckets, left, found)
    return PushedSides(sides, pushed)


def _differing_rows(
    pushing: Pushing, snapshot: SideRows, buckets: KeyBuckets, left: Leaves, found: set[int]
) -> ReadSides:
    """Read the rows of the buckets that differ; all of them, where that is no more work."""
    wanted = sum(left[bucket].rows for bucket in found if bucket in left)
    if not wanted:
        return _with(pushing, snapshot, Rows(()))
    everything = sum(leaf.rows for leaf in left.values())
    is_most = wanted > _MOST * everything
    restriction = "" if is_most else buckets.restriction(found)
    sides = _with(pushing, snapshot, remote.rows(pushing.warehouse, pushing.plan, restriction))
    expected = everything if is_most else wanted
    if sides.warehouse.rows != expected:
        raise UnreadableError(
            f"{pushing.warehouse.table}: {expected} rows were summed up and {sides.warehouse.rows} read: it was "
            "written to in between; run again, or compare with the mode typed"
        )
    return sides


def _with(pushing: Pushing, snapshot: SideRows, rows: Rows) -> ReadSides:
    spilled = spill_rows(pushing.reading, "warehouse", rows, pushing.scratch / "warehouse")
    return ReadSides(spilled, snapshot, rows.receipt)


def _words(differ: int, of: int, skipped: int) -> str:
    kept = f"; the checksums of {skipped:,} files were kept from the last run" if skipped else ""
    return (
        f"the warehouse summed up its side itself; {differ:,} of {of:,} buckets differ, and of those alone were rows "
        f"read and joined by value{kept}"
    )
