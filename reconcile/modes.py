"""In which mode a comparison is made, why, and about how many bytes it reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from core.contracts import DataType
from reconcile.compare.checksum import unhashable
from reconcile.config import AskedMode
from reconcile.plans import ComparisonPlan
from reconcile.result import Mode
from reconcile.row_counts import known_rows

_SMALL_ROWS: Final = 1_000_000
_RARE: Final = 0.001
"""Share of differing keys up to which most buckets agree, so that checksums leave little to join."""
_VALUE_BYTES: Final[dict[DataType, int]] = {
    "bool": 1,
    "numeric": 16,
    "bignumeric": 32,
    "string": 20,
    "json": 200,
    "bytes": 20,
}
_USUAL_BYTES: Final = 8
"""Bytes BigQuery counts for a value, texts by their usual length; see "Data type sizes" in its pricing."""


@dataclass(frozen=True)
class Chosen:
    """A mode.

    Attributes:
        mode: the mode.
        why: why that one, in words.
        warehouse_bytes: bytes that are read of the warehouse, about; None when nobody says how many rows it has.
        snapshot_bytes: bytes that are read of the snapshot, at most.
    """

    mode: Mode
    why: str
    warehouse_bytes: int | None
    snapshot_bytes: int


class LastRun(msgspec.Struct, frozen=True):
    """What is kept of a comparison for the choice of the next run's mode.

    Attributes:
        rows: rows of both sides.
        differences: keys that differed.
    """

    rows: int
    differences: int


def last_run(state: Path, name: str) -> Path:
    """Return where the last run of a comparison is kept.

    Args:
        state: folder of what runs keep.
        name: the comparison.
    """
    return state / f"{name}.last.json"


def recall_run(path: Path | None) -> LastRun | None:
    """Read what the last run kept; None when it kept nothing that can be read.

    Args:
        path: where it was kept.
    """
    try:
        return None if path is None else msgspec.json.decode(path.read_bytes(), type=LastRun)
    except (OSError, msgspec.MsgspecError):
        return None


def keep_run(path: Path, run: LastRun) -> None:
    """Keep a run for the next one's choice.

    Args:
        path: where.
        run: what it found.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(run))


def choose(
    plan: ComparisonPlan,
    asked: AskedMode | None,
    last: LastRun | None,
    *,
    is_ordered: bool | None,
    can_push: bool = False,
) -> Chosen:
    """Choose a mode.

    Args:
        plan: the comparison.
        asked: the mode of the command line; None for the configuration's.
        last: what the last run found, if there was one.
        is_ordered: whether both sides are files that follow the order of the key; None when that is not known.
        can_push: whether the warehouse can compute its checksums by itself, so that only what differs is read of it.

    Returns:
        The mode. `auto` never chooses one that could miss a difference: neither counts, aggregates nor samples.
    """
    wanted = asked or plan.mode
    mode: Mode
    if wanted == "auto":
        mode, why = _automatic(plan, last, is_ordered=is_ordered, can_push=can_push)
    else:
        mode, why = wanted, "asked for"
    return Chosen(mode, why, _warehouse_bytes(plan), sum(ref.size for ref in plan.snapshot.objects))


def is_small(plan: ComparisonPlan) -> bool:
    """Return whether a comparison has few rows, or nobody says how many: it is then joined whatever it looks like.

    Args:
        plan: the comparison.
    """
    rows = known_rows(plan)
    return rows is None or rows < _SMALL_ROWS


def _automatic(
    plan: ComparisonPlan, last: LastRun | None, *, is_ordered: bool | None, can_push: bool
) -> tuple[Mode, str]:
    rows, reason = known_rows(plan), unhashable(plan)
    if reason is not None:
        return "typed", f"checksums cannot stand for the values: {reason}"
    if rows is None or is_small(plan):
        said = "nobody says how many rows there are" if rows is None else f"{rows:,} rows are few"
        return "typed", f"{said}: one join costs less than a scan for checksums and a join after it"
    if is_ordered:
        return "typed", "both sides follow the order of the key: a join range by range costs little more than a scan"
    if last is None:
        return _untold(can_push=can_push)
    rate = last.differences / max(1, last.rows)
    if rate <= _RARE:
        return "checksum", f"the key is in no order and {rate:.4%} differed last time: most buckets need no join"
    return "typed", f"{rate:.4%} differed last time: most buckets would have to be joined anyway"


def _untold(*, can_push: bool) -> tuple[Mode, str]:
    untold = "no earlier run says how much differs"
    if can_push:
        return "checksum", f"{untold}, and the warehouse sums up its side by itself: only what differs is read of it"
    return "typed", untold


def _warehouse_bytes(plan: ComparisonPlan) -> int | None:
    # Every row is handed over by the Storage Read API, or looked at by a statement of push-down, once.
    rows = known_rows(plan)
    width = sum(_VALUE_BYTES.get(column.data_type, _USUAL_BYTES) for column in plan.columns)
    return None if rows is None else rows * width
