"""One comparison: both sides opened, read, compared, and told as a result."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from core.errors import UnreadableError
from reconcile.compare.engine import DirectReadError, EngineLimits, How, compare
from reconcile.compare.pushed import Pushed
from reconcile.config import AskedMode, Limits
from reconcile.deciding import decide
from reconcile.memory import left_mb, readers_share
from reconcile.modes import Chosen, LastRun, keep_run, last_run, recall_run
from reconcile.plans import ComparisonPlan, Unplanned
from reconcile.policy import Partition
from reconcile.pushdown.asked import asked_sides
from reconcile.pushdown.push import push_down
from reconcile.pushdown.summing import Pushing
from reconcile.read.budget import MessageBudget
from reconcile.read.sides import Side
from reconcile.reading import Reading, ReadSides, check_still_there, opened, read_sides
from reconcile.report.files import DIFFERENCES, OWNER_ALONE
from reconcile.result import (
    ComparisonResult,
    Inputs,
    PinnedObject,
    Timing,
)
from reconcile.sources.model import Pin
from reconcile.sources.services import Services

Phase = Literal["planned", "begun", "warehouse", "snapshot", "compare", "done"]


@dataclass(frozen=True)
class Progress:
    """What a run is doing.

    Attributes:
        comparison: the comparison at work.
        phase: side being read, or `compare`, or `done`; `planned` comes first, once; `begun` before a side opens.
        rows: rows read since the last call; rows that will be read, about, when the run is `planned`.
    """

    comparison: str
    phase: Phase
    rows: int = 0


OnProgress = Callable[[Progress], None]
"""Told of progress; called from several threads."""


@dataclass(frozen=True)
class Work:
    """What the comparisons of one run share.

    Attributes:
        services: where sources are read from.
        limits: what may be used.
        output: folder of the reports; None to write nothing.
        values: whether the Parquet of differences holds both sides' values.
        mode: how to compare, instead of the configured modes.
        state: folder for what the next run may use; None to keep nothing.
        partitions: by what counts are broken down, by the name of the comparison.
        taken_at: when the snapshot was taken (UTC); None when nobody says.
        on_progress: told of progress, from several threads.
        decided: modes that were decided beforehand, by the name of the comparison, for all tasks of a run alike.
    """

    services: Services
    limits: Limits
    output: Path | None
    values: bool
    mode: AskedMode | None
    state: Path | None
    partitions: Mapping[str, Partition]
    taken_at: datetime | None
    on_progress: OnProgress
    decided: Mapping[str, Chosen] = field(default_factory=dict)


def make_comparison(work: Work, comparison: ComparisonPlan | Unplanned) -> ComparisonResult:
    """Read both sides of one comparison and compare them.

    Args:
        work: what the comparisons of a run share.
        comparison: the comparison, planned.

    Returns:
        What was found. A difference, or a side that cannot be read, is a result and no exception.
    """
    if isinstance(comparison, Unplanned):
        return _unreadable(comparison, comparison.reason, None, 0.0)
    began = time.monotonic()
    work.on_progress(Progress(comparison.name, "begun"))
    try:
        told = partial(_tell, work.on_progress, comparison.name)
        share = readers_share(work.limits)
        budget = MessageBudget(share.message_bytes)
        with opened(comparison, work.services, share.readers, told, budget) as reading:
            try:
                return _read_and_compared(work, reading, by_value=False)
            except DirectReadError:
                return _read_and_compared(work, reading, by_value=True)
    except UnreadableError as error:
        return _unreadable(comparison, str(error), _inputs(comparison), time.monotonic() - began)


def _tell(on_progress: OnProgress, name: str, side: Phase, rows: int) -> None:
    on_progress(Progress(name, side, rows))


def _read_and_compared(work: Work, reading: Reading, *, by_value: bool) -> ComparisonResult:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-reconcile-") as scratch:
        read = _read(work, reading, Path(scratch), by_value=by_value)
        found = _compared(work, reading, read, scratch=Path(scratch), read_s=time.monotonic() - began)
        check_still_there(reading, read.sides)
        return found


@dataclass(frozen=True)
class _Read:
    """What is compared, and how."""

    sides: ReadSides
    chosen: Chosen
    pushed: Pushed | None


def _read(work: Work, reading: Reading, scratch: Path, *, by_value: bool) -> _Read:
    """Read both sides; of a warehouse that can do its part by itself, only what that leaves."""
    plan, is_partitioned = reading.plan, reading.plan.name in work.partitions
    chosen = work.decided.get(plan.name)
    if chosen is None:
        last = recall_run(last_run(work.state, plan.name)) if work.state is not None else None
        chosen = decide(reading, work.mode, last, is_partitioned=is_partitioned)
    # Counts by partition look at every row of both sides.
    may_skip = chosen.mode == "checksum" and work.state is not None
    if not is_partitioned and (may_skip or asked_sides(reading, chosen.mode)):
        pushing = Pushing(reading, scratch, _limits(work), _trees(work, plan), by_value)
        sides, pushed = push_down(pushing, chosen.mode, plan.sample_share)
        return _Read(sides, chosen, pushed)
    return _Read(read_sides(reading, scratch, by_value=by_value), chosen, None)


def _limits(work: Work) -> EngineLimits:
    """Return what the engine may use: of the memory, what the process does not hold already."""
    return EngineLimits(left_mb(work.limits), work.limits.threads or os.cpu_count() or 1, work.limits.sample)


def _kept(work: Work, plan: ComparisonPlan) -> Path | None:
    return work.state / f"{plan.name}.tree.json" if work.state is not None else None


def _trees(work: Work, plan: ComparisonPlan) -> Callable[[Side], Path] | None:
    state = work.state
    if state is None:
        return None
    return lambda side: state / (f"{plan.name}.tree.json" if side == "snapshot" else f"{plan.name}.{side}.tree.json")


def _compared(
    work: Work,
    reading: Reading,
    read: _Read,
    *,
    scratch: Path,
    read_s: float,
) -> ComparisonResult:
    comparison = reading.plan
    work.on_progress(Progress(comparison.name, "compare"))
    began = time.monotonic()
    file = f"{DIFFERENCES}/{comparison.name}.parquet"
    chosen = read.chosen
    found = compare(
        comparison,
        *read.sides.rows,
        scratch=scratch,
        limits=_limits(work),
        export=work.output / file if work.output is not None else None,
        values=work.values,
        how=How(
            chosen.mode,
            comparison.sample_share,
            _kept(work, comparison),
            work.taken_at,
            partition=work.partitions.get(comparison.name),
            pushed=read.pushed,
        ),
    )
    if found.exported and work.output is not None:
        # Its keys may be personal, and with `values` everything in it.
        (work.output / file).chmod(OWNER_ALONE)
    agree = all(measure.agrees for measure in (found.evidence.measures if found.evidence else ()))
    if work.state is not None and chosen.mode in ("typed", "checksum"):
        rows = found.counts.warehouse_rows + found.counts.snapshot_rows
        keep_run(last_run(work.state, comparison.name), LastRun(rows, found.counts.differences))
    return ComparisonResult(
        name=comparison.name,
        contract=comparison.contract.name if comparison.contract else None,
        owner=comparison.contract.owner if comparison.contract else None,
        verdict="equal" if agree and not found.counts.differences else "different",
        reason=None,
        counts=found.counts,
        columns=found.columns,
        not_compared=comparison.not_compared,
        sample=found.sample,
        differences_file=file if found.exported else None,
        inputs=_inputs(comparison, reading, read.sides.receipt),
        timing=Timing(round(read_s, 3), round(time.monotonic() - began, 3)),
        mode=chosen.mode,
        why=chosen.why,
        evidence=found.evidence,
        causes=found.causes,
        partitions=found.partitions,
    )


def _unreadable(
    comparison: ComparisonPlan | Unplanned, reason: str, inputs: Inputs | None, read_s: float
) -> ComparisonResult:
    return ComparisonResult(
        name=comparison.name,
        contract=comparison.contract.name if comparison.contract else None,
        owner=comparison.contract.owner if comparison.contract else None,
        verdict="unreadable",
        reason=reason,
        counts=None,
        columns=(),
        not_compared=(),
        sample=(),
        differences_file=None,
        inputs=inputs,
        timing=Timing(round(read_s, 3), 0.0),
    )


def _inputs(comparison: ComparisonPlan, reading: Reading | None = None, receipt: str | None = None) -> Inputs:
    listed = (Pin(), Pin(objects=comparison.snapshot.objects))
    pins = (reading.warehouse.pin, reading.snapshot.pin) if reading else listed
    return Inputs(
        warehouse_table=str(comparison.warehouse.table),
        row_restriction=comparison.warehouse.restriction,
        snapshot_time=pins[0].at,
        read_session=receipt or pins[0].words or None,
        objects=tuple(PinnedObject(ref.uri, ref.etag, ref.size) for pin in pins for ref in pin.objects),
        snapshot_format=comparison.snapshot.format,
        snapshot_restriction=comparison.snapshot.restriction,
        soft_deletes=comparison.soft_deletes,
        snapshot_table=str(comparison.snapshot.spec),
        snapshot_pin=None if pins[1].objects else _as_of(pins[1]),
    )


def _as_of(pin: Pin) -> str | None:
    """Return as of what a source was read, in words; None when it has no version."""
    return pin.words or (f"as of {pin.at.isoformat()}" if pin.at is not None else None)
