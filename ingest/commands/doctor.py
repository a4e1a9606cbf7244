"""`ingest doctor`: what is wrong, and how to mend it."""

from typing import Annotated

import msgspec
import typer

from ingest.startup import load_startup


def doctor(json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Check settings, contracts, Pub/Sub, BigQuery and the API, with a fix a red line; exit 1 when one is red.

    **Examples**

    `ingest doctor`

    `ingest doctor --json | jq '.[] | select(.ok | not)'`
    """
    startup = load_startup()
    settings, contracts = startup.settings, startup.contracts

    from ingest.doctor import examine, line

    checks = []
    if not json:
        typer.echo(f"ok   settings: {settings.environment}, project {settings.project}")
        typer.echo(f"ok   contracts: {len(contracts)} tables in {settings.contracts_path}")
    for check in examine(settings, contracts, startup.tunables):
        checks.append(check)
        if not json:
            typer.echo(line(check))
    if json:
        typer.echo(msgspec.json.encode(checks).decode())
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
