"""Watermarks against a simulation that knows everything: never back, never past what has not landed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import from_micros
from ingest.row import RawRow
from ingest.watermarks import Pending, TableWatermark, Watermarks

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_800_000_000 * SECOND
DISORDER_S, IDLE_S, HOLD_S = 10, 5, 1_000
TABLE = "members"

Step = tuple[str, int]


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return from_micros(self.now)


def row(event_id: str, source_ts: int | None, publish_ts: int, position: int | None = None) -> RawRow:
    text = None if position is None else f"{position:020d}"
    return RawRow(
        "INSERT", False, "s", "t", event_id, "load", publish_ts, source_ts=source_ts, source_position=text
    )  # fmt: skip


def tracker(clock: Callable[[], datetime]) -> Watermarks:
    return Watermarks((TABLE, "other"), disorder_s=DISORDER_S, idle_s=IDLE_S, hold_s=HOLD_S, clock=clock)


def everything(_event_id: str) -> bool:
    return True


def nothing(_event_id: str) -> bool:
    return False


def told(watermarks: Watermarks) -> TableWatermark:
    return next(each for each in watermarks.snapshot() if each.table == TABLE)


@dataclass
class Simulation:
    """A source, a subscription and a process; the source is at most the disorder late, its clock may run ahead.

    What is published waits in the backlog while the connection is away, and arrives at once while it is there.
    """

    tracked: Callable[[Time], Watermarks] = tracker
    connected: bool = True
    count: int = 0
    backlog: list[RawRow] = field(default_factory=list)
    in_flight: dict[str, RawRow] = field(default_factory=dict)
    given_back: list[RawRow] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    idle: int = 0

    def run(self, steps: Iterable[Step]) -> list[str]:
        """Do what the steps say, and return what was wrong on the way."""
        self.time = Time()
        self.watermarks = self.tracked(self.time)
        for kind, number in steps:
            getattr(self, kind)(number)
            self.check()
        return self.faults

    def publish(self, number: int) -> None:
        self.count += 1
        happened = self.time.now - number % (DISORDER_S + 1) * SECOND
        if number % 7 == 0:
            happened = self.time.now + DAY
        self.backlog.append(row(str(self.count), None if number % 5 == 0 else happened, self.time.now))
        self.deliver()

    def deliver(self) -> None:
        if self.connected and self.backlog:
            self.receive(self.backlog)
            self.backlog = []

    def receive(self, rows: list[RawRow]) -> None:
        self.watermarks.received(TABLE, rows)
        self.in_flight |= {each.event_id: each for each in rows}

    def take(self, number: int) -> list[RawRow]:
        """Take one or more of what is in flight."""
        chosen = sorted(self.in_flight)[number % 3 :: 1 + number % 4]
        return [self.in_flight.pop(event_id) for event_id in chosen]

    def land(self, number: int) -> None:
        self.watermarks.landed(TABLE, self.take(number))

    def land_all(self, _number: int) -> None:
        self.redeliver(0)
        self.watermarks.landed(TABLE, list(self.in_flight.values()))
        self.in_flight = {}

    def dead_letter(self, number: int) -> None:
        taken = [each.event_id for each in self.take(number)]
        if number % 2:  # the others are only settled, as what tells nothing new
            self.watermarks.dropped(TABLE, taken)

    def give_back(self, number: int) -> None:
        taken = self.take(number)
        self.given_back += taken
        self.watermarks.given_back([each.event_id for each in taken])

    def redeliver(self, _number: int) -> None:
        if self.connected and self.given_back:
            self.receive(self.given_back)
            self.given_back = []

    def connect(self, number: int) -> None:
        self.connected = number % 2 == 0
        self.deliver()

    def tick(self, number: int) -> None:
        self.time.now += number % 9 * SECOND
        self.watermarks.observe(lambda _table: self.connected, self.in_flight.__contains__)
        if told(self.watermarks).in_flight > len(self.in_flight) + len(self.given_back):
            self.faults.append("something is held for ever")

    def check(self) -> None:
        mark = told(self.watermarks)
        self.idle += mark.is_idle
        if mark.watermark is None:
            return
        if self.marks and mark.watermark < self.marks[-1]:
            self.faults.append("it went back")
        if mark.watermark > self.time.now:
            self.faults.append("it lies in the future")
        unlanded = [*self.backlog, *self.in_flight.values(), *self.given_back]
        if any(min(each.source_ts or each.publish_ts, each.publish_ts) < mark.watermark for each in unlanded):
            self.faults.append("it passed what has not landed")
        self.marks.append(mark.watermark)


KINDS = (
    *["publish"] * 3, *["tick"] * 4, "land", "land", "land_all", "dead_letter", "give_back", "redeliver", "connect"
)  # fmt: skip
steps = st.tuples(st.sampled_from(KINDS), st.integers(0, 200))


@settings(max_examples=500)
@given(st.lists(steps, max_size=80))
def test_it_never_goes_back_and_never_passes_what_has_not_landed(chosen: list[Step]) -> None:
    assert not Simulation().run(chosen)


def at_random(seed: int) -> list[Step]:
    random = Random(seed)
    return [(random.choice(KINDS), random.randrange(200)) for _ in range(80)]


def test_it_does_move_on_both_by_events_and_by_the_clock() -> None:
    simulations = [Simulation() for _ in range(100)]
    assert not [fault for seed, each in enumerate(simulations) for fault in each.run(at_random(seed))]
    assert sum(len(set(each.marks)) for each in simulations) > 300
    assert sum(each.idle for each in simulations) > 100


class Hasty(Watermarks):
    """Only looks at what has landed."""

    def received(self, table: str, rows: Sequence[RawRow]) -> None:
        super().received(table, rows)
        self.dropped(table, [each.event_id for each in rows])


class Impatient(Watermarks):
    """Takes any silence for idleness."""

    def observe(self, is_quiet: Callable[[str], bool], is_in_flight: Callable[[str], bool]) -> None:
        del is_quiet
        super().observe(lambda _table: True, is_in_flight)


class Trusting(Watermarks):
    """Believes the source's clock."""

    def landed(self, table: str, rows: Sequence[RawRow]) -> None:
        for each in rows:
            each.publish_ts = max(each.publish_ts, each.source_ts or 0)
        super().landed(table, rows)


class Forgetful(Watermarks):
    """Forgets what was given back."""

    def given_back(self, event_ids: Iterable[str]) -> None:
        self.dropped(TABLE, event_ids)


@pytest.mark.parametrize("mutant", [Hasty, Impatient, Trusting, Forgetful])
def test_the_simulation_notices_a_watermark_that_claims_too_much(mutant: type[Watermarks]) -> None:
    """The control."""

    def mutated(time: Time) -> Watermarks:
        return mutant((TABLE,), disorder_s=DISORDER_S, idle_s=IDLE_S, hold_s=HOLD_S, clock=time)

    assert any(Simulation(tracked=mutated).run(at_random(seed)) for seed in range(500))


def test_it_follows_the_newest_event_less_the_disorder_and_reports_numbers() -> None:
    time = Time()
    watermarks = tracker(time)
    assert told(watermarks) == TableWatermark(TABLE, None, None, None, None, 0, 0, 0, False)
    rows = [row("1", START - 5 * SECOND, START, 7), row("2", None, START, 12), row("3", START - 60 * SECOND, START, 9)]
    watermarks.received(TABLE, rows)
    time.now += 3 * SECOND
    assert (told(watermarks).in_flight, told(watermarks).oldest_unacked_age_ms) == (3, 3_000)
    watermarks.landed(TABLE, rows[:2])
    # The third was there before the watermark was, so it is in time and holds it.
    assert told(watermarks).watermark == START - 60 * SECOND
    watermarks.landed(TABLE, rows[2:])
    mark = told(watermarks)
    assert (mark.watermark, mark.newest_event_ts) == (START - DISORDER_S * SECOND, START)
    assert (mark.last_position, mark.rows_landed, mark.rows_late) == (f"{12:020d}", 3, 0)
    assert mark.oldest_unacked_age_ms is None
    assert watermarks.lags_s() == {TABLE: 3.0 + DISORDER_S}


def test_a_late_event_is_counted_and_holds_nothing() -> None:
    time = Time()
    watermarks = tracker(time)
    for number in range(3):
        watermarks.landed(TABLE, [row(str(number), time.now, time.now)])
        told(watermarks)
        time.now += 60 * SECOND
        behind = row(f"late{number}", time.now - DAY, time.now)
        watermarks.received(TABLE, [behind])
        assert told(watermarks).watermark == time.now - (60 + DISORDER_S) * SECOND
        watermarks.landed(TABLE, [behind])
    assert told(watermarks).rows_late == 3


def test_a_clock_a_day_ahead_does_not_carry_the_watermark_with_it() -> None:
    time = Time()
    watermarks = tracker(time)
    watermarks.landed(TABLE, [row("1", START + DAY, START - 100 * SECOND), row("2", None, 0)])
    assert told(watermarks).watermark == START - DISORDER_S * SECOND
    watermarks.landed(TABLE, [row("3", START + DAY, START + DAY)])  # and the service's clock with it
    assert told(watermarks).watermark == START - DISORDER_S * SECOND


def test_a_quiet_table_follows_the_clock_and_a_cut_off_one_does_not() -> None:
    time = Time()
    watermarks = tracker(time)
    for _ in range(20):
        time.now += SECOND
        watermarks.observe(lambda table: table == TABLE, nothing)
    quiet, cut_off = watermarks.snapshot()
    assert (quiet.is_idle, quiet.watermark) == (True, time.now - (1 + DISORDER_S) * SECOND)
    assert (cut_off.is_idle, cut_off.watermark) == (False, None)
    watermarks.received(TABLE, [row("1", time.now, time.now)])
    watermarks.observe(lambda _table: True, everything)
    assert not told(watermarks).is_idle


def test_what_was_given_back_holds_the_watermark_until_it_comes_again_or_too_long() -> None:
    time = Time()
    watermarks = tracker(time)
    held = row("1", START, START)
    watermarks.received(TABLE, [held])
    watermarks.given_back(["1"])
    time.now += 100 * SECOND
    watermarks.landed(TABLE, [row("2", time.now, time.now)])
    watermarks.observe(lambda _table: True, nothing)
    assert told(watermarks).watermark == START
    watermarks.received(TABLE, [held])
    time.now += 2 * HOLD_S * SECOND
    watermarks.observe(lambda _table: True, everything)
    assert told(watermarks).watermark == START  # in flight, however long
    watermarks.given_back(["1"])
    time.now += (HOLD_S + 1) * SECOND
    watermarks.observe(lambda _table: True, nothing)
    assert told(watermarks).watermark == START + (100 - DISORDER_S) * SECOND


def test_a_notification_holds_the_watermark_before_its_row_is_known() -> None:
    time = Time()
    watermarks = tracker(time)
    watermarks.pending(TABLE, "1", Pending(START - 2 * SECOND, START))
    time.now += 100 * SECOND
    watermarks.landed(TABLE, [row("2", time.now, time.now)])
    assert told(watermarks).watermark == START - 2 * SECOND
    fetched = row("1", START + 50 * SECOND, START)
    watermarks.received(TABLE, [fetched])
    watermarks.landed(TABLE, [fetched])
    assert told(watermarks).watermark == START + (100 - DISORDER_S) * SECOND
    watermarks.pending(TABLE, "3", Pending(None, time.now))
    watermarks.dropped(TABLE, ["3"])
    assert told(watermarks).in_flight == 0


@pytest.mark.parametrize("together", [True, False])
def test_it_waits_for_both_rows_of_a_moved_key(together: bool) -> None:
    """One message, two rows: the deletion under the old key and the insertion under the new one."""
    time = Time()
    watermarks = tracker(time)
    moved = time.now - 3 * SECOND
    gone, come = row("moved", moved, time.now, 2), row("moved", moved, time.now, 3)
    after = row("after", time.now, time.now, 4)
    watermarks.received(TABLE, [come, gone, after] if together else [come, gone])
    watermarks.received(TABLE, [] if together else [after])
    assert told(watermarks).in_flight == 3
    watermarks.landed(TABLE, [come, after])
    time.now += DISORDER_S * SECOND
    watermarks.landed(TABLE, [row("later", time.now, time.now, 5)])
    watermarks.observe(everything, everything)
    assert told(watermarks).watermark == moved
    watermarks.landed(TABLE, [gone])
    watermarks.observe(everything, everything)
    assert told(watermarks).watermark == time.now - DISORDER_S * SECOND
    assert told(watermarks).in_flight == 0


def test_two_rows_that_were_dropped_or_come_again_hold_up_nothing_for_ever() -> None:
    time = Time()
    watermarks = tracker(time)
    pair = [row("moved", time.now, time.now, 1), row("moved", time.now, time.now, 2)]
    for _ in range(2):
        watermarks.received(TABLE, pair)
        watermarks.landed(TABLE, pair[:1])
        watermarks.given_back(["moved"])
    watermarks.received(TABLE, pair)
    watermarks.landed(TABLE, pair)
    assert told(watermarks).in_flight == 0
    watermarks.received(TABLE, pair)
    watermarks.dropped(TABLE, ["moved"])
    assert told(watermarks).in_flight == 0
