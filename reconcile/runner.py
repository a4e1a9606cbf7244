"""A run: plan, read, compare, report, one comparison after the other."""

import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from core.clock import Clock, utc_now
from core.contracts import load_contracts
from core.errors import UnreadableError
from core.settings import Settings
from reconcile.audit import append_run
from reconcile.compare.engine import DirectReadError, EngineLimits, How, compare
from reconcile.compare.statements import Source
from reconcile.config import AskedMode, Limits, ReconcileConfig
from reconcile.modes import Chosen, LastRun, choose, keep_run, last_run, recall_run
from reconcile.planner import plan_run
from reconcile.plans import ComparisonPlan, RunPlan, Unplanned
from reconcile.read.direct import Direct
from reconcile.reading import Reading, ReadSides, check_still_there, read_sides
from reconcile.report.files import DIFFERENCES, prepare_output, write_reports
from reconcile.result import (
    SCHEMA_VERSION,
    ComparisonResult,
    Inputs,
    PinnedObject,
    RunResult,
    Timing,
    Versions,
    worst,
)
from reconcile.sources.model import Pin
from reconcile.sources.opening import open_source
from reconcile.sources.services import Services

Phase = Literal["warehouse", "snapshot", "compare", "done"]


@dataclass(frozen=True)
class Progress:
    """What a run is doing.

    Attributes:
        comparison: the comparison at work.
        phase: side being read, or `compare`, or `done`.
        rows: rows read since the last call.
    """

    comparison: str
    phase: Phase
    rows: int = 0


OnProgress = Callable[[Progress], None]
"""Told of progress; called from several threads."""


@dataclass(frozen=True)
class _Work:
    """What the steps of one run share."""

    services: Services
    limits: Limits
    output: Path | None
    values: bool
    mode: AskedMode | None
    state: Path | None
    on_progress: OnProgress


def plan(
    config: ReconcileConfig, settings: Settings, *, tables: Sequence[str] = (), snapshot_id: str | None = None
) -> RunPlan:
    """Say what a run would read and compare, with every type checked, without reading data.

    Args:
        config: the configuration.
        settings: where the warehouse, the contracts and S3 are.
        tables: names of comparisons; all when empty.
        snapshot_id: which snapshot instead of the configured one.

    Returns:
        The plan; what cannot be read is in it, with the reason.

    Raises:
        ConfigurationError: when a name is unknown, or the configuration contradicts the contracts.
    """
    with Services(settings, utc_now()) as services:
        return _planned(config, services, tables=tuple(tables), snapshot_id=snapshot_id)


def run(
    config: ReconcileConfig,
    settings: Settings,
    *,
    tables: Sequence[str] = (),
    snapshot_id: str | None = None,
    output: Path | None = None,
    audit: bool = True,
    values: bool = False,
    fail_fast: bool = False,
    mode: AskedMode | None = None,
    state: Path | None = None,
    clock: Clock = utc_now,
    on_progress: OnProgress = lambda _: None,
) -> RunResult:
    """Reconcile the warehouse with a snapshot.

    Args:
        config: the configuration.
        settings: where the warehouse, the contracts and S3 are.
        tables: names of comparisons; all when empty.
        snapshot_id: which snapshot instead of the configured one.
        output: folder for `report.json`, `report.html` and `differences/`; None to write nothing.
        audit: whether to append a row for each comparison to `reconciliation_runs` in the audit dataset.
        values: whether the Parquet of differences holds both sides' values, personal ones included.
        fail_fast: whether to stop after the first comparison that is not equal.
        mode: how to compare, instead of the configured modes; see `reconcile.modes`.
        state: folder for what the next run may use: checksums, and how much differed; None to keep nothing.
        clock: what time it is.
        on_progress: told of progress, from several threads.

    Returns:
        What was found. A difference, or a side that cannot be read, is a result and no exception.

    Raises:
        ConfigurationError: when a name is unknown, or the configuration contradicts the contracts.
        UnavailableError: when the audit row cannot be written; the reports are by then.
    """
    started_at, began = clock(), time.monotonic()
    if output is not None:
        prepare_output(output)
    with Services(settings, started_at) as services:
        planned = _planned(config, services, tables=tuple(tables), snapshot_id=snapshot_id)
        work = _Work(
            services=services,
            limits=config.limits,
            output=output,
            values=values,
            mode=mode,
            state=state,
            on_progress=on_progress,
        )
        results, not_run = _comparisons(work, planned, fail_fast=fail_fast)
        result = RunResult(
            schema_version=SCHEMA_VERSION,
            run_id=f"{started_at:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
            verdict=worst(tuple(found.verdict for found in results)),
            started_at=started_at,
            seconds=round(time.monotonic() - began, 3),
            project=planned.project,
            snapshot=planned.snapshot,
            comparisons=results,
            not_run=not_run,
            versions=_versions(),
        )
        if output is not None:
            write_reports(result, output)
        if audit:
            append_run(services.bigquery(), settings, result)
    return result


def _planned(
    config: ReconcileConfig, services: Services, *, tables: tuple[str, ...], snapshot_id: str | None
) -> RunPlan:
    contracts = load_contracts(services.settings.contracts_path)
    return plan_run(config, config.select(tables), services=services, contracts=contracts, snapshot_id=snapshot_id)


def _comparisons(
    work: _Work, planned: RunPlan, *, fail_fast: bool
) -> tuple[tuple[ComparisonResult, ...], tuple[str, ...]]:
    results: list[ComparisonResult] = []
    for number, comparison in enumerate(planned.comparisons, start=1):
        results.append(_comparison(work, comparison))
        work.on_progress(Progress(comparison.name, "done"))
        if fail_fast and results[-1].verdict != "equal":
            return tuple(results), tuple(left.name for left in planned.comparisons[number:])
    return tuple(results), ()


def _comparison(work: _Work, comparison: ComparisonPlan | Unplanned) -> ComparisonResult:
    if isinstance(comparison, Unplanned):
        return _unreadable(comparison, comparison.reason, None, 0.0)
    began = time.monotonic()
    try:
        with _opened(work, comparison) as reading:
            try:
                return _read_and_compared(work, reading, by_value=False)
            except DirectReadError:
                return _read_and_compared(work, reading, by_value=True)
    except UnreadableError as error:
        return _unreadable(comparison, str(error), _inputs(comparison), time.monotonic() - began)


@contextmanager
def _opened(work: _Work, comparison: ComparisonPlan) -> Iterator[Reading]:
    """Pin both sides, before a row of either is read."""
    workers = work.limits.readers
    with (
        open_source(comparison.warehouse.table, work.services, workers=workers) as warehouse,
        open_source(comparison.snapshot.spec, work.services, workers=workers) as snapshot,
    ):
        told = partial(_tell, work.on_progress, comparison.name)
        yield Reading(comparison, warehouse, snapshot, workers, told)


def _tell(on_progress: OnProgress, name: str, side: Phase, rows: int) -> None:
    on_progress(Progress(name, side, rows))


def _read_and_compared(work: _Work, reading: Reading, *, by_value: bool) -> ComparisonResult:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-reconcile-") as scratch:
        sides = read_sides(reading, Path(scratch), by_value=by_value)
        read_s = time.monotonic() - began
        found = _compared(work, reading, sides=sides, scratch=Path(scratch), read_s=read_s)
        check_still_there(reading, sides)
        return found


def _compared(
    work: _Work,
    reading: Reading,
    *,
    sides: ReadSides,
    scratch: Path,
    read_s: float,
) -> ComparisonResult:
    comparison = reading.plan
    work.on_progress(Progress(comparison.name, "compare"))
    began = time.monotonic()
    file = f"{DIFFERENCES}/{comparison.name}.parquet"
    chosen = _chosen(work, comparison, sides.rows)
    kept = work.state / f"{comparison.name}.tree.json" if work.state is not None else None
    limits = EngineLimits(work.limits.memory_mb, work.limits.threads or os.cpu_count() or 1, work.limits.sample)
    found = compare(
        comparison,
        *sides.rows,
        scratch=scratch,
        limits=limits,
        export=work.output / file if work.output is not None else None,
        values=work.values,
        how=How(chosen.mode, comparison.sample_share, kept),
    )
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
        inputs=_inputs(comparison, reading, sides.receipt),
        timing=Timing(round(read_s, 3), round(time.monotonic() - began, 3)),
        mode=chosen.mode,
        why=chosen.why,
        evidence=found.evidence,
    )


def _chosen(work: _Work, comparison: ComparisonPlan, sides: tuple[Source, Source]) -> Chosen:
    is_ordered = all(isinstance(side, Direct) for side in sides)
    last = recall_run(last_run(work.state, comparison.name)) if work.state is not None else None
    return choose(comparison, work.mode, last, is_ordered=is_ordered)


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
    )


def _versions() -> Versions:
    try:
        ours = metadata.version("millrace")
    except metadata.PackageNotFoundError:
        ours = "uninstalled"
    return Versions(millrace=ours, duckdb=duckdb.__version__, pyarrow=pa.__version__, python=platform.python_version())
