"""The `reconcile` command.

Exit 0 when every comparison passes (equal, or different within its thresholds), 1 when one does not or cannot be read,
2 on wrong use (options and configuration).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypedDict

import typer

from core.cli import run as run_application
from core.errors import ConfigurationError
from reconcile.config_file import DEFAULT_CONFIG
from reconcile.options import (
    DEFAULT_OUTPUT,
    DEFAULT_STATE,
    AllOption,
    AuditOption,
    ConfigOption,
    CountOption,
    IndexOption,
    JsonOption,
    ModeOption,
    OutputOption,
    RunIdOption,
    ShardRowsOption,
    ShardsOption,
    SnapshotOption,
    StateOption,
    TableOption,
    console,
    usage,
)
from reconcile.report_commands import history, repair, report, show

if TYPE_CHECKING:
    from core.settings import Settings
    from reconcile.comparing import OnProgress
    from reconcile.config import AskedMode, ReconcileConfig
    from reconcile.result import RunResult
    from reconcile.shards.running import Task

app: Final = typer.Typer(
    help="Prove, row by row, that the warehouse holds what the snapshots hold.",
    epilog=(
        "Exit codes: 0 all equal or within thresholds, 1 a difference, or something unreadable or out of reach, "
        "2 wrong use. "
        "Settings come from MILLRACE_* variables; see docs/guides/reconcile.md."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.command()
def run(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    every: AllOption = False,
    snapshot: SnapshotOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first table that fails.")] = False,
    values: Annotated[
        bool,
        typer.Option("--values", help="Write both sides' values, personal ones too, into the Parquet of differences."),
    ] = False,
    mode: ModeOption = None,
    state: StateOption = DEFAULT_STATE,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan, modes and bytes; read no data.")] = False,
    audit: AuditOption = True,
    shards: ShardsOption = None,
    run_id: RunIdOption = None,
    task_index: IndexOption = 0,
    task_count: CountOption = 1,
    shard_rows: ShardRowsOption = 5_000_000,
) -> None:
    """Compare tables with a snapshot and write the reports.

    **Examples**

    `reconcile run`

    `reconcile run --table members --table member_points --snapshot 2026-01-31T00-00-00Z`

    `reconcile run --json --no-audit | jq .verdict`

    `reconcile run --mode checksum --explain`

    `reconcile run --run-id 2026-01-31`

    `reconcile run --all --shards /mnt/reconcile --run-id 2026-01-31 --task-index 0 --task-count 4`
    """
    if explain:
        plan(
            config=config,
            table=table,
            every=every,
            snapshot=snapshot,
            mode=mode,
            state=state,
            task_count=task_count,
            shard_rows=shard_rows,
            as_json=as_json,
        )
    # Imported here: Google's clients take seconds to load, and `--help` needs none of them.
    from reconcile.report.progress import showing_progress
    from reconcile.runner import run as reconcile

    with usage(), _shown_first(output, as_json=as_json):
        names = _names(table, every=every)
        place = _Place(shards, state, run_id, task_index, task_count, shard_rows)
        task = _task(place, fail_fast=fail_fast)
        loaded, settings = _prepared(config)
        count = len(loaded.select(names))
        _check_reached(settings)
        with showing_progress(count) as on_progress:
            asked = _Asked(
                tables=names,
                snapshot_id=snapshot,
                output=output,
                audit=audit,
                values=values,
                mode=mode,
                state=state,
                on_progress=on_progress,
            )
            if task is None:
                result = reconcile(loaded, settings, fail_fast=fail_fast, **asked)
            else:
                from reconcile.shards.running import run_task

                did = run_task(loaded, settings, task, **asked)
                if did.result is None:
                    typer.echo(
                        f"task {task.index} of {task.count}: {did.done} shards done, {did.unreadable} of them "
                        f"unreadable, {did.kept} kept, {did.left} left to other tasks; the last one merges",
                        err=True,
                    )
                    raise typer.Exit(1 if did.unreadable else 0)
                result = did.result
                if did.is_again:
                    typer.echo(
                        f"the run {task.run_id} of {result.started_at:%Y-%m-%dT%H:%M:%SZ} has ended; its report is "
                        "shown again, and nothing was compared: for a new one, give another --run-id",
                        err=True,
                    )
    _end(result, output, as_json=as_json)


@app.command()
def merge(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    shards: ShardsOption = None,
    run_id: RunIdOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    audit: AuditOption = True,
) -> None:
    """Merge a run whose tasks are all done; the last task does that by itself.

    **Examples**

    `reconcile merge --shards /mnt/reconcile --run-id 2026-01-31`
    """
    from core.stand_ins import BIGQUERY, check_stand_ins
    from reconcile.shards.running import merge as merge_run

    with usage(), _shown_first(output, as_json=as_json):
        if shards is None or run_id is None:
            raise ConfigurationError("name the run with --run-id, and the folder that its tasks shared with --shards")
        loaded, settings = _prepared(config)
        if audit:
            check_stand_ins(settings, (BIGQUERY,))
        result = merge_run(loaded, settings, shards, run_id, output=output, audit=audit)
    _end(result, output, as_json=as_json)


@app.command()
def plan(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    every: AllOption = False,
    snapshot: SnapshotOption = None,
    mode: ModeOption = None,
    state: StateOption = DEFAULT_STATE,
    task_count: CountOption = 1,
    shard_rows: ShardRowsOption = 5_000_000,
    as_json: JsonOption = False,
) -> None:
    """Say what would be read and compared, with every type checked; no row is read.

    The bytes of BigQuery are those of a dry run, or else an estimate; it says which.

    **Examples**

    `reconcile plan`

    `reconcile plan --table members --json`

    `reconcile plan --task-count 8`
    """
    from reconcile.explaining import explain
    from reconcile.report.plan_view import plan_json, print_plan

    with usage():
        loaded, settings = _prepared(config)
        _check_reached(settings)
        told = explain(
            loaded,
            settings,
            tables=_names(table, every=every),
            snapshot_id=snapshot,
            mode=mode,
            state=state,
            task_count=task_count,
            shard_rows=shard_rows,
        )
    if as_json:
        typer.echo(plan_json(told), nl=False)
    else:
        print_plan(console(), told)
    raise typer.Exit(0 if told.plan.is_complete else 1)


for command in (show, report, history, repair):
    app.command()(command)


def main() -> None:
    """Run the command."""
    run_application(app, "reconcile")


def _prepared(config: Path) -> "tuple[ReconcileConfig, Settings]":
    """Read the configuration and the settings, and log as these say."""
    from core.logs import configure_logs
    from core.settings import load_settings
    from reconcile.config_file import load_config

    loaded, settings = load_config(config), load_settings()
    configure_logs(settings.log_format, settings.log_level)
    return loaded, settings


def _check_reached(settings: "Settings") -> None:
    """Check that what a comparison may read from is there, if it is local."""
    from core.stand_ins import BIGQUERY, BIGQUERY_STORAGE, S3, check_stand_ins

    check_stand_ins(settings, (BIGQUERY, BIGQUERY_STORAGE, S3))


def _names(table: list[str] | None, *, every: bool) -> tuple[str, ...]:
    if table and every:
        raise ConfigurationError("give --table or --all, not both")
    return tuple(table or ())


class _Asked(TypedDict):
    """What a run is asked for, whether it is one task or one of many."""

    tables: tuple[str, ...]
    snapshot_id: str | None
    output: Path
    audit: bool
    values: bool
    mode: "AskedMode | None"
    state: Path
    on_progress: "OnProgress"


@dataclass(frozen=True)
class _Place:
    """Where a run in parts keeps them, and which part of it this process does."""

    shards: str | None
    state: Path
    run_id: str | None
    index: int
    count: int
    shard_rows: int


def _task(place: _Place, *, fail_fast: bool) -> "Task | None":
    """Return the task of a run that can be resumed; None for a run that cannot."""
    is_alone = place.shards is None
    if is_alone and place.count > 1:
        raise ConfigurationError("several tasks need a folder that all of them share: name it with --shards")
    if is_alone and (place.run_id is None or fail_fast):
        return None
    if place.run_id is None:
        raise ConfigurationError("name the run with --run-id, the same in every task")
    if fail_fast:
        raise ConfigurationError("--fail-fast and --shards exclude each other: tasks do not wait for one another")
    from reconcile.shards.running import Task

    folder = place.shards or place.state / "runs"
    return Task(folder, place.run_id, place.index, place.count, place.shard_rows, is_alone)


@contextmanager
def _shown_first(output: Path, *, as_json: bool) -> Iterator[None]:
    """Print what a run found before the fault that nobody could be told of it."""
    from reconcile.alerts import UntoldError

    try:
        yield
    except UntoldError as error:
        _print(error.result, output, as_json=as_json)
        raise


def _end(result: "RunResult", output: Path, *, as_json: bool) -> None:
    """Print what a run found, and exit by its outcome."""
    _print(result, output, as_json=as_json)
    raise typer.Exit(0 if result.outcome == "passed" else 1)


def _print(result: "RunResult", output: Path, *, as_json: bool) -> None:
    from reconcile.report.files import HTML_NAME, to_json
    from reconcile.report.terminal import print_result

    if as_json:
        typer.echo(to_json(result), nl=False)
    else:
        screen = console()
        print_result(screen, result)
        screen.print(f"report: {output / HTML_NAME}", markup=False)
