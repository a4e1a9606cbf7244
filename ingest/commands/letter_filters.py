"""The options by which the commands of `ingest dead-letters` choose letters, declared once."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.clock import utc_now
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from ingest.dead_letters.filters import Filters

Topic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic.")]


def _options(
    *,
    reason: Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only of this reason.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="Only those meant for this raw table.")
    ] = None,
    topic: Topic = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="INSTANT", help="Given up since then: ISO 8601 (UTC), or 90m, 6h, 7d ago."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="INSTANT", help="Given up before then; as --since.")
    ] = None,
    event_id: Annotated[
        list[str] | None, typer.Option("--event-id", metavar="ID", help="Only this message; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, metavar="N", help="At most so many.")],
) -> "Filters":
    """Make filters of the options."""
    from ingest.dead_letters.filters import Filters, instant

    now = utc_now()
    try:
        begin = instant(since, now) if since is not None else None
        end = instant(until, now) if until is not None else None
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error
    if begin is not None and end is not None and begin >= end:
        raise typer.BadParameter("--since is not before --until")
    return Filters(
        reason=reason, table=table, topic=topic, event_ids=tuple(event_id or ()), since=begin, until=end, limit=limit
    )


def filtered(most: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that choose letters, in the place of its parameter `filters`.

    Typer makes options of a function's signature, so the command's own is written anew with theirs in it.

    Args:
        most: letters chosen when nobody says `--limit`.

    Returns:
        A decorator, for below that of typer.
    """
    options = [
        parameter.replace(default=most) if name == "limit" else parameter
        for name, parameter in inspect.signature(_options).parameters.items()
    ]
    names = {parameter.name for parameter in options}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)

        @wraps(command)
        def call(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in names}
            command(filters=_options(**chosen), **values)

        parameters: list[inspect.Parameter] = []
        for parameter in own.parameters.values():
            parameters += options if parameter.name == "filters" else [parameter]
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # as `inspect` reads it
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate
