"""`ingest replay`: land again what was published since an instant."""

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.cli import usage
from core.clock import to_micros, utc_now
from core.errors import ConfigurationError
from core.stand_ins import PUBSUB, check_stand_ins
from ingest.limit import PublishWindow
from ingest.startup import Startup, load_startup

if TYPE_CHECKING:
    from ingest.kafka.ranges import PartitionRange
    from ingest.progress import Summary
    from ingest.replay import Source
    from ingest.stages import Plan

_RETENTION = timedelta(days=1)
_KNOWN_IDLE_S = 0.1  # what is read of Kafka and of files is known beforehand


class FilesAgain(msgspec.Struct, frozen=True):
    """The files that are read again.

    Attributes:
        count: how many.
        bytes: how large they are together.
    """

    count: int
    bytes: int


class Replay(msgspec.Struct, frozen=True):
    """What a replay does, or did.

    Attributes:
        begin: first instant of publication that comes again, in ISO 8601.
        end: first instant that does not; None for none.
        sources: what is sought back.
        is_done: whether it was done.
        summary: what landed, of a replay with an end.
        ranges: what is read, of Kafka.
        files: what is read, of files; None otherwise.
    """

    begin: str
    end: str | None
    sources: "list[Source]"
    is_done: bool
    summary: "Summary | None" = None
    ranges: "list[PartitionRange]" = []
    files: FilesAgain | None = None


def replay(
    *,
    begin: Annotated[
        str, typer.Option("--from", metavar="INSTANT", help="Published since: ISO 8601 (UTC), or 90m, 6h, 7d ago.")
    ],
    end: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Published before; also lands the messages itself.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="TABLE", help="Only this table; may be repeated. Default: all."),
    ] = None,
    until_idle: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="With --to, of Pub/Sub: end once nothing came for so long."),
    ] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
) -> None:
    """Land again what was published since an instant, or written as files.

    Rows land with the message ids they had, and the zones deduplicate by those: nothing is counted twice above raw.

    Without --to the ingester's own subscriptions are sought back, and the ingester that runs lands what comes. Pub/Sub
    then counts everything older as acknowledged: do it only while nothing older is waiting. With --to this command
    lands the messages itself, through subscriptions of its own that it deletes afterwards; the ingester goes on.

    Either way Pub/Sub must still have the messages: `topic_retention_days` in terraform.

    From Kafka this command lands the records itself, up to --to or to where the topics end now. It is no member of the
    group and commits nothing, so the ingester goes on where it is.

    Of files it reads again those that lie there and were written since, whether they were loaded or not.

    **Examples**

    `ingest replay --from 6h --dry-run`

    `ingest replay --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z --table members --yes`
    """
    startup = load_startup()
    now = utc_now()
    since, until = _window(begin, end, now)

    from ingest.replay import check_reach, seek, sources
    from ingest.resources import covered_topics
    from ingest.stages import Plan

    plan = Plan(startup.settings, startup.contracts, tuple(table or ()))
    with usage():
        selected = plan.selected()
    check_stand_ins(startup.settings, (PUBSUB,))
    if startup.tunables.transport == "files":
        _replay_files(startup, plan, tuple(selected), (since, until or now), dry_run=dry_run, yes=yes, json=json)
        return
    notifications = covered_topics(selected, startup.contracts) if startup.settings.api_base_url is not None else ()
    topics = [*selected.by_topic(), *notifications]
    if startup.tunables.transport == "kafka":
        _replay_kafka(startup, plan, topics, (since, until), dry_run=dry_run, yes=yes, json=json)
        return
    found = sources(startup.settings, topics)
    check_reach(found, since, now, topics_only=until is not None)
    told = Replay(since.isoformat(), until.isoformat() if until else None, found, is_done=False)
    if not _goes_on(told, dry_run=dry_run, yes=yes, json=json):
        return
    if until is None:
        seek(startup.settings, [one.subscription for one in found], since)
        _print(msgspec.structs.replace(told, is_done=True), json=json)
        return
    summary = asyncio.run(_land(startup, plan, found, (since, until), until_idle))
    _print(msgspec.structs.replace(told, is_done=True, summary=summary), json=json)


def _replay_kafka(
    startup: Startup,
    plan: "Plan",
    topics: list[str],
    window: tuple[datetime, datetime | None],
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    # Kafka's client is loaded only by those who use it.
    from ingest.kafka import load_kafka_settings
    from ingest.kafka.cluster import check_topics
    from ingest.kafka.past import Past, look_up

    kafka, (since, until) = load_kafka_settings(), window
    check_topics(kafka, topics)
    ranges = look_up(kafka, topics, to_micros(since) // 1_000)
    told = Replay(since.isoformat(), until.isoformat() if until else None, [], is_done=False, ranges=ranges)
    if not _goes_on(told, dry_run=dry_run, yes=yes, json=json):
        return
    opened = replace(plan, opener=Past(kafka, ranges).open)
    summary = asyncio.run(_land_again(startup, opened, window, _KNOWN_IDLE_S))
    _print(msgspec.structs.replace(told, is_done=True, summary=summary), json=json)


def _replay_files(
    startup: Startup,
    plan: "Plan",
    tables: tuple[str, ...],
    window: tuple[datetime, datetime],
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    from ingest.files.matching import TableMatcher
    from ingest.files.past import PastFiles, written_within
    from ingest.files.settings import load_files_settings

    files, (since, until) = load_files_settings(), window
    with usage():
        TableMatcher(plan.selected())
    matcher = TableMatcher(startup.contracts)
    instants = to_micros(since), to_micros(until)
    refs = written_within(files, startup.settings, matcher, tables, instants)
    again = FilesAgain(len(refs), sum(ref.size for ref in refs))
    told = Replay(since.isoformat(), until.isoformat(), [], is_done=False, files=again)
    if not _goes_on(told, dry_run=dry_run, yes=yes, json=json):
        return
    opened = replace(plan, opener=PastFiles(files, refs).open)
    summary = asyncio.run(_land_again(startup, opened, window, _KNOWN_IDLE_S))
    _print(msgspec.structs.replace(told, is_done=True, summary=summary), json=json)


def _window(begin: str, end: str | None, now: datetime) -> tuple[datetime, datetime | None]:
    from ingest.dead_letters.filters import instant

    try:
        since = instant(begin, now)
        until = instant(end, now) if end is not None else None
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error
    if since >= (until or now):
        raise typer.BadParameter("--from is not before --to" if until else "--from is not in the past")
    return since, until


def _goes_on(told: Replay, *, dry_run: bool, yes: bool, json: bool) -> bool:
    if dry_run:
        _print(told, json=json)
    elif not yes:
        _ask(told)
    return not dry_run


def _ask(told: Replay) -> None:
    typer.echo(_words(told), err=True)
    if told.end is None and told.sources:
        typer.echo(
            "Whatever was published before and still waits will count as acknowledged, and never land.", err=True
        )
    typer.confirm("Go on?", abort=True, err=True)


def _print(told: Replay, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(told).decode())
        return
    typer.echo(_words(told))
    if told.summary is not None:
        typer.echo(f"{told.summary.landed} rows landed, {told.summary.dead_lettered} messages dead-lettered")
    elif told.is_done:
        typer.echo("sought back: the ingester lands it as it comes")


def _words(told: Replay) -> str:
    until = f" and before {told.end}" if told.end else ""
    if told.files is not None:
        size = f"{told.files.bytes:,} bytes"
        return f"written since {told.begin}{until}: {told.files.count} files, {size}; the ingester goes on beside"
    if not told.sources:
        records = sum(one.end - one.begin for one in told.ranges)
        scans = sum(one.is_scan for one in told.ranges)
        scanned = f", {scans} of them from their beginning" if scans else ""
        return (
            f"published since {told.begin}{until}: {len(told.ranges)} partitions{scanned}, at most {records} records; "
            "the group's offsets stay as they are"
        )
    means = "temporary subscriptions" if told.end else "the ingester's subscriptions"
    return f"published since {told.begin}{until}: {len(told.sources)} topics, through {means}"


async def _land(
    startup: Startup, plan: "Plan", found: "list[Source]", window: tuple[datetime, datetime], until_idle_s: float
) -> "Summary":
    from ingest.pubsub.temporary import temporary_subscription
    from ingest.replay import seek

    suffix = f"-replay-{uuid.uuid4().hex[:12]}"
    since, _ = window
    settings = startup.settings.model_copy(update={"subscription_suffix": suffix})
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(temporary_subscription(settings, one.topic, suffix, _RETENTION))
            for one in found
        ]
        await asyncio.to_thread(seek, settings, made, since)
        # These subscriptions are pulled, also where Pub/Sub calls the ingester.
        pulled = startup.tunables.model_copy(update={"transport": "pubsub"})
        begun = replace(startup, settings=settings, tunables=pulled)
        return await _land_again(begun, replace(plan, settings=settings), window, until_idle_s)


async def _land_again(
    startup: Startup, plan: "Plan", window: tuple[datetime, datetime | None], until_idle_s: float
) -> "Summary":
    from ingest.runner import RunOptions, run_until_signal

    since, until = window
    options = RunOptions(window=PublishWindow(to_micros(since), None if until is None else to_micros(until)))
    again = replace(plan, is_replay=True)
    return await run_until_signal(again, startup.tunables, startup.failpoint, until_idle_s, options)
