"""The `reconcile` command.

Exit 0 when every comparison is equal, 1 when one differs or cannot be read, 2 on wrong use (options and configuration).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from core.cli import run as run_application
from core.errors import ConfigurationError, CredentialsError
from reconcile.config import DEFAULT_CONFIG

app: Final = typer.Typer(
    help="Prove, row by row, that the warehouse holds what the snapshots hold.",
    epilog=(
        "Exit codes: 0 all equal, 1 a difference, something unreadable or out of reach, 2 wrong use. "
        "Settings come from MILLRACE_* variables; see docs/guides/reconcile.md."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

ConfigOption = Annotated[Path, typer.Option("--config", help="What to compare.", dir_okay=False)]
TableOption = Annotated[list[str] | None, typer.Option("--table", help="A comparison to make; give it again for more.")]
AllOption = Annotated[bool, typer.Option("--all", help="Make every comparison; the default.")]
SnapshotOption = Annotated[
    str | None, typer.Option("--snapshot", help="The snapshot's name, instead of the configured one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


ModeOption = Annotated[
    Literal["auto", "count", "aggregate", "sample", "checksum", "typed"] | None,
    typer.Option("--mode", help="How to compare, instead of the configured modes."),
]
StateOption = Annotated[
    Path, typer.Option("--state", help="Folder for what the next run may use: checksums.", file_okay=False)
]
DEFAULT_STATE: Final = Path("build/reconcile-state")


@app.command()
def run(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    every: AllOption = False,
    snapshot: SnapshotOption = None,
    output: Annotated[Path, typer.Option("--output", help="Folder for the reports.", file_okay=False)] = Path(
        "build/reconcile"
    ),
    as_json: JsonOption = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first table that fails.")] = False,
    values: Annotated[
        bool,
        typer.Option("--values", help="Write both sides' values, personal ones too, into the Parquet of differences."),
    ] = False,
    mode: ModeOption = None,
    state: StateOption = DEFAULT_STATE,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan, modes and bytes; read no data.")] = False,
    audit: Annotated[bool, typer.Option("--audit/--no-audit", help="Append to audit.reconciliation_runs.")] = True,
) -> None:
    """Compare tables with a snapshot and write the reports.

    **Examples**

    `reconcile run`

    `reconcile run --table members --table member_points --snapshot 2026-01-31T00-00-00Z`

    `reconcile run --json --no-audit | jq .verdict`

    `reconcile run --mode checksum --explain`
    """
    if explain:
        plan(config=config, table=table, every=every, snapshot=snapshot, mode=mode, state=state, as_json=as_json)
    # Imported here: Google's clients take seconds to load, and `--help` needs none of them.
    from core.logs import configure_logs
    from core.settings import load_settings
    from core.stand_ins import BIGQUERY, BIGQUERY_STORAGE, S3, check_stand_ins
    from reconcile.config import load_config
    from reconcile.report.files import HTML_NAME, to_json
    from reconcile.report.progress import showing_progress
    from reconcile.report.terminal import print_result
    from reconcile.runner import run as reconcile

    with _usage():
        names = _names(table, every=every)
        loaded, settings = load_config(config), load_settings()
        configure_logs(settings.log_format, settings.log_level)
        count = len(loaded.select(names))
        check_stand_ins(settings, (BIGQUERY, BIGQUERY_STORAGE, S3))
        with showing_progress(count) as on_progress:
            result = reconcile(
                loaded,
                settings,
                tables=names,
                snapshot_id=snapshot,
                output=output,
                audit=audit,
                values=values,
                fail_fast=fail_fast,
                mode=mode,
                state=state,
                on_progress=on_progress,
            )
    if as_json:
        typer.echo(to_json(result), nl=False)
    else:
        console = _console()
        print_result(console, result)
        console.print(f"report: {output / HTML_NAME}", markup=False)
    raise typer.Exit(0 if result.outcome == "passed" else 1)


@app.command()
def plan(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    every: AllOption = False,
    snapshot: SnapshotOption = None,
    mode: ModeOption = None,
    state: StateOption = DEFAULT_STATE,
    as_json: JsonOption = False,
) -> None:
    """Say what would be read and compared, with every type checked; no data is read.

    **Examples**

    `reconcile plan`

    `reconcile plan --table members --json`
    """
    from core.settings import load_settings
    from core.stand_ins import BIGQUERY, BIGQUERY_STORAGE, S3, check_stand_ins
    from reconcile.config import load_config
    from reconcile.report.plan_view import plan_json, print_plan
    from reconcile.runner import plan as make_plan

    with _usage():
        loaded, settings = load_config(config), load_settings()
        check_stand_ins(settings, (BIGQUERY, BIGQUERY_STORAGE, S3))
        planned = make_plan(loaded, settings, tables=_names(table, every=every), snapshot_id=snapshot)
    if as_json:
        typer.echo(plan_json(planned, mode, state), nl=False)
    else:
        print_plan(_console(), planned, mode, state)
    raise typer.Exit(0 if planned.is_complete else 1)


@app.command()
def show(
    report: Annotated[Path, typer.Argument(help="A report.json, or the folder it is in.")] = Path("build/reconcile"),
) -> None:
    """Print a report as a table; exits as the run did.

    **Examples**

    `reconcile show`

    `reconcile show archive/2026-01-31/report.json`
    """
    from reconcile.report.files import read_json
    from reconcile.report.terminal import print_result

    result = read_json(report)
    print_result(_console(), result)
    raise typer.Exit(0 if result.outcome == "passed" else 1)


def main() -> None:
    """Run the command."""
    run_application(app, "reconcile")


def _names(table: list[str] | None, *, every: bool) -> tuple[str, ...]:
    if table and every:
        raise ConfigurationError("give --table or --all, not both")
    return tuple(table or ())


@contextmanager
def _usage() -> Iterator[None]:
    """Turn a fault of the configuration into a wrong use, exit 2; what the machine lacks is a failure, exit 1."""
    try:
        yield
    except CredentialsError:
        raise
    except ConfigurationError as error:
        typer.echo(f"reconcile: {error}", err=True)
        raise typer.Exit(2) from error


def _console() -> Console:
    # Lines are left to the terminal to wrap, so that output stays greppable.
    return Console(soft_wrap=True, highlight=False)
