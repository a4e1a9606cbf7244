"""From notifications to rows: one fetch per changed row or set, and nothing acknowledged before that has landed.

Notifications of one row that arrive together share a fetch, for the newest answer serves them all; each still lands a
row with its own `_event_id`, so that every message sent can be found again. A notification of a set lands as many rows
as changed, perhaps none: it counts as a control message, and is acknowledged when all of them have landed.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from core.errors import DecodeError, UnavailableError
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.decode.drift_check import RowCheck
from ingest.decode.notification import Notification
from ingest.detect import Inlet, KnownSets, inferred_message
from ingest.fetch import CircuitOpenError, Entity, EntityError, EntitySet, Fetcher, ThrottledError
from ingest.fetch.rows import entity_row, set_rows
from ingest.leases import Leases
from ingest.row import Landing
from ingest.watermarks import Pending

_log = structlog.get_logger(__name__)

_ROUNDS: Final = 3
_REMEMBERED_ROWS: Final = 10_000


class Notifications:
    """Gathers notifications, fetches their rows and hands them on for landing."""

    def __init__(
        self,
        fetcher: Fetcher,
        inlets: Mapping[str, Inlet],
        dead_letters: DeadLetters,
        leases: Leases,
        context: RunContext,
        *,
        sets: KnownSets,
        checks: Mapping[str, RowCheck],
    ) -> None:
        """Prepare to fetch.

        Args:
            fetcher: asks the API.
            inlets: where rows go, by table name.
            dead_letters: takes the notifications whose row cannot be fetched.
            leases: takes back the notifications that are to be delivered again.
            context: the run.
            sets: knows which rows stand in a set as far as has landed.
            checks: hold rows against their contract, by table name.
        """
        self._fetcher = fetcher
        self._sets = sets
        self._checks = checks
        self._inlets = inlets
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
        """Fetch and land a row or a set, soon.

        Args:
            notification: which one.
        """
        message = notification.message
        waiting = Pending(None, message.publish_ts)
        self._context.watermarks.pending(notification.contract.name, message.event_id, waiting)
        self.batches.add(notification)

    async def drain(self) -> None:
        """Hand on everything that is held, and wait for the sets among it to land."""
        await self.batches.drain()

    async def cancel(self) -> None:
        """Give up what is held."""
        await self.batches.cancel()
        await self._sets.batches.cancel()

    async def _land(self, notifications: list[Notification]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for same in coalesce(notifications):
                    group.create_task(self._land_same(same))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _land_same(self, notifications: list[Notification]) -> None:
        """Fetch and land what some notifications speak of; whatever the API does, no others are concerned."""
        newest = max(notifications, key=lambda notification: notification.version)
        sign_of_life = self._fetcher.answered
        try:
            fetched = await (self._fetcher.fetch_set(newest) if newest.is_set else self._fetcher.fetch(newest))
        except DecodeError as error:
            self._give_up(notifications, error.reason, str(error), attempts=1)
        except EntityError as error:
            self._give_up(notifications, "fetch_failed", str(error), self._settings.fetch_attempts)
        except CircuitOpenError as error:
            await self._hold(notifications, error)
        except UnavailableError as error:
            is_alive = self._fetcher.answered > sign_of_life and not isinstance(error, ThrottledError)
            self._postpone(notifications, newest, str(error), is_alive=is_alive)
        else:
            self._failed_rounds.pop(newest.identity, None)
            self._context.progress.fetched += 1
            self._context.failpoint.hit("after_fetch", len(notifications))
            try:
                if isinstance(fetched, EntitySet):
                    await self._land_set(notifications, newest, fetched)
                else:
                    self._land_row(notifications, fetched)
            except DecodeError as error:
                self._give_up(notifications, error.reason, str(error), attempts=1)

    def _land_row(self, notifications: list[Notification], entity: Entity) -> None:
        load_id = self._context.progress.load_id
        landings = [Landing(one.message, entity_row(one, entity, load_id)) for one in notifications]
        table = notifications[0].contract.name
        # All of them hold the same answer.
        self._checks[table](landings[0].row)
        self._inlets[table].land(landings)

    async def _land_set(self, notifications: list[Notification], newest: Notification, found: EntitySet) -> None:
        known = await self._sets.positions(newest.contract, newest.key)
        rows = set_rows(newest, found, known, self._context.progress.load_id)
        for row in rows:
            self._checks[newest.contract.name](row)
        landings = [Landing(inferred_message(newest.message, row.event_id), row) for row in rows]
        if landings:
            inlet = self._inlets[newest.contract.name]
            all_landed = inlet.outcomes.of(landings)
            inlet.land(landings)
            if not await all_landed:
                words = "a row of the set was refused; see the dead letters whose id begins with this one's"
                self._give_up(notifications, "set_refused", words, attempts=1)
                return
        progress = self._context.progress
        progress.inferred["DELETE"] += sum(row.op == "DELETE" for row in rows)
        progress.control += len(notifications)
        self._leases.settle(notification.message for notification in notifications)

    async def _hold(self, notifications: list[Notification], error: CircuitOpenError) -> None:
        """Give notifications back, but not at once: they would only come back to a circuit that is still open."""
        await asyncio.sleep(min(error.retry_after_s or 0.0, self._settings.retry_longest_wait_s))
        self._leases.release(notification.message for notification in notifications)

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
