"""One task of a run in many: the plan made or followed, its shards done, and the whole merged when it is the last."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from core.clock import Clock, utc_now
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from reconcile.alerts import check_alert
from reconcile.comparing import OnProgress, Progress, Work, make_comparison
from reconcile.concluding import conclude, made_with, partitions_of
from reconcile.config import AskedMode, ReconcileConfig
from reconcile.plans import ComparisonPlan, FileSet, RunPlan, Unplanned
from reconcile.read.warehouse import WarehouseTable
from reconcile.report.files import prepare_output
from reconcile.result import SCHEMA_VERSION, ComparisonResult, RunResult, worst
from reconcile.runner import plan_with
from reconcile.shards.cutting import ShardSize, part_of
from reconcile.shards.dividing import Wish, divide
from reconcile.shards.ended import check_request, shown_again
from reconcile.shards.folder import RunFolder, opened
from reconcile.shards.merging import differences_file, merged_comparison, merged_differences
from reconcile.shards.model import (
    PLAN_VERSION,
    Shard,
    ShardedRun,
    assigned,
    digest_of_files,
    digest_of_request,
)
from reconcile.sources.services import Services

SHARD_ROWS: Final = 5_000_000
"""Rows of a shard at most, about: what one task compares in some seconds, and loses when it is killed."""
SHARDS_A_TASK: Final = 2
"""Shards that a task has at least where rows allow: several even out what they weigh."""
_WAIT_S: Final = 900.0
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def check_run_id(run_id: str) -> None:
    """Check a run's name, which names its folder and its jobs in BigQuery.

    Args:
        run_id: the name.

    Raises:
        ConfigurationError: when it is none.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigurationError(f"{run_id!r} is no name of a run: use letters, digits, hyphens and underscores")


@dataclass(frozen=True)
class Task:
    """Which part of a run a process does, and where.

    Attributes:
        folder: what all tasks share: a folder, or an address such as `gs://bucket/runs`.
        run_id: name of the run; a task that is started again under it does only the rest.
        index: the task, from 0.
        count: how many tasks there are.
        shard_rows: rows of a shard at most, about.
        is_alone: whether the folder is the task's own: what its parts left is then removed once they are merged.
    """

    folder: Path | str
    run_id: str
    index: int = 0
    count: int = 1
    shard_rows: int = SHARD_ROWS
    is_alone: bool = False

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        if not 0 <= self.index < self.count:
            raise ConfigurationError(f"there is no task {self.index} of {self.count}; they are counted from 0")


@dataclass(frozen=True)
class TaskResult:
    """What a task did.

    Attributes:
        done: shards that it made now.
        kept: its shards that were done before.
        left: shards of other tasks that are not done.
        result: the whole run, when nothing is left.
        unreadable: its shards that could not be read; the same command tries them again.
        is_again: whether the run had ended before, and nothing was compared.
    """

    done: int
    kept: int
    left: int
    result: RunResult | None
    unreadable: int = 0
    is_again: bool = False


def run_task(
    config: ReconcileConfig,
    settings: Settings,
    task: Task,
    *,
    tables: Sequence[str] = (),
    snapshot_id: str | None = None,
    output: Path | None = None,
    audit: bool = True,
    values: bool = False,
    mode: AskedMode | None = None,
    state: Path | None = None,
    clock: Clock = utc_now,
    on_progress: OnProgress = lambda _: None,
) -> TaskResult:
    """Do one task of a run.

    Args:
        config: the configuration; all tasks must have the same.
        settings: where the warehouse, the contracts and S3 are.
        task: which task.
        tables: names of comparisons; all when empty.
        snapshot_id: which snapshot instead of the configured one.
        output: folder for the reports, written by the last task; None to write none.
        audit: whether the last task appends to the audit trail.
        values: whether the Parquet of differences holds both sides' values.
        mode: how to compare, instead of the configured modes.
        state: folder for what the next run may use; None to keep nothing.
        clock: what time it is.
        on_progress: told of progress, from several threads.

    Returns:
        What was done; the result of the whole from the task that ends last.

    Raises:
        ConfigurationError: when the task asks for something else than the run's plan.
        UnavailableError: when the plan does not come, or the end of the run could not be kept or told.
    """
    check_alert(config.alert)
    asked = _Asked(tuple(tables), snapshot_id, output, audit, values, mode, state, clock, on_progress)
    with opened(task.folder, task.run_id, settings) as folder:
        folder.make()
        known, merged = folder.plan(), folder.merged()
        if known is not None:
            check_request(known, _request(config, asked), task.folder)
            if merged is not None and merged.verdict != "unreadable":
                return TaskResult(0, 0, 0, shown_again(folder, known, merged, output), is_again=True)
        return _task_done(config, settings, task, folder, asked)


@dataclass(frozen=True)
class _Asked:
    """What a task is asked for; see `run_task`."""

    tables: tuple[str, ...]
    snapshot_id: str | None
    output: Path | None
    audit: bool
    values: bool
    mode: AskedMode | None
    state: Path | None
    clock: Clock
    on_progress: OnProgress


def _request(config: ReconcileConfig, asked: _Asked) -> str:
    return digest_of_request(config, asked.tables, asked.snapshot_id, asked.mode, asked.values)


def _task_done(config: ReconcileConfig, settings: Settings, task: Task, folder: RunFolder, asked: _Asked) -> TaskResult:
    request = _request(config, asked)
    began = asked.clock()
    known = folder.plan() if task.index == 0 else folder.await_plan(_WAIT_S)
    with _services(settings, known, began) as services:
        planned = plan_with(
            services,
            config,
            tables=asked.tables,
            snapshot_id=known.snapshot.snapshot_id if known is not None else asked.snapshot_id,
            mode=asked.mode,
        )
        if known is None:
            wish = Wish(
                mode=asked.mode,
                state=asked.state,
                size=ShardSize(task.shard_rows, task.count * SHARDS_A_TASK),
                workers=config.limits.readers,
                partitioned=frozenset(partitions_of(config)),
            )
            known = _planned(services, planned, task.run_id, wish, request=request, values=asked.values)
            folder.keep_plan(known)
        check_request(known, request, task.folder)
        if known.snapshot.snapshot_id is None:
            # There was none when the run began, and nothing was compared with it.
            known = msgspec.structs.replace(known, snapshot=planned.snapshot)
        mine = assigned(known.shards, task.index, task.count)
        open_ones = [shard for shard in mine if not _is_compared(folder.result(shard))]
        work = Work(
            services=services,
            limits=config.limits,
            output=folder.root,
            values=asked.values,
            mode=asked.mode,
            state=asked.state,
            partitions=partitions_of(config),
            taken_at=known.snapshot.taken_at,
            on_progress=asked.on_progress,
            decided=known.decided,
        )
        asked.on_progress(Progress("", "planned", 2 * sum(shard.rows for shard in open_ones)))
        plans = {comparison.name: comparison for comparison in planned.comparisons}
        for shard in open_ones:
            folder.keep_result(shard, _made(work, known, plans[shard.comparison], shard))
            asked.on_progress(Progress(shard.name, "done"))
        left = len(folder.open_shards(known))
        result = (
            None
            if left
            else _merged(config, services, folder, known, output=asked.output, audit=asked.audit, clock=asked.clock)
        )
        unreadable = sum(not _is_compared(folder.result(shard)) for shard in mine)
        if result is not None and task.is_alone and not unreadable:
            folder.drop_parts()
    return TaskResult(len(open_ones), len(mine) - len(open_ones), left, result, unreadable)


def _services(settings: Settings, known: ShardedRun | None, now: datetime) -> Services:
    return Services(settings, now) if known is None else Services(settings, known.started_at, known.snapshot_time)


def _is_in_bigquery(plan: ComparisonPlan) -> bool:
    return any(isinstance(side.table, WarehouseTable) for side in (plan.warehouse, plan.snapshot))


def _is_compared(found: ComparisonResult | None) -> bool:
    """Return whether a shard is done for good; what could not be read may be there the next time."""
    return found is not None and found.verdict != "unreadable"


def merge(
    config: ReconcileConfig,
    settings: Settings,
    folder: Path | str,
    run_id: str,
    *,
    output: Path | None = None,
    audit: bool = True,
    clock: Clock = utc_now,
) -> RunResult:
    """Merge the shards of a run that are all done.

    Args:
        config: the configuration.
        settings: where the audit dataset is.
        folder: what the tasks shared; see `Task`.
        run_id: name of the run.
        output: folder for the reports; None to write none.
        audit: whether to append to the audit trail; one that was merged before is not appended again.
        clock: what time it is.

    Returns:
        The result of the whole.

    Raises:
        ConfigurationError: when there is no such run.
        UnavailableError: when some of its shards are not done.
    """
    check_run_id(run_id)
    with opened(folder, run_id, settings) as shared:
        return _merged_by_hand(config, settings, shared, f"{folder}/{run_id}", output=output, audit=audit, clock=clock)


def _merged_by_hand(
    config: ReconcileConfig,
    settings: Settings,
    shared: RunFolder,
    where: str,
    *,
    output: Path | None,
    audit: bool,
    clock: Clock,
) -> RunResult:
    known = shared.plan()
    if known is None:
        raise ConfigurationError(f"{where}: holds no run; name it with --run-id, and its folder with --shards")
    merged = shared.merged()
    shared.make()
    if merged is not None and merged.verdict != "unreadable":
        return shown_again(shared, known, merged, output)
    left = shared.open_shards(known)
    if left:
        raise UnavailableError(
            f"{where}: {len(left)} of {len(known.shards)} shards are not done, such as {left[0].name}; start the "
            "tasks again, each does only what is left"
        )
    with Services(settings, known.started_at) as services:
        return _merged(config, services, shared, known, output=output, audit=audit, clock=clock)


def _planned(
    services: Services, planned: RunPlan, run_id: str, wish: Wish, *, request: str, values: bool
) -> ShardedRun:
    plans = [found for found in planned.comparisons if isinstance(found, ComparisonPlan)]
    divided = {found.name: divide(found, services, wish) for found in plans}
    return ShardedRun(
        version=PLAN_VERSION,
        run_id=run_id,
        config=request,
        started_at=services.now,
        snapshot_time=services.snapshot_time if any(map(_is_in_bigquery, plans)) else None,
        project=planned.project,
        snapshot=planned.snapshot,
        mode=wish.mode,
        values=values,
        pins={found.name: _pin(found) for found in plans},
        restrictions={found.name: found.warehouse.restriction for found in plans},
        shards=tuple(
            shard
            for found in planned.comparisons
            for shard in (divided[found.name].shards if found.name in divided else (Shard(found.name, 0, 1, 0),))
        ),
        decided={name: found.chosen for name, found in divided.items() if found.chosen is not None},
    )


def _made(work: Work, run: ShardedRun, plan: ComparisonPlan | Unplanned, shard: Shard) -> ComparisonResult:
    if isinstance(plan, Unplanned):
        return make_comparison(work, plan)
    # What could not be planned when the run began has no version that it would have to keep to.
    if run.pins.get(plan.name, _pin(plan)) != _pin(plan):
        reason = "its files are not those that the run began with; give it another --run-id"
        return make_comparison(work, Unplanned(plan.name, plan.contract, reason))
    if shard.of == 1:
        return make_comparison(work, plan)
    part = part_of(plan, shard)
    by = work.partitions.get(plan.name)
    decided = {part.name: run.decided[plan.name]} if plan.name in run.decided else {}
    # What is kept for the next run is of whole comparisons.
    of_part = replace(work, state=None, decided=decided, partitions={part.name: by} if by is not None else {})
    return make_comparison(of_part, part)


def _pin(plan: ComparisonPlan) -> str:
    """Return a digest of the files of both sides; tables of a database are pinned by the run's instant."""
    table = plan.warehouse.table
    return digest_of_files((*plan.snapshot.objects, *(table.objects if isinstance(table, FileSet) else ())))


def _merged(
    config: ReconcileConfig,
    services: Services,
    folder: RunFolder,
    run: ShardedRun,
    *,
    output: Path | None,
    audit: bool,
    clock: Clock,
) -> RunResult:
    began = time.monotonic()
    if output is not None:
        prepare_output(output)
    comparisons = tuple(_merged_comparison(config, folder, run, name, output) for name in run.comparisons)
    result = RunResult(
        schema_version=SCHEMA_VERSION,
        run_id=run.run_id,
        verdict=worst(tuple(found.verdict for found in comparisons)),
        started_at=run.started_at,
        seconds=round(max((clock() - run.started_at).total_seconds(), time.monotonic() - began), 3),
        project=run.project,
        snapshot=run.snapshot,
        comparisons=comparisons,
        not_run=(),
        versions=made_with(),
    )
    result = conclude(config, services, result, output=output, audit=audit)
    folder.keep_merged(result, output)
    return result


def _merged_comparison(
    config: ReconcileConfig, folder: RunFolder, run: ShardedRun, name: str, output: Path | None
) -> ComparisonResult:
    found = [folder.result(shard) for shard in run.shards if shard.comparison == name]
    parts = [part for part in found if part is not None]
    whole = merged_comparison(name, parts, restriction=run.restrictions.get(name, ""), sample=config.limits.sample)
    file = differences_file(name)
    folder.fetch_differences(parts)
    written = (
        output is not None and whole.verdict != "unreadable" and merged_differences(folder.root, parts, output / file)
    )
    return replace(whole, differences_file=file if written else None)
