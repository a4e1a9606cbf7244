"""A run: plan, read, compare, report, one comparison after the other."""

import time
from collections.abc import Sequence
from pathlib import Path

from core.clock import Clock, utc_now
from core.contracts import Contracts, load_contracts
from core.settings import Settings
from reconcile.alerts import check_alert
from reconcile.comparing import OnProgress, Progress, Work, make_comparison
from reconcile.concluding import conclude, made_with, new_run_id, partitions_of
from reconcile.config import AskedMode, ReconcileConfig
from reconcile.planner import plan_run
from reconcile.plans import ComparisonPlan, RunPlan
from reconcile.report.files import prepare_output
from reconcile.result import SCHEMA_VERSION, ComparisonResult, RunResult, worst
from reconcile.row_counts import known_rows, with_rows
from reconcile.sources.services import Services


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
        ConfigurationError: when a name is unknown, or the configuration does not fit what it compares; see `plan_run`.
    """
    with Services(settings, utc_now()) as services:
        return plan_with(services, config, tables=tables, snapshot_id=snapshot_id)


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
        audit: whether to append to `reconciliation_runs` and the tables beside it in the audit dataset.
        values: whether the Parquet of differences holds both sides' values, personal ones included.
        fail_fast: whether to stop after the first comparison that is not equal.
        mode: how to compare, instead of the configured modes; see `reconcile.modes`.
        state: folder for what the next run may use: checksums, and how much differed; None to keep nothing.
        clock: what time it is.
        on_progress: told of progress, from several threads.

    Returns:
        What was found. A difference, or a side that cannot be read, is a result and no exception.

    Raises:
        ConfigurationError: when a name is unknown, or the configuration does not fit what it compares; see `plan_run`.
        UnavailableError: when the audit rows cannot be written, or nobody could be told; the reports are by then.
    """
    started_at, began = clock(), time.monotonic()
    check_alert(config.alert)
    if output is not None:
        prepare_output(output)
    with Services(settings, started_at) as services:
        planned = plan_with(services, config, tables=tables, snapshot_id=snapshot_id, mode=mode)
        on_progress(Progress("", "planned", expected_rows(planned)))
        work = Work(
            services=services,
            limits=config.limits,
            output=output,
            values=values,
            mode=mode,
            state=state,
            partitions=partitions_of(config),
            taken_at=planned.snapshot.taken_at,
            on_progress=on_progress,
        )
        results, not_run = _comparisons(work, planned, fail_fast=fail_fast)
        result = RunResult(
            schema_version=SCHEMA_VERSION,
            run_id=new_run_id(started_at),
            verdict=worst(tuple(found.verdict for found in results)),
            started_at=started_at,
            seconds=round(time.monotonic() - began, 3),
            project=planned.project,
            snapshot=planned.snapshot,
            comparisons=results,
            not_run=not_run,
            versions=made_with(),
        )
        return conclude(config, services, result, output=output, audit=audit)


def plan_with(
    services: Services,
    config: ReconcileConfig,
    *,
    tables: Sequence[str] = (),
    snapshot_id: str | None = None,
    mode: AskedMode | None = None,
) -> RunPlan:
    """Plan a run with services that are open.

    Args:
        services: where to read schemas, listings and footers.
        config: the configuration.
        tables: names of comparisons; all when empty.
        snapshot_id: which snapshot instead of the configured one.
        mode: how to compare, instead of the configured modes.

    Returns:
        The plan.

    Raises:
        ConfigurationError: see `plan`.
    """
    selected = config.select(tuple(tables))
    # Comparisons that follow no contract need none to be there.
    is_declared = any(comparison.contract is not None for comparison in selected)
    contracts = load_contracts(services.settings.contracts_path) if is_declared else Contracts({})
    found = plan_run(config, selected, services=services, contracts=contracts, snapshot_id=snapshot_id, mode=mode)
    return with_rows(found, services, workers=config.limits.readers)


def _comparisons(
    work: Work, planned: RunPlan, *, fail_fast: bool
) -> tuple[tuple[ComparisonResult, ...], tuple[str, ...]]:
    results: list[ComparisonResult] = []
    for number, comparison in enumerate(planned.comparisons, start=1):
        results.append(make_comparison(work, comparison))
        work.on_progress(Progress(comparison.name, "done"))
        if fail_fast and results[-1].verdict != "equal":
            return tuple(results), tuple(left.name for left in planned.comparisons[number:])
    return tuple(results), ()


def expected_rows(planned: RunPlan) -> int:
    """Return about how many rows a run will read, on both sides; 0 when nobody says it of every comparison.

    Args:
        planned: the run.
    """
    stated = [known_rows(found) for found in planned.comparisons if isinstance(found, ComparisonPlan)]
    # The sides of a table that is in order are alike.
    return 0 if None in stated else 2 * sum(rows for rows in stated if rows is not None)
