"""`ingest dead-letters replay-moved`: send again what Pub/Sub itself gave up."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.errors import MillraceError, UsageError
from core.stand_ins import PUBSUB, check_stand_ins
from ingest.startup import Startup, load_startup

if TYPE_CHECKING:
    from ingest.dead_letters.moved import Origin, Returned


def replay_moved(
    *,
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="TOPIC", help="Only what came from this topic.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, metavar="N", help="At most so many.")] = 10_000,
    until_idle: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="SECONDS", help="End once nothing new came for so long.")
    ] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
) -> None:
    """Publish again, to the topic they came from, the messages that Pub/Sub itself moved to the dead-letter topic.

    Pub/Sub does so after `max_delivery_attempts` deliveries in vain, as in an outage of many hours. Such messages are
    in no table: they wait in the subscription that keeps the dead-letter topic. Each is acknowledged there once it is
    published again. The copies of the ingester's own letters, which wait there too, are put back untouched.

    **Examples**

    `ingest dead-letters replay-moved --dry-run`

    `ingest dead-letters replay-moved --topic loyalty.member.members --limit 100`
    """
    startup = load_startup()
    check_stand_ins(startup.settings, (PUBSUB,))
    result = asyncio.run(_walk(startup, _origin(startup, topic), limit, until_idle, dry_run=dry_run))
    if json:
        typer.echo(msgspec.json.encode(result).decode())
    else:
        _print(result)
    if result.refused:
        message_id, words = next(iter(result.refused.items()))
        raise MillraceError(
            f"{len(result.refused)} messages could not be published again, such as {message_id}: {words}; they stay "
            "where they are"
        )


def _origin(startup: Startup, only: str | None) -> "Origin":
    """Return which messages may go where: to the topics that the ingester reads, and no others."""
    from difflib import get_close_matches

    from ingest.dead_letters.moved import Origin
    from ingest.files.settings import load_files_settings

    topics = {*startup.contracts.by_topic(), *startup.contracts.notification_topics()}
    if startup.tunables.transport == "files" and (told := load_files_settings().notification_topic) is not None:
        topics.add(told)
    if only is not None and only not in topics:
        near = get_close_matches(only, sorted(topics), n=1)
        fix = f"did you mean {near[0]}?" if near else f"the topics are {', '.join(sorted(topics))}"
        raise UsageError(f"the ingester reads no topic {only!r}; {fix}")
    return Origin(startup.settings.project, startup.settings.subscription_suffix, frozenset(topics), only)


async def _walk(startup: Startup, origin: "Origin", limit: int, idle_s: float, *, dry_run: bool) -> "Returned":
    from core.clients import subscriber_client
    from ingest.dead_letters.moved import MovedLetters
    from ingest.dead_letters.publishing import PubSubPublisher
    from ingest.rpc import PubSub, pubsub_channel
    from ingest.setup import KEEP_SUFFIX

    settings = startup.settings
    name = f"projects/{settings.project}/subscriptions/{settings.dead_letter_topic}{KEEP_SUFFIX}"
    subscriber = subscriber_client(settings)
    try:
        async with pubsub_channel(settings) as channel:
            publisher = PubSubPublisher(PubSub(channel), settings)
            return await MovedLetters(name, subscriber, publisher, origin, idle_s).run(limit, dry_run=dry_run)
    finally:
        subscriber.close()


def _print(result: "Returned") -> None:
    done = "published again" if result.is_done else "would be published again"
    for topic, count in result.published.items():
        typer.echo(f"{count:>8}  {topic}")
    typer.echo(f"{sum(result.published.values())} messages {done}")
    if result.own:
        typer.echo(
            f"{result.own} letters of the ingester itself were left alone: `ingest dead-letters replay` is theirs"
        )
