"""The `pipeline` command: build zones once, or keep building them on their cadence."""

import functools
import json
import signal
import threading
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console
from rich.table import Table

from core.cli import run as run_application
from core.cli import usage
from core.clock import utc_now
from core.logs import configure_logs
from core.settings import load_settings
from pipeline.config import PipelineConfig, load_config
from pipeline.dbt_project import DbtProject
from pipeline.history import History
from pipeline.lineage.emit import lineage_from_environment
from pipeline.locks import lock_owner
from pipeline.privacy.cli import app as privacy_app
from pipeline.quality.cli import app as quality_app
from pipeline.reconciliation import Reconciliation, reconcile_command
from pipeline.runner import Runner, RunSummary
from pipeline.status import Status
from pipeline.target import check_warehouse, dbt_settings
from pipeline.zones import build

app: Final = typer.Typer(
    help="Build the zones of the warehouse with dbt, each after the one above it.",
    epilog="Exit codes: 0 all built, 1 a zone failed or was held up, 2 wrong use. See docs/guides/pipeline.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(quality_app, name="quality")
app.add_typer(privacy_app, name="privacy")

ConfigOption = Annotated[Path, typer.Option("--config", help="Zones, cadences, order.", dir_okay=False)]
StateOption = Annotated[
    Path,
    typer.Option(
        "--state", envvar="MILLRACE_PIPELINE_STATE", help="Folder of locks, history and logs.", file_okay=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_STATE: Final = Path("build/pipeline")
_CONFIG: Final = Path("pipeline.yml")


@app.command()
def run(
    *,
    once: Annotated[bool, typer.Option("--once", help="Build the zones now and exit.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Build them on their cadence until SIGTERM.")] = False,
    zone: Annotated[list[str] | None, typer.Option("--zone", help="Only this zone; give it again for more.")] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build incremental models anew from all of raw; with --once.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option("--target", envvar="DBT_TARGET", help="dbt target; MILLRACE_ENVIRONMENT by default."),
    ] = None,
    variables: Annotated[
        str | None, typer.Option("--vars", help="dbt variables, as YAML, to use instead of the project's; with --once.")
    ] = None,
    reconciliation: Annotated[
        bool, typer.Option("--reconciliation/--no-reconciliation", help="With --follow: reconcile on its cadence too.")
    ] = True,
    config: ConfigOption = _CONFIG,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Build zones, each after those it waits for; a zone that fails stops those below it.

    SIGTERM lets the zone that is being built finish, then ends with exit code 0.

    **Examples**

    `pipeline run --once`

    `pipeline run --once --zone structure --zone refined --json`

    `pipeline run --once --zone structure --vars '{cdc_overlap_minutes: 2880}'`

    `pipeline run --once --zone raw`

    `pipeline run --follow`
    """
    if once == follow:
        raise typer.BadParameter("give either --once or --follow")
    if follow and (full_refresh or variables):
        raise typer.BadParameter("--full-refresh and --vars go with --once: they are for single runs")
    with usage():
        settings, loaded = load_settings(), load_config(config)
        zones = loaded.select(zone or (), once=once)
    configure_logs(settings.log_format, settings.log_level)
    stop = _stop_on_sigterm()
    history = History(state / "runs.sqlite")
    project = DbtProject(dbt_settings(settings, target, state, _parse_variables(variables)))
    check_warehouse(settings, target)
    with lineage_from_environment() as lineage:
        builder = functools.partial(
            build, project=project, locks=state / "locks", full_refresh=full_refresh, lineage=lineage
        )
        runner = Runner(build=builder, history=history, clock=utc_now, stop=stop)
        if follow:
            background = _reconciliation(loaded, history, state) if reconciliation and not zone else None
            runner.follow(zones, _print_line if as_json else _print_nothing, background)
            return
        summary = runner.run_once(zones)
    if as_json:
        _print_line(summary)
    else:
        _print_table(summary)
    raise typer.Exit(1 if summary.status == "failed" else 0)


@app.command()
def status(
    *,
    config: ConfigOption = _CONFIG,
    state: StateOption = _STATE,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the latest runs to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show each zone's last run and who builds it now, then the latest runs.

    **Example**: `pipeline status --json | jq '.zones[] | select(.status != "succeeded")'`
    """
    with usage():
        loaded = load_config(config)
    history, now = History(state / "runs.sqlite"), utc_now()
    found = Status(
        config=loaded,
        now=now,
        last=history.last(),
        recent=tuple(history.recent(limit)),
        owners={zone.name: lock_owner(state / "locks", zone.name, now=now) for zone in loaded.zones},
    )
    if as_json:
        print(json.dumps(found.to_json()))
    else:
        found.print(Console())


def main() -> None:
    """Run the `pipeline` command."""
    run_application(app, "pipeline")


def _parse_variables(text: str | None) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text or "{}")
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        raise typer.BadParameter("--vars takes a YAML mapping, such as '{cdc_overlap_minutes: 2880}'")
    return document


def _stop_on_sigterm() -> threading.Event:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    return stop


def _reconciliation(config: PipelineConfig, history: History, state: Path) -> Reconciliation | None:
    if config.reconciliation is None:
        return None
    command = reconcile_command(config.reconciliation.arguments)
    return Reconciliation(config.reconciliation, command, history, state / "logs" / "reconcile.log")


def _print_nothing(_summary: RunSummary) -> None:
    """Leave it to the logs."""


def _print_line(summary: RunSummary) -> None:
    print(json.dumps(summary.to_json()), flush=True)


def _print_table(summary: RunSummary) -> None:
    console = Console()
    table = Table("zone", "status", "models", "tests", "warned", "failed", "seconds", box=None, header_style="bold")
    for zone in summary.zones:
        failed = zone.models_failed + zone.tests_failed
        colour = "green" if zone.succeeded else "red"
        table.add_row(
            zone.zone,
            f"[{colour}]{zone.status}[/]",
            str(zone.models_built),
            str(zone.tests_passed),
            str(zone.tests_warned),
            str(failed),
            f"{zone.seconds:.1f}",
        )
    console.print(table)
    for zone in summary.zones:
        for error in zone.errors:
            console.print(f"{zone.zone}: {error}", style="red", markup=False, highlight=False)
