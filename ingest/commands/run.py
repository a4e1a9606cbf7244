"""`ingest run`: stream until told to stop, or look at what would be landed."""

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.cli import usage
from core.errors import UsageError
from core.stand_ins import PUBSUB, check_stand_ins
from core.telemetry import open_tracing
from ingest.commands.needs import need_pubsub
from ingest.http.address import bind, http_address
from ingest.startup import Startup, load_startup

if TYPE_CHECKING:
    from core.contracts import Contracts
    from ingest.http.address import Address
    from ingest.peek import Peeked
    from ingest.preview import Preview
    from ingest.progress import Summary
    from ingest.stages import Plan

_DRY_RUN_IDLE_S = 3.0


def run(
    *,
    until_idle: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Exit once nothing was received or in flight for so long."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="TABLE", help="Land only this table; may be repeated. Default: all."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="MESSAGES", help="Exit once so many were received and have landed.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Land nothing: show what would land, and give every message back. Pub/Sub only; no notifications.",
        ),
    ] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="With --dry-run: show personal data too.")] = False,
    workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Processes that share the work; 0 for one a core.")
    ] = 1,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, metavar="PORT", help="Serve /healthz, /readyz and /metrics here; 0 for any free port."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output; a dry run, a line a row.")
    ] = False,
) -> None:
    """Stream until SIGTERM, SIGINT or idleness; a message is acknowledged only after its row is confirmed.

    **Examples**

    `ingest run`

    `ingest run --until-idle 5 --json`

    `ingest run --table members --table member_emails`

    `ingest run --workers 0 --http-port 8080`

    `ingest run --dry-run --limit 10 --json`
    """
    startup = load_startup()
    if reveal and not dry_run:
        raise typer.BadParameter("--reveal goes with --dry-run")
    if dry_run and (workers != 1 or http_port is not None):
        raise typer.BadParameter(
            "--dry-run looks from one process and serves nothing: leave out --workers, --http-port"
        )
    if dry_run:
        need_pubsub(startup, "`ingest run --dry-run`", pulled=True)

    from ingest.workers import cores

    count = workers or cores()
    if count > 1:
        _check_shared(startup, count, limit)
    if startup.tunables.transport == "pubsub":
        check_stand_ins(startup.settings, (PUBSUB,))
    if dry_run:
        _dry_run(startup, tuple(table or ()), until_idle, limit, reveal=reveal, json=json)
        return

    from ingest.stages import Plan

    plan = Plan(startup.settings, startup.contracts, tuple(table or ()))
    with usage():
        selected = plan.selected()
        address = http_address(startup.http, os.environ, http_port)
        _check_needs(startup.tunables.transport, selected, address)
    listening = bind(address) if address is not None else None
    if count == 1:
        summary = _run_alone(startup, plan, until_idle, limit, listening)
    else:
        summary = _run_together(startup, plan, until_idle, count, listening)
    if json:
        typer.echo(msgspec.json.encode(summary).decode())


def _check_shared(startup: Startup, count: int, limit: int | None) -> None:
    """Refuse what several processes cannot share, before anything is opened."""
    from ingest.transports import check_shared

    if limit is not None:
        raise UsageError(
            f"--limit counts the messages of one process, and --workers asks for {count}, which do not know of each "
            "other's: use --workers 1"
        )
    if startup.tunables.transport == "push":
        raise UsageError(
            f"push delivery has one port, and so one process, but --workers asks for {count}: use --workers 1, and let "
            "Cloud Run start more instances"
        )
    with usage():
        check_shared(startup.tunables.transport)


def _check_needs(transport: str, selected: "Contracts", address: "Address | None") -> None:
    """Refuse a transport that lacks what it cannot do without, before anything is opened."""
    if transport == "push" and address is None:
        raise UsageError("push delivery needs an HTTP server: give --http-port, or MILLRACE_INGEST_HTTP_PORT")
    if transport == "files":
        from ingest.files.matching import TableMatcher

        TableMatcher(selected)


def _run_alone(
    startup: Startup, plan: "Plan", until_idle: float | None, limit: int | None, listening: socket.socket | None
) -> "Summary":
    from ingest.runner import RunOptions, run_until_signal

    options = RunOptions(listening=listening, limit=limit, tracing=open_tracing(os.environ, "millrace-ingest"))
    return asyncio.run(run_until_signal(plan, startup.tunables, startup.failpoint, until_idle, options))


def _run_together(
    startup: Startup, plan: "Plan", until_idle: float | None, count: int, listening: socket.socket | None
) -> "Summary":
    from ingest.http.workers import serving_workers
    from ingest.workers import Order, run_workers

    with serving_workers(listening, count) as folder:
        order = Order(plan, startup.tunables, startup.failpoint, until_idle, status_folder=folder)
        return run_workers(count, order)


def _dry_run(
    startup: Startup,
    tables: tuple[str, ...],
    until_idle: float | None,
    limit: int | None,
    *,
    reveal: bool,
    json: bool,
) -> None:
    from ingest.resources import covered_topics, subscription_path
    from ingest.stages import Plan

    with usage():
        selected = Plan(startup.settings, startup.contracts, tables).selected()
    left_out = covered_topics(selected, startup.contracts)
    if left_out:
        typer.echo(f"notifications are not looked at, for they would be fetched: {', '.join(left_out)}", err=True)
    subscriptions = {name: subscription_path(startup.settings, contract.topic) for name, contract in selected.items()}

    def show(row: "Preview") -> None:
        if json:
            typer.echo(msgspec.json.encode(row).decode())

    async def look() -> "Peeked":
        from ingest.peek import Peek

        peek = Peek(startup.settings, startup.tunables, show, keep=True, reveal=reveal, limit=limit)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, peek.stop)
        return await peek.run(selected, subscriptions, until_idle or _DRY_RUN_IDLE_S)

    found = asyncio.run(look())
    if json:
        return
    for name, rows in sorted(found.rows.items()):
        typer.echo(f"{rows:>8}  rows would land in {name}")
    for operation, rows in sorted(found.operations.items()):
        typer.echo(f"{rows:>8}  {operation}")
    for reason, messages in sorted(found.refused.items()):
        typer.echo(f"{messages:>8}  messages would be dead-lettered: {reason}")
    typer.echo(f"{found.control:>8}  control messages; all messages were given back")
