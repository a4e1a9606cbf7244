"""From notifications to rows: one fetch per changed row, one landed row per notification.

Notifications of one row that arrive together share a fetch, for the newest answer serves them all; each still lands a
row with its own `_event_id`, so that every message sent can be found again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from core.errors import DecodeError, UnavailableError
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.decode.notification import Notification
from ingest.decode.payload import trace_id
from ingest.fetch import Entity, EntityError, Fetcher, ThrottledError
from ingest.landing import TableLanding
from ingest.leases import Leases
from ingest.row import RawRow

_log = structlog.get_logger(__name__)

SOURCE_SYSTEM: Final = "member-api"
_ROUNDS: Final = 3
_REMEMBERED_ROWS: Final = 10_000


class Notifications:
    """Gathers notifications, fetches their rows and hands them on for landing."""

    def __init__(
        self,
        fetcher: Fetcher,
        tables: Mapping[str, TableLanding],
        dead_letters: DeadLetters,
        leases: Leases,
        context: RunContext,
    ) -> None:
        """Prepare to fetch.

        Args:
            fetcher: asks the API.
            tables: where rows land, by table name.
            dead_letters: takes the notifications whose row cannot be fetched.
            leases: takes back the notifications that are to be delivered again.
            context: the run.
        """
        self._fetcher = fetcher
        self._tables = tables
        self._dead_letters = dead_letters
        self._leases = leases
        self._context = context
        self._settings = settings = context.settings
        # A window whose slowest row is still being retried must not hold up the windows after it.
        self._failed_rounds: dict[tuple[str, bytes], int] = {}
        limits = BatchLimits(
            settings.batch_rows, settings.notification_window_ms / 1_000, concurrency=settings.outstanding_messages
        )
        self.batches: MicroBatches[Notification] = MicroBatches(self._land, limits, context.fail)

    def add(self, notification: Notification) -> None:
        """Fetch and land a row, soon.

        Args:
            notification: which one.
        """
        self.batches.add(notification)

    async def _land(self, notifications: list[Notification]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for same_row in coalesce(notifications):
                    group.create_task(self._land_row(same_row))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _land_row(self, notifications: list[Notification]) -> None:
        newest = max(notifications, key=lambda notification: notification.version)
        sign_of_life = self._fetcher.answered
        try:
            entity = await self._fetcher.fetch(newest)
        except DecodeError as error:
            self._give_up(notifications, error.reason, str(error), attempts=1)
        except EntityError as error:
            self._give_up(notifications, "fetch_failed", str(error), self._settings.fetch_attempts)
        except UnavailableError as error:
            is_alive = self._fetcher.answered > sign_of_life and not isinstance(error, ThrottledError)
            self._postpone(notifications, newest, str(error), is_alive=is_alive)
        else:
            self._failed_rounds.pop(newest.identity, None)
            self._context.progress.fetched += 1
            self._context.failpoint.hit("after_fetch", len(notifications))
            for notification in notifications:
                row = _row(notification, entity, self._context.progress.load_id)
                self._tables[notification.contract.name].add(notification.message, row)

    def _postpone(self, notifications: list[Notification], newest: Notification, words: str, *, is_alive: bool) -> None:
        """Give notifications back; after some rounds in which only their row failed, give them up.

        An outage is no property of a row: as long as the API answers nobody, every notification stays.
        """
        rounds = self._failed_rounds.pop(newest.identity, 0) + is_alive
        if rounds >= _ROUNDS:
            self._give_up(notifications, "fetch_failed", words, rounds * self._settings.fetch_attempts)
            return
        self._failed_rounds[newest.identity] = rounds
        while len(self._failed_rounds) > _REMEMBERED_ROWS:
            del self._failed_rounds[next(iter(self._failed_rounds))]
        _log.warning("notifications given back", table=newest.contract.name, error=words, round=rounds)
        self._leases.release(notification.message for notification in notifications)

    def _give_up(self, notifications: list[Notification], reason: str, words: str, attempts: int) -> None:
        for notification in notifications:
            table = notification.contract.name
            self._dead_letters.add(DeadLetter(notification.message, reason, words, table, attempts))


def coalesce(notifications: Iterable[Notification]) -> list[list[Notification]]:
    """Group notifications by the row they speak of.

    Args:
        notifications: in any order.

    Returns:
        A list per row, none empty; together they hold every notification once.
    """
    rows: dict[tuple[str, bytes], list[Notification]] = {}
    for notification in notifications:
        rows.setdefault(notification.identity, []).append(notification)
    return list(rows.values())


def _row(notification: Notification, entity: Entity, load_id: str) -> RawRow:
    message = notification.message
    return RawRow(
        op="DELETE" if entity.payload is None else "UPDATE",
        op_inferred=True,
        source_system=SOURCE_SYSTEM,
        source_table=notification.contract.name,
        event_id=message.event_id,
        load_id=load_id,
        publish_ts=message.publish_ts,
        key=notification.key,
        payload=entity.payload,
        source_ts=entity.changed_at,
        source_position=f"{entity.version:020d}",
        source_sequence=0,
        schema_fingerprint=entity.schema_fingerprint,
        trace_id=trace_id(message.attributes),
    )
