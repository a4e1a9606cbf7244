"""Cadence and order, as properties of simulated days."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from core.windows import window_of
from pipeline.config import ZoneConfig
from pipeline.history import History
from pipeline.results import ZoneResult
from pipeline.runner import Runner
from pipeline.schedule import LastRun, blocked_by, due_zones, next_wake

START = datetime(2026, 1, 2, tzinfo=UTC)
HORIZON = timedelta(minutes=20)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
cadences = st.sampled_from([timedelta(seconds=s) for s in (1, 60, 90, 300, 3_600, 86_400)])


def zone(name: str, every: timedelta, *after: str) -> ZoneConfig:
    return ZoneConfig.model_construct(name=name, every=every, after=after)


@given(last=instants, now=instants, every=cadences)
def test_a_zone_is_due_when_a_later_window_has_begun(last: datetime, now: datetime, every: timedelta) -> None:
    due = bool(due_zones([zone("structure", every)], {"structure": LastRun(last, succeeded=True)}, now))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert due == ((now - epoch) // every > (last - epoch) // every)


@given(now=instants, every=cadences)
def test_a_zone_that_never_ran_is_due(now: datetime, every: timedelta) -> None:
    assert due_zones([zone("structure", every)], {}, now)


@given(now=instants, every=st.lists(cadences, min_size=1, max_size=3))
def test_waking_up_misses_no_window_and_is_never_idle(now: datetime, every: list[timedelta]) -> None:
    wake = next_wake(every, now)
    assert now < wake
    for cadence in every:
        assert window_of(wake, cadence).start in {window_of(now, cadence).start, wake}


def test_a_zone_waits_for_each_one_above() -> None:
    below = zone("analytics", timedelta(seconds=1), "refined", "snapshots")
    assert blocked_by(below, {}) == ("refined", "snapshots")
    runs = {"refined": LastRun(START, succeeded=True), "snapshots": LastRun(START, succeeded=False)}
    assert blocked_by(below, runs) == ("snapshots",)
    assert blocked_by(below, runs | {"snapshots": LastRun(START, succeeded=True)}) == ()


@dataclass
class World:
    """A clock that moves as zones are built, and builds that fail when they are told to."""

    outcomes: list[bool]
    seconds: list[int]
    now: datetime = START
    built: list[tuple[str, datetime, bool]] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def build(self, zone: str, *, run_id: str, freshness: bool) -> ZoneResult:
        assert run_id
        assert not freshness
        number, started = len(self.built), self.now
        succeeded = self.outcomes[number % len(self.outcomes)]
        self.now += timedelta(seconds=self.seconds[number % len(self.seconds)])
        self.built.append((zone, started, succeeded))
        return ZoneResult(zone, "succeeded" if succeeded else "failed", started, 1.0)

    def is_set(self) -> bool:
        return self.now >= START + HORIZON

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert 0 <= timeout <= 60
        # A loop that wakes up without having anything to wait for would otherwise stand still here.
        self.now += timedelta(seconds=max(timeout, 0.001))
        return self.is_set()


ZONES = (
    zone("structure", timedelta(seconds=60)),
    zone("refined", timedelta(seconds=300), "structure"),
    zone("analytics", timedelta(seconds=300), "refined"),
)


def follow(world: World) -> list[tuple[str, datetime, bool]]:
    with TemporaryDirectory() as folder:
        history = History(Path(folder) / "runs.sqlite")
        Runner(build=world.build, history=history, clock=world.clock, stop=world).follow(ZONES, lambda _summary: None)
    return world.built


@settings(max_examples=15, deadline=None)
@given(
    outcomes=st.lists(st.booleans(), min_size=1, max_size=20),
    seconds=st.lists(st.integers(0, 200), min_size=1, max_size=5),
)
def test_whatever_fails_and_however_long_it_takes_order_and_cadence_hold(
    outcomes: list[bool], seconds: list[int]
) -> None:
    built = follow(World(outcomes, seconds))
    latest: dict[str, bool] = {}
    windows: dict[str, set[datetime]] = {}
    for name, started, succeeded in built:
        config = next(zone for zone in ZONES if zone.name == name)
        assert all(latest.get(above) for above in config.after), f"{name} was built over a zone that had failed"
        start = window_of(started, config.every).start
        assert start not in windows.setdefault(name, set()), f"{name} was built twice in a window"
        windows[name].add(start)
        latest[name] = succeeded


def test_quick_zones_that_succeed_are_built_in_every_window() -> None:
    built = follow(World([True], [1]))
    counts = {zone.name: sum(name == zone.name for name, _, _ in built) for zone in ZONES}
    assert counts == {"structure": 20, "refined": 4, "analytics": 4}
    order = [name for name, started, _ in built if started < START + timedelta(seconds=60)]
    assert order == ["structure", "refined", "analytics"]


def test_a_build_that_outlasts_its_window_is_followed_by_the_next_at_once() -> None:
    starts = [started for name, started, _ in follow(World([True], [70])) if name == "structure"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert max(gaps) <= timedelta(seconds=3 * 70 + 1)


def test_a_zone_below_catches_up_as_soon_as_the_one_above_recovers() -> None:
    built = follow(World([False, False, True], [1]))
    assert [name for name, _, _ in built[:4]] == ["structure", "structure", "structure", "refined"]
    assert built[3][1] - built[2][1] <= timedelta(seconds=1)
