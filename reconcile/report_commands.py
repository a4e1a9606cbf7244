"""The subcommands that work on what earlier runs left: show, report, history, repair."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.errors import ConfigurationError, UnavailableError
from reconcile.config_file import DEFAULT_CONFIG
from reconcile.options import DEFAULT_OUTPUT, ConfigOption, JsonOption, ReportArgument, TableOption, console, usage

if TYPE_CHECKING:
    from core.settings import Settings
    from reconcile.config import ReconcileConfig
    from reconcile.repair.mending import Repair
    from reconcile.repair.republishing import Republished
    from reconcile.result import RunResult


def show(
    report: ReportArgument = DEFAULT_OUTPUT,
    *,
    table: TableOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a report as a table; exits as the run did.

    **Examples**

    `reconcile show`

    `reconcile show archive/2026-01-31/report.json --table members`

    `reconcile show --json | jq '.comparisons[].causes'`
    """
    from reconcile.report.files import read_json, to_json
    from reconcile.report.terminal import print_result

    with usage():
        result = _only(read_json(report), table)
    if as_json:
        typer.echo(to_json(result), nl=False)
    else:
        print_result(console(), result)
    raise typer.Exit(0 if result.outcome == "passed" else 1)


def report(
    report: ReportArgument = DEFAULT_OUTPUT,
    *,
    form: Annotated[
        Literal["html", "junit", "json"], typer.Option("--format", help="What to make of the report.")
    ] = "html",
    to: Annotated[Path | None, typer.Option("--to", help="File to write; standard output by default.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of report.json instead.")] = False,
) -> None:
    """Make a page, JUnit XML or JSON of a report that is kept.

    **Examples**

    `reconcile report --format junit --to build/reconcile.xml`

    `reconcile report archive/2026-01-31/report.json --to page.html`

    `reconcile report --schema`
    """
    from reconcile.report.files import read_json, to_json
    from reconcile.report.junit import junit
    from reconcile.report.page import render
    from reconcile.report.schema import schema_text

    if schema:
        typer.echo(schema_text(), nl=False)
        raise typer.Exit(0)
    result = read_json(report)
    made = {"html": lambda: render(result).encode(), "junit": lambda: junit(result), "json": lambda: to_json(result)}
    data = made[form]()
    if to is None:
        typer.echo(data, nl=False)
    else:
        _write(to, data)


def _write(to: Path, data: bytes) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(data)
    except OSError as error:
        raise UnavailableError(f"{to}: cannot be written: {error.strerror}; name another --to") from error


def history(
    *,
    table: TableOption = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How far to look back.")] = 30,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most comparisons to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show earlier runs, the newest first, as the audit trail in BigQuery keeps them.

    **Examples**

    `reconcile history`

    `reconcile history --table members --days 365 --json`
    """
    from core.clients import bigquery_client
    from core.settings import load_settings
    from core.stand_ins import BIGQUERY, check_stand_ins
    from reconcile.history.trail import past, unknown
    from reconcile.history.view import past_json, print_past

    with usage():
        settings = load_settings()
    check_stand_ins(settings, (BIGQUERY,))
    with usage(), bigquery_client(settings) as client:
        found = past(client, settings, tables=tuple(table or ()), days=days, most=limit)
        silent = sorted(set(table or ()) - {told.comparison for told in found})
        nobody = unknown(client, settings, silent) if silent else ()
        if nobody:
            raise ConfigurationError(
                f"no run that is kept compared {', '.join(nobody)}; `reconcile history` shows them"
            )
    if as_json:
        typer.echo(past_json(found), nl=False)
    else:
        print_past(console(), found)


def repair(
    report: ReportArgument = DEFAULT_OUTPUT,
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder for statements or events; `repair` beside the report by default."),
    ] = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Mend by change events through Pub/Sub instead of statements.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the statements, or publish the events; otherwise only write them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what would make the warehouse agree with the snapshot, statements or events, and do it with `--apply`.

    The run must have been made with `--values`. A row that has changed since is left alone.

    **Examples**

    `reconcile run --table members --values`

    `reconcile repair --table members`

    `reconcile repair --table members --apply`

    `reconcile repair --table members --republish --apply`
    """
    from core.settings import load_settings
    from reconcile.config_file import load_config
    from reconcile.repair.mending import Repair
    from reconcile.repair.view import print_repairs, repairs_json
    from reconcile.report.files import read_json

    with usage():
        folder = report if report.is_dir() else report.parent
        loaded, settings, result = load_config(config), load_settings(), read_json(report)
        asked = _Repairing(loaded, result, folder, output or folder / "repair", tuple(table or ()))
        found = _republished(asked, settings, send=apply) if republish else _mended(asked, settings, apply=apply)
    unreadable = [told.name for told in result.comparisons if told.counts is None and (not table or told.name in table)]
    if as_json:
        typer.echo(repairs_json(found), nl=False)
    else:
        print_repairs(console(), found, unreadable)
    is_left = apply and any(isinstance(done, Repair) and not done.is_whole for done in found)
    raise typer.Exit(1 if unreadable or is_left else 0)


@dataclass(frozen=True)
class _Repairing:
    """What a repair is made from, and where its files go."""

    config: "ReconcileConfig"
    result: "RunResult"
    folder: Path
    output: Path
    tables: tuple[str, ...]


def _mended(asked: _Repairing, settings: "Settings", *, apply: bool) -> "tuple[Repair, ...]":
    from core.clients import bigquery_client
    from core.stand_ins import BIGQUERY, check_stand_ins
    from reconcile.repair.mending import Warehouse
    from reconcile.repair.mending import repair as mend

    check_stand_ins(settings, (BIGQUERY,))
    with bigquery_client(settings) as client:
        warehouse = Warehouse(client, settings, applies=apply)
        return mend(
            asked.config, asked.result, asked.folder, output=asked.output, tables=asked.tables, warehouse=warehouse
        )


def _republished(asked: _Repairing, settings: "Settings", *, send: bool) -> "tuple[Republished, ...]":
    from core.clients import bigquery_client
    from core.contracts import load_contracts
    from core.stand_ins import BIGQUERY, PUBSUB, check_stand_ins
    from reconcile.repair.republishing import Republishing
    from reconcile.repair.republishing import republish as publish

    check_stand_ins(settings, (BIGQUERY, PUBSUB) if send else (BIGQUERY,))
    contracts = load_contracts(settings.contracts_path)
    with bigquery_client(settings) as client:
        call = Republishing(asked.config, settings, contracts, asked.result, asked.folder, asked.output, client)
        return publish(call, asked.tables, send=send)


def _only(result: "RunResult", table: list[str] | None) -> "RunResult":
    if not table:
        return result
    unknown = sorted(set(table) - {found.name for found in result.comparisons})
    if unknown:
        raise ConfigurationError(f"the report has no comparison {', '.join(unknown)}")
    return replace(result, comparisons=tuple(found for found in result.comparisons if found.name in table))
