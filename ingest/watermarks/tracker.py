"""Watermarks of event time, with bounded disorder.

A watermark is a claim: every event before it has landed. It follows the newest event landed, less the disorder that
the settings allow, and never passes an event that was received and has not landed. When a source has been quiet it
follows the clock instead, so that a table in which nothing happens does not hold up whoever waits for it. It never goes
back. See "The Dataflow Model" (Akidau et al., VLDB 2015) and bounded out-of-orderness in Apache Flink.

Event time is the time at the source, but never later than the publication, which Pub/Sub's own clock says: a source
whose clock runs ahead must not carry the watermark with it. A source whose clock runs behind sends late events, which
are counted, and hold up nothing.

The claim holds for events within the allowed disorder: an event received is no older than the newest received
before it, less the disorder; and one received from a source that was quiet no older than the time of its reception,
less the disorder.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from core.clock import Clock, to_micros, utc_now
from ingest.row import RawRow

_SECOND: Final = 1_000_000
_BEGINNING: Final = -(2**63)
_HOLD_S: Final = 600.0


class Timed(Protocol):
    """What is on its way to a table."""

    @property
    def source_ts(self) -> int | None:
        """When it happened at the source, in microseconds since 1970 UTC; None when that is not known."""

    @property
    def publish_ts(self) -> int:
        """When it was published, in microseconds since 1970 UTC; 0 when that is not known."""


class Pending(msgspec.Struct, frozen=True, gc=False):
    """An event whose row is not known yet, such as a notification before its fetch.

    Attributes:
        source_ts: see `Timed`.
        publish_ts: see `Timed`.
    """

    source_ts: int | None
    publish_ts: int


class TableWatermark(msgspec.Struct, frozen=True):
    """How far a table has come, as one process can tell.

    Attributes:
        table: the raw table.
        watermark: every event before it has landed, in microseconds since 1970 UTC; None before the first.
        newest_event_ts: event time of the newest row landed, in microseconds since 1970 UTC; None before the first.
        oldest_unacked_age_ms: age of the oldest message in flight since its publication, in milliseconds; None
            without one.
        last_position: greatest position landed; None before the first.
        in_flight: rows received and neither landed nor dead-lettered.
        rows_landed: rows landed since the process began.
        rows_late: those of them that were older than the watermark when they landed.
        is_idle: whether the source was quiet, so that the watermark follows the clock.
    """

    table: str
    watermark: int | None
    newest_event_ts: int | None
    oldest_unacked_age_ms: int | None
    last_position: str | None
    in_flight: int
    rows_landed: int
    rows_late: int
    is_idle: bool


@dataclass
class _Table:
    """What is known of a table.

    Attributes:
        held: what is on its way, by message id.
        second: ids of those of which two rows are on their way, as of the move to another key; neither has landed.
        newest: the newest event time landed.
        watermark: every event before it has landed.
        position: the greatest position landed.
        landed: rows landed.
        late: those of them that were older than the watermark.
        stirred: whether something was said of the table since the last look.
        quiet_since: when the source became quiet; None while it is not.
        quiet_until: the last look at which it still was.
        is_idle: whether it has been quiet for long.
    """

    held: dict[str, Timed] = field(default_factory=dict)
    second: set[str] = field(default_factory=set)
    newest: int = _BEGINNING
    watermark: int = _BEGINNING
    position: str = ""
    landed: int = 0
    late: int = 0
    stirred: bool = False
    quiet_since: int | None = None
    quiet_until: int = _BEGINNING
    is_idle: bool = False


class Watermarks:
    """The watermarks of a process's tables; must be called in one thread."""

    def __init__(
        self,
        tables: Iterable[str] = (),
        disorder_s: float = 60.0,
        idle_s: float = 60.0,
        *,
        hold_s: float = _HOLD_S,
        clock: Clock = utc_now,
    ) -> None:
        """Begin with nothing landed.

        Args:
            tables: names of the tables; others are followed once something is said of them.
            disorder_s: how much older than the newest an event may be that still comes in time, in seconds.
            idle_s: how long a source must have been quiet for the watermark to follow the clock, in seconds.
            hold_s: how long an event that was given back holds up the watermark at most, in seconds; it comes again to
                this process or to another, and this one may never know.
            clock: the present instant.
        """
        self._tables = defaultdict(_Table, {table: _Table() for table in tables})
        self._disorder = round(disorder_s * _SECOND)
        self._idle = round(idle_s * _SECOND)
        self._hold = round(hold_s * _SECOND)
        self._clock = clock
        self._given_back: dict[str, int] = {}

    def follow(self, tables: Iterable[str]) -> None:
        """Follow tables from now on, even while nothing is said of them.

        Args:
            tables: their names.
        """
        for table in tables:
            self._tables.setdefault(table, _Table())

    def received(self, table: str, rows: Sequence[RawRow]) -> None:
        """Say that rows are on their way; the watermark waits for them.

        Args:
            table: where to.
            rows: the rows.
        """
        state = self._tables[table]
        state.stirred = True
        held, before = state.held, len(state.held)
        held.update(zip([row.event_id for row in rows], rows, strict=True))
        if len(held) - before < len(rows):
            # Some were held already, or come in two, of which the second has taken the first one's place.
            state.second.update(row.event_id for row in rows if held[row.event_id] is not row)
        if self._given_back:
            self._forget_given_back(row.event_id for row in rows)

    def pending(self, table: str, event_id: str, event: Timed) -> None:
        """Say that an event is on its way whose row is not known yet.

        Args:
            table: where to.
            event_id: message id, by which its row will be known.
            event: when it happened.
        """
        state = self._tables[table]
        state.stirred = True
        state.held[event_id] = event
        self._given_back.pop(event_id, None)

    def landed(self, table: str, rows: Sequence[RawRow]) -> None:
        """Say that rows were confirmed.

        Args:
            table: where they landed.
            rows: the rows.
        """
        if not rows:
            return
        state = self._tables[table]
        now = to_micros(self._clock())
        # A hundred thousand a second pass here: the rule of `_event_time` stands here once more, and loops are C's.
        happened = [
            row.publish_ts or now if (at := row.source_ts) is None or at > row.publish_ts > 0 else at for row in rows
        ]
        state.newest = min(max(state.newest, *happened), now)
        state.position = max(state.position, *[row.source_position or "" for row in rows])
        if min(happened) < state.watermark:
            state.late += sum(at < state.watermark for at in happened)
        state.landed += len(rows)
        if state.second:
            # Of a message that is two rows only the second to land takes it off the watermark's mind.
            rows = [row for row in rows if not _takes(state.second, row.event_id)]
        take = state.held.pop
        for row in rows:
            take(row.event_id, None)

    def dropped(self, table: str, event_ids: Iterable[str]) -> None:
        """Say that events will not land: they are dead letters now, and hold up nothing.

        Args:
            table: where they were meant for.
            event_ids: their message ids.
        """
        state = self._tables[table]
        for event_id in event_ids:
            state.held.pop(event_id, None)
            state.second.discard(event_id)

    def given_back(self, event_ids: Iterable[str]) -> None:
        """Say that messages were given back; they hold up the watermark until they come again, or too long.

        Args:
            event_ids: their message ids.
        """
        until = to_micros(self._clock()) + self._hold
        self._given_back.update(dict.fromkeys(event_ids, until))

    def observe(self, is_quiet: Callable[[str], bool], is_in_flight: Callable[[str], bool]) -> None:
        """Look at the sources, and move the watermarks on; call it every few seconds.

        Args:
            is_quiet: whether a table's source is connected and holds nothing back, so that an event, were there one,
                would have come.
            is_in_flight: whether a message is neither settled nor given back; one that is not will not land, for it is
                a dead letter by now, or told nothing new.
        """
        now = to_micros(self._clock())
        self._let_go(now, is_in_flight)
        for table, state in self._tables.items():
            if state.stirred or state.held or not is_quiet(table):
                state.quiet_since, state.is_idle = None, False
            elif state.quiet_since is None:
                state.quiet_since = state.quiet_until = now
            else:
                # What was published since the last look may be on its way; what was before has come by now.
                state.is_idle = state.quiet_until - state.quiet_since >= self._idle
                if state.is_idle:
                    self._move(state, state.quiet_until - self._disorder, now)
                state.quiet_until = max(now, state.quiet_until)
            state.stirred = False
            self._move(state, state.newest - self._disorder, now)

    def snapshot(self) -> list[TableWatermark]:
        """Return how far each table has come, as numbers for a report or a metric."""
        now = to_micros(self._clock())
        return [self._told(table, state, now) for table, state in self._tables.items()]

    def lags_s(self) -> dict[str, float]:
        """Return how far each table's watermark is behind the clock, in seconds; without those that have none yet."""
        now = to_micros(self._clock())
        return {each.table: (now - each.watermark) / _SECOND for each in self.snapshot() if each.watermark is not None}

    def _told(self, table: str, state: _Table, now: int) -> TableWatermark:
        self._move(state, state.newest - self._disorder, now)
        published = min((event.publish_ts or now for event in state.held.values()), default=None)
        return TableWatermark(
            table=table,
            watermark=state.watermark if state.watermark > _BEGINNING else None,
            newest_event_ts=state.newest if state.newest > _BEGINNING else None,
            oldest_unacked_age_ms=None if published is None else max(0, now - published) // 1_000,
            last_position=state.position or None,
            in_flight=len(state.held) + len(state.second),
            rows_landed=state.landed,
            rows_late=state.late,
            is_idle=state.is_idle,
        )

    def _move(self, state: _Table, target: int, now: int) -> None:
        """Move a watermark towards a target, as far as what is held allows."""
        former = state.watermark
        if target <= former:
            return
        # What was older than the watermark when it came is late already, and holds up nothing.
        for event in state.held.values():
            happened = _event_time(event, now)
            if former <= happened < target:
                target = happened
        state.watermark = max(former, min(target, now))

    def _let_go(self, now: int, is_in_flight: Callable[[str], bool]) -> None:
        """Forget what will not land, and what was given back too long ago."""
        self._given_back = {event_id: until for event_id, until in self._given_back.items() if until > now}
        for table, state in self._tables.items():
            over = [one for one in state.held if one not in self._given_back and not is_in_flight(one)]
            self.dropped(table, over)

    def _forget_given_back(self, event_ids: Iterable[str]) -> None:
        for event_id in event_ids:
            self._given_back.pop(event_id, None)


def _takes(ids: set[str], event_id: str) -> bool:
    """Take an id out of a set, and tell whether it was there."""
    if event_id not in ids:
        return False
    ids.remove(event_id)
    return True


def _event_time(event: Timed, now: int) -> int:
    published = event.publish_ts or now
    return published if event.source_ts is None else min(event.source_ts, published)
