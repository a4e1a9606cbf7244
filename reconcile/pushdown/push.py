"""A comparison in which sides do their part by themselves: asked for numbers first, and then for few rows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from core.errors import UnreadableError
from reconcile.compare.aggregates import shown
from reconcile.compare.checksum import Hashing, buckets_for, check_hashable, engine_hashing, in_differing
from reconcile.compare.narrowing import widened
from reconcile.compare.pushed import Pushed
from reconcile.compare.statements import Source as SideRows
from reconcile.compare.tree import differing
from reconcile.plans import ComparisonPlan
from reconcile.pushdown import local
from reconcile.pushdown.aggregates import aggregates
from reconcile.pushdown.asked import asked_side
from reconcile.pushdown.buckets import KeyBuckets, key_buckets, sample_condition
from reconcile.pushdown.forms import HASH_BITS, row_hash
from reconcile.pushdown.summing import HandedOver, LocalSide, Pushing, Summed, asked_sum, local_side
from reconcile.read.sides import Side
from reconcile.reading import ReadSides, read_side, spill_rows
from reconcile.result import Measure, Mode

_BOTH: Final[tuple[Side, Side]] = ("warehouse", "snapshot")


def push_down(pushing: Pushing, mode: Mode, share: float) -> tuple[ReadSides, Pushed]:
    """Have the sides do their part, and read what is left.

    Args:
        pushing: the comparison.
        mode: how it is compared; any but `typed`.
        share: share of the keys that a sample takes.

    Returns:
        The rows that are left for the engine, and what was found before.

    Raises:
        UnreadableError: when a side cannot be read whole, or cannot do its part.
        ConfigurationError: when checksums cannot follow a rule.
    """
    if mode == "count":
        return _counted(pushing)
    if mode == "aggregate":
        return _aggregated(pushing)
    return _sampled(pushing, share) if mode == "sample" else _checksummed(pushing)


def _counted(pushing: Pushing) -> tuple[ReadSides, Pushed]:
    reading = pushing.reading
    left, right = (reading.source(side).count(reading.predicate(side)) for side in _BOTH)
    stated, plan = reading.plan.snapshot.expected_rows, reading.plan
    if stated not in (None, right) and not plan.snapshot.where:
        raise UnreadableError(f"{plan.snapshot.spec}: the manifest says {stated} rows and the files hold {right}")
    return ReadSides(local.NOTHING, local.NOTHING, None), Pushed(left, right)


def _aggregated(pushing: Pushing) -> tuple[ReadSides, Pushed]:
    plan = pushing.reading.plan
    named = aggregates(plan.columns, "duckdb")

    def of(side: Side) -> tuple[int, tuple[Any, ...]]:
        asked = asked_side(pushing.reading, side, "aggregate")
        if asked is not None:
            return asked.aggregates()
        rows = read_side(pushing.reading, side, pushing.scratch / side, by_value=pushing.by_value)
        with local.one_side(plan, rows, pushing.scratch, pushing.limits) as space:
            return local.aggregated(space, [sql for _, sql in named])

    (left_rows, left), (right_rows, right) = of("warehouse"), of("snapshot")
    measures = _measures(plan, [name for name, _ in named], left, right)
    return ReadSides(local.NOTHING, local.NOTHING, None), Pushed(left_rows, right_rows, measures=measures)


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


def _sampled(pushing: Pushing, share: float) -> tuple[ReadSides, Pushed]:
    plan = pushing.reading.plan
    asked = {side: asked_side(pushing.reading, side, "sample") for side in _BOTH}
    read = {side: _read_whole(pushing, side) for side in _BOTH if asked[side] is None}
    rows = {side: read[side][0] if found is None else found.count() for side, found in asked.items()}
    threshold = max(1, int(widened(share, max(rows.values())) * 2**HASH_BITS))

    def of(side: Side) -> HandedOver:
        found = asked[side]
        if found is None:
            return read[side][1], None
        wanted = found.rows_of_sample(threshold)
        return spill_rows(pushing.reading, side, wanted, pushing.scratch / f"{side}-asked"), wanted.receipt

    condition = sample_condition(plan.key, threshold)
    return _sides(of("warehouse"), of("snapshot")), Pushed(rows["warehouse"], rows["snapshot"], condition=condition)


def _read_whole(pushing: Pushing, side: Side) -> tuple[int, SideRows]:
    """Read a side that does not answer for itself, and count its rows."""
    found = read_side(pushing.reading, side, pushing.scratch / side, by_value=pushing.by_value)
    with local.one_side(pushing.reading.plan, found, pushing.scratch, pushing.limits) as space:
        return space.rows("snapshot"), found


def _checksummed(pushing: Pushing) -> tuple[ReadSides, Pushed]:
    plan = pushing.reading.plan
    asked = {side: asked_side(pushing.reading, side, "checksum") for side in _BOTH}
    sides = _local_sides(pushing, [side for side in _BOTH if asked[side] is None])
    if len(sides) == len(_BOTH):
        hashing = _engine_hashing(plan, tuple(sides.values()))
        left, right = (sides[side].summed(hashing) for side in _BOTH)
    else:
        spans = [part.bounds() for part in sides.values()]
        spans += [found.bounds() for found in asked.values() if found is not None]
        buckets = key_buckets(plan.key, [span for span in spans if span is not None])
        hashing = _common_hashing(plan, buckets)

        def of(side: Side) -> Summed:
            found = asked[side]
            return sides[side].summed(hashing) if found is None else asked_sum(pushing, side, found, buckets)

        left, right = of("warehouse"), of("snapshot")
    found = differing(left.leaves, right.leaves)
    pushed = Pushed(
        warehouse_rows=sum(leaf.rows for leaf in left.leaves.values()),
        snapshot_rows=sum(leaf.rows for leaf in right.leaves.values()),
        condition=in_differing(hashing.bucket),
        differing=tuple(sorted(found)),
        words=_words(
            [side for side in _BOTH if asked[side] is not None],
            (len(found), len(left.leaves.keys() | right.leaves.keys())),
            left.skipped + right.skipped,
        ),
    )
    return _sides(left.rest(found), right.rest(found)), pushed


def _local_sides(pushing: Pushing, sides: Sequence[Side]) -> dict[Side, LocalSide]:
    """Read, at once, the sides that must be read."""
    with ThreadPoolExecutor(len(_BOTH), thread_name_prefix="reconcile-local") as pool:
        return dict(zip(sides, pool.map(partial(local_side, pushing), sides), strict=True))


def _engine_hashing(plan: ComparisonPlan, sides: tuple[LocalSide, ...]) -> Hashing:
    """Return the engine's own hash, which is quicker than one that databases have, too."""
    check_hashable(plan)
    bounds = [found for found in (side.bounds() for side in sides) if found is not None]
    return engine_hashing(buckets_for(plan, bounds), plan.columns)


def _common_hashing(plan: ComparisonPlan, buckets: KeyBuckets) -> Hashing:
    fields = [(column.data_type, f"c{number}") for number, column in enumerate(plan.columns)]
    return Hashing(buckets.sql("duckdb"), row_hash(fields, "duckdb"))


def _sides(left: HandedOver, right: HandedOver) -> ReadSides:
    return ReadSides(left[0], right[0], left[1])


def _words(asked: Sequence[Side], buckets: tuple[int, int], skipped: int) -> str:
    differ, of = buckets
    kept = f"; the checksums of {skipped:,} files were kept from the last run" if skipped else ""
    if not asked:
        return f"{differ:,} of {of:,} buckets differ and were joined by value{kept}"
    itself = "its side itself" if len(asked) == 1 else "their sides themselves"
    return (
        f"the {' and the '.join(asked)} summed up {itself}; {differ:,} of {of:,} buckets differ, and of those alone "
        f"were rows read and joined by value{kept}"
    )
