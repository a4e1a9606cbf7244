"""Which dead letters are meant."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from core.errors import ConfigurationError

_AGO: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Filters:
    """What dead letters must have; None, or nothing, for anything.

    Attributes:
        reason: code of the reason.
        table: raw table they were meant for.
        topic: short name of their topic.
        event_ids: their message ids.
        since: the first instant of being given up.
        until: the first instant no longer meant.
        unreplayed: whether those that were published again are left out.
        limit: how many at most.
    """

    reason: str | None = None
    table: str | None = None
    topic: str | None = None
    event_ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    unreplayed: bool = False
    limit: int = 100_000

    @property
    def are_empty(self) -> bool:
        """Whether nothing but the limit sets letters apart."""
        return not any(self._terms())

    def condition(self) -> str:
        """Return the condition over `audit.dead_letters`; its values are in `parameters`."""
        return " and ".join(condition for condition, _ in self._terms()) or "true"

    def parameters(self) -> list[Any]:
        """Return the values of the condition, for binding, and the limit as `row_limit`."""
        return [*(parameter for _, parameter in self._terms()), ScalarQueryParameter("row_limit", "INT64", self.limit)]

    def _terms(self) -> Iterator[tuple[str, Any]]:
        for column, name, value in (
            ("reason", "reason", self.reason),
            ("table_name", "table_name", self.table),
            ("topic", "topic", self.topic),
        ):
            if value is not None:
                yield f"{column} = @{name}", ScalarQueryParameter(name, "STRING", value)
        if self.event_ids:
            yield "event_id in unnest(@event_ids)", ArrayQueryParameter("event_ids", "STRING", list(self.event_ids))
        if self.since is not None:
            yield "dead_lettered_at >= @since", ScalarQueryParameter("since", "TIMESTAMP", self.since)
        if self.until is not None:
            yield "dead_lettered_at < @until", ScalarQueryParameter("until", "TIMESTAMP", self.until)


def instant(text: str, now: datetime) -> datetime:
    """Read an instant as people write it on a command line.

    Args:
        text: ISO 8601, in UTC when it names no zone; or how long ago, such as `90m`, `6h` or `7d`.
        now: the present instant.

    Returns:
        An aware datetime in UTC.

    Raises:
        ConfigurationError: when it is neither.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{text!r} is no instant: write 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 90m, 6h or 7d"
        ) from error
