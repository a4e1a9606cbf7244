"""`pipeline quality`: what the rules of the warehouse found."""

import json
import os
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from core.cli import usage
from core.clients import bigquery_client
from core.clock import utc_now
from core.errors import ConfigurationError
from core.settings import load_settings
from core.stand_ins import BIGQUERY, check_stand_ins
from pipeline.quality.page import RUNBOOK, headline, render, share
from pipeline.quality.read import read_report
from pipeline.quality.result import QualityReport

app: Final = typer.Typer(help="What the rules of the warehouse found.", no_args_is_help=True)

HTML_NAME: Final = "report.html"
JSON_NAME: Final = "report.json"
_SHOWN: Final = 20


@app.callback()
def _quality() -> None:
    """What the rules of the warehouse found."""


@app.command()
def report(
    *,
    output: Annotated[Path, typer.Option("--output", help="Folder of the report.", file_okay=False)] = Path(
        "build/quality"
    ),
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days to look back.")] = 14,
    runbook: Annotated[
        str, typer.Option("--runbook", help="Path or address of the runbook the page links to.")
    ] = RUNBOOK,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Write the latest result of every rule as one HTML page and as JSON; exit 1 when a rule of severity error fails.

    So it does when the latest build could not ask a rule, as what it reads was not built.

    **Examples**

    `pipeline quality report`

    `pipeline quality report --days 30 --json | jq '.rules[] | select(.verdict != "passed") | .rule'`
    """
    with usage():
        settings = load_settings()
    check_stand_ins(settings, (BIGQUERY,))
    with bigquery_client(settings) as client:
        found = read_report(client, settings, now=utc_now(), days=days)
    page = _write(found, output, runbook)
    if as_json:
        print(json.dumps(found.to_json()))
    else:
        _print(found, page)
    raise typer.Exit(1 if found.verdict in ("failed", "skipped") else 0)


def _write(found: QualityReport, output: Path, runbook: str) -> Path:
    page = output / HTML_NAME
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / JSON_NAME).write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
        link = runbook if "://" in runbook else Path(os.path.relpath(runbook, output)).as_posix()
        page.write_text(render(found, runbook=link), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written to: {error.strerror}; name another --output") from error
    return page


def _print(found: QualityReport, page: Path) -> None:
    console = Console()
    console.print(
        f"{headline(found)}: {found.count('passed')} passed, {found.count('warned')} warned,"
        f" {found.count('skipped')} skipped, {found.count('failed')} failed"
        + (f"; {found.vacuous} with nothing to check" if found.vacuous else "")
    )
    broken = [rule for rule in found.rules if rule.verdict != "passed"]
    if broken:
        # the name is what one looks for: it is folded rather than cut
        table = Table(
            Column("rule", overflow="fold"), "verdict", "table", "failing", "of", "share", box=None, header_style="bold"
        )
        for rule in broken[:_SHOWN]:
            found_rows = (
                (f"{rule.failing_rows:,}", f"{rule.checked_rows:,}") if rule.could_run else ("could not run", "—")
            )
            rows = (*found_rows, share(rule.failing_share))
            table.add_row(rule.rule, rule.verdict, rule.table, *rows)
        console.print(table)
    for score in found.latest("zone"):
        console.print(f"{score.zone}: {score.score:.2f} of 100 over {score.rules} rules", highlight=False)
    console.print(f"{page}", highlight=False)
