"""`ingest tail`: follow what changes in a table, live."""

import asyncio
import signal
import uuid
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.errors import UsageError
from core.stand_ins import PUBSUB, check_stand_ins
from ingest.commands.needs import need_pubsub
from ingest.startup import Startup, load_startup

if TYPE_CHECKING:
    from ingest.preview import Preview


def tail(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table to follow.")],
    *,
    limit: Annotated[int | None, typer.Option(min=1, metavar="MESSAGES", help="End after so many.")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a change.")] = False,
) -> None:
    """Follow the change events of a table as they are published, until Ctrl-C.

    It reads through a subscription of its own, which gets a copy of every message from now on, is deleted at the end,
    and expires by itself after a day should that fail. The ingester is not disturbed. Personal data is masked.

    **Examples**

    `ingest tail members`

    `ingest tail member_transactions --json --limit 5 | jq .op`
    """
    startup = load_startup()
    if table not in startup.contracts:
        raise UsageError(f"no contract declares {table}; the tables are {', '.join(startup.contracts)}")
    need_pubsub(startup, "`ingest tail`")
    check_stand_ins(startup.settings, (PUBSUB,))
    asyncio.run(_tail(startup, table, limit, reveal=reveal, json=json))


async def _tail(startup: Startup, table: str, limit: int | None, *, reveal: bool, json: bool) -> None:
    from ingest.peek import Peek
    from ingest.preview import line
    from ingest.pubsub.temporary import temporary_subscription

    def show(row: "Preview") -> None:
        typer.echo(msgspec.json.encode(row).decode() if json else line(row))

    contract = startup.contracts[table]
    peek = Peek(startup.settings, startup.tunables, show, keep=False, reveal=reveal, limit=limit)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, peek.stop)
    suffix = f"-tail-{uuid.uuid4().hex[:12]}"
    async with temporary_subscription(startup.settings, contract.topic, suffix) as subscription:
        typer.echo(f"following {contract.topic}; Ctrl-C ends", err=True)
        await peek.run(startup.contracts, {table: subscription}, None)
