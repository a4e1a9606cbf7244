"""The `ingest` command.

Google's clients take seconds to import, so each command imports what it needs when it runs.
"""

import asyncio
import os
from typing import Annotated

import typer

from core.cli import run as run_app
from core.contracts import Contracts, load_contracts
from core.logs import configure_logs
from core.settings import Settings, load_settings
from ingest.commands.dead_letters import app as dead_letters_app
from ingest.commands.drift import drift
from ingest.commands.watermarks import watermarks
from ingest.failpoints import load_failpoint
from ingest.settings import load_ingest_settings

app = typer.Typer(
    pretty_exceptions_enable=False,
    help="Stream change events and notifications from Pub/Sub into BigQuery's raw tables.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(dead_letters_app, name="dead-letters")
app.command()(drift)
app.command()(watermarks)

_UntilIdle = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Exit once nothing was received or in flight for so long."),
]
_Tables = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="TABLE", help="Land only this table; may be repeated. Default: all."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@app.command()
def run(until_idle: _UntilIdle = None, table: _Tables = None, json: _Json = False) -> None:
    """Stream until SIGTERM, SIGINT or idleness; a message is acknowledged only after its row is confirmed.

    Examples:
        ingest run

        ingest run --until-idle 5 --json

        ingest run --table members --table member_emails
    """
    settings, contracts = _load()
    tunables = load_ingest_settings()
    failpoint = load_failpoint(os.environ, settings.environment)

    import msgspec

    from ingest.runner import run_until_signal
    from ingest.stages import Plan

    plan = Plan(settings, contracts, tuple(table or ()))
    summary = asyncio.run(run_until_signal(plan, tunables, failpoint, until_idle))
    if json:
        typer.echo(msgspec.json.encode(summary).decode())


@app.command()
def setup() -> None:
    """Create topics, subscriptions, datasets and tables that are missing (local and dev only).

    Example:
        ingest setup
    """
    settings, contracts = _load()

    from ingest.setup import set_up

    set_up(settings, contracts, load_ingest_settings().oversize_uri)


@app.command()
def doctor(json: _Json = False) -> None:
    """Check settings, contracts, Pub/Sub, BigQuery and the API; exit 1 when one of them is red.

    Examples:
        ingest doctor

        ingest doctor --json
    """
    settings, contracts = _load()
    load_ingest_settings()
    load_failpoint(os.environ, settings.environment)

    import msgspec

    from ingest.doctor import examine, line

    checks = []
    if not json:
        typer.echo(f"ok   settings: {settings.environment}, project {settings.project}")
        typer.echo(f"ok   contracts: {len(contracts)} tables in {settings.contracts_path}")
    for check in examine(settings, contracts):
        checks.append(check)
        if not json:
            typer.echo(line(check))
    if json:
        typer.echo(msgspec.json.encode(checks).decode())
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _load() -> tuple[Settings, Contracts]:
    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
    return settings, load_contracts(settings.contracts_path)


def main() -> None:
    """Run the command line."""
    run_app(app, "ingest")


if __name__ == "__main__":
    main()
