"""`ingest dead-letters`: look at what could not be landed, and send it again."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from core.cli import usage
from core.errors import ConfigurationError, MillraceError
from core.settings import Settings
from core.stand_ins import BIGQUERY, check_stand_ins
from ingest.commands.letter_filters import Topic, filtered
from ingest.commands.moved_letters import replay_moved
from ingest.settings import load_ingest_settings
from ingest.startup import load_place, load_startup

if TYPE_CHECKING:
    from ingest.dead_letters.archive import Archive, Group, Origins
    from ingest.dead_letters.filters import Filters

app = typer.Typer(
    help="Look at the messages that could not be landed, and send them again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command("replay-moved")(replay_moved)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

_PLANS: Mapping[str, str] = {
    "pubsub": "would be published again",
    "push": "would be published again",
    "kafka": "would be produced again",
    "files": "would be taken in again",
}
"""What would become of letters, by the value of `MILLRACE_INGEST_TRANSPORT`."""


@app.command("list")
@filtered(100)
def list_letters(
    *,
    filters: "Filters",
    json: _Json = False,
) -> None:
    """Count dead letters by reason and table, with an example of each.

    **Examples**

    `ingest dead-letters list`

    `ingest dead-letters list --since 24h --json`
    """
    settings = load_place()
    groups = _groups(_archive(settings), filters, settings)
    if json:
        typer.echo(msgspec.json.encode(groups).decode())
    else:
        _print_groups(groups)


@app.command()
def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Message id, as `list` shows one.")],
    topic: Topic = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the content, which may be personal data.")] = False,
    max_bytes: Annotated[
        int, typer.Option("--max-bytes", min=1, metavar="N", help="Bytes of the body to show at most.")
    ] = 4_000,
    json: _Json = False,
) -> None:
    """Show one dead letter; its body, key and attributes only in their shape unless --reveal is given.

    **Examples**

    `ingest dead-letters show 12345`

    `ingest dead-letters show 12345 --reveal`
    """
    settings = load_place()
    archive = _archive(settings)

    from ingest.dead_letters.filters import Filters
    from ingest.dead_letters.show import find, shown

    try:
        letter = find(archive, event_id, topic)
    except ConfigurationError:
        _check_known(Filters(topic=topic), settings)
        raise
    values = shown(archive, letter, max_bytes, reveal=reveal)
    if json:
        typer.echo(msgspec.json.encode(values).decode())
        return
    body = values.pop("data")
    for name, value in values.items():
        typer.echo(f"{name:<17} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    typer.echo(f"\n{body}")


@app.command("replay")
@filtered(10_000)
def replay_letters(
    *,
    filters: "Filters",
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter, when nothing else is given.")] = False,
    dry_run: _DryRun = False,
    json: _Json = False,
) -> None:
    """Send dead letters again to where they came from, as they were; each is sent again once.

    They are published to their topic of Pub/Sub, or of Kafka where MILLRACE_INGEST_TRANSPORT is kafka. Where it is
    files, this command takes them in itself: rows from the bytes that were kept, under the ids they had, and files by
    reading them again.

    What was done is kept in audit.dead_letter_replays, so the same call goes on where it stopped. Mend the cause first:
    what still cannot be landed is dead-lettered again, as a new letter.

    **Examples**

    `ingest dead-letters replay --reason missing_key --dry-run`

    `ingest dead-letters replay --reason missing_key --table members`

    `ingest dead-letters replay --event-id 12345 --json`
    """
    if filters.are_empty and not everything:
        raise typer.BadParameter("say which letters: give a filter, or --all")
    filters = replace(filters, unreplayed=True)
    settings = load_place()
    transport = _transport()
    archive = _archive(settings)
    if dry_run:
        _print_plan(_groups(archive, filters, settings), _PLANS[transport], json=json)
        if transport == "files" and not json:
            _print_origins(archive.origins(filters))
        return

    replay_id, total = uuid.uuid4().hex, _total(archive, filters, settings)
    with _progress("sent again", total) as report:
        if transport == "files":
            from ingest.dead_letters.file_replay import FileReplay

            result = asyncio.run(FileReplay(archive, filters, replay_id, report).run(load_startup()))
        else:
            from ingest.dead_letters.replay import Replay

            work = Replay(archive, settings, replay_id, to_kafka=transport == "kafka")
            result = asyncio.run(work.run(filters, report))
    done = "landed" if transport == "files" else "published again"
    if json:
        typer.echo(msgspec.json.encode(result).decode())
    else:
        typer.echo(f"{result.replayed} {done}, as replay {result.replay_id}")
    faults = {**result.unreadable, **result.refused}
    _fail_for(faults, "could not be landed" if transport == "files" else "could not be published again")


@app.command("export")
@filtered(100_000)
def export_letters(
    target: Annotated[str, typer.Argument(metavar="FILE", help="A file, or s3://bucket/name or gs://bucket/name.")],
    *,
    filters: "Filters",
    dry_run: _DryRun = False,
    json: _Json = False,
) -> None:
    """Write dead letters whole, a line of JSON each, with the body in base64. The file holds personal data.

    A broken export to a file goes on where it stopped when the same call is made again.

    **Examples**

    `ingest dead-letters export letters.ndjson --since 7d`

    `ingest dead-letters export s3://bucket/letters.ndjson --reason invalid_json`
    """
    from ingest.dead_letters.export import check_target, export

    with usage():
        check_target(target)
    settings = load_place()
    archive = _archive(settings)
    if dry_run:
        _print_plan(_groups(archive, filters, settings), f"would be written to {target}", json=json)
        return

    with _progress("written", _total(archive, filters, settings)) as report:
        result = export(archive, settings, target, filters, report)
    if json:
        typer.echo(msgspec.json.encode(result).decode())
    else:
        resumed = f", {result.resumed} of them by an earlier call" if result.resumed else ""
        typer.echo(f"{result.letters} letters in {result.target}, {result.bytes} bytes{resumed}")
    _fail_for(result.unreadable, "have no body to be read")


def _transport() -> str:
    """Return where messages come from, once its own settings are known to be right."""
    with usage():
        transport = load_ingest_settings().transport
        if transport == "kafka":
            from ingest.kafka.settings import load_kafka_settings

            load_kafka_settings()
        elif transport == "files":
            from ingest.files.settings import load_files_settings

            load_files_settings()
    return transport


def _archive(settings: Settings) -> "Archive":
    from ingest.dead_letters.archive import open_archive

    check_stand_ins(settings, (BIGQUERY,))
    return open_archive(settings)


def _groups(archive: "Archive", filters: "Filters", settings: Settings) -> "list[Group]":
    """Return the groups; when there are none, see to it that this is no mistake."""
    groups = archive.groups(filters)
    if not groups:
        _check_known(filters, settings)
    return groups


def _total(archive: "Archive", filters: "Filters", settings: Settings) -> int:
    """Return how many letters there are; when there are none, see to it that this is no mistake."""
    total = archive.totals(filters).letters
    if total == 0:
        _check_known(filters, settings)
    return total


def _check_known(filters: "Filters", settings: Settings) -> None:
    from ingest.dead_letters.known import check_known

    check_known(filters, settings.contracts_path)


def _print_groups(groups: "list[Group]") -> None:
    if not groups:
        typer.echo("no dead letters")
    for group in groups:
        replayed = f", {group.replayed} sent again" if group.replayed else ""
        typer.echo(f"{group.letters:>8}  {group.reason}  {group.table or '-'}  {group.topic}{replayed}")
        typer.echo(f"{'':>8}  {group.first_at:%F %T} to {group.latest_at:%F %T} UTC")
        typer.echo(f"{'':>8}  such as {group.example_event_id}: {group.example_error or ''}")


def _print_plan(groups: "list[Group]", what: str, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(groups).decode())
        return
    _print_groups(groups)
    typer.echo(f"{sum(group.letters for group in groups)} letters {what}; --limit holds for the letters then")


def _print_origins(origins: "Origins") -> None:
    typer.echo(f"{origins.rows:>8}  rows would land from the bytes that were kept")
    typer.echo(f"{origins.objects:>8}  files would be read again, each as a whole")
    if origins.others:
        typer.echo(f"{origins.others:>8}  would be refused, for they came neither as a row of a file nor as a file")


def _fail_for(faults: dict[str, str], what: str) -> None:
    if faults:
        event_id, words = next(iter(faults.items()))
        raise MillraceError(f"{len(faults)} letters {what}, such as {event_id}: {words}")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task: Any = bar.add_task(what, total=total)
        yield lambda letters: bar.advance(task, letters)
