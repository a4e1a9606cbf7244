import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from core.errors import LockedError
from pipeline.config import ZoneConfig
from pipeline.history import History
from pipeline.results import ZoneResult, ZoneStatus
from pipeline.runner import Runner, RunSummary, ZoneBuilder

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ZONES = (
    ZoneConfig(name="structure", every="60s"),
    ZoneConfig(name="refined", every="300s", after=("structure",)),
    ZoneConfig(name="analytics", every="300s", after=("refined",)),
)

Build = Callable[[str], ZoneResult]


def result(zone: str, status: ZoneStatus = "succeeded") -> ZoneResult:
    errors = () if status == "succeeded" else (f"{zone} broke",)
    return ZoneResult(zone, status, NOW, 2.0, models_built=13, tests_passed=40, errors=errors)


def _bound(build: Build) -> ZoneBuilder:
    def bound(zone: str, *, run_id: str, freshness: bool) -> ZoneResult:
        assert run_id
        assert freshness == (zone == "raw")
        return build(zone)

    return bound


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "runs.sqlite")


def runner(history: History, build: Build, stop: Event | None = None) -> Runner:
    return Runner(build=_bound(build), history=history, clock=lambda: NOW, stop=stop or Event())


def outcomes(summary: RunSummary) -> list[tuple[str, str]]:
    return [(zone.zone, zone.status) for zone in summary.zones]


def test_all_zones_are_built_in_order_and_kept_in_the_history(history: History) -> None:
    built: list[str] = []

    def build(zone: str) -> ZoneResult:
        built.append(zone)
        return result(zone)

    summary = runner(history, build).run_once(ZONES)
    assert built == ["structure", "refined", "analytics"]
    assert summary.status == "succeeded"
    kept = history.recent(10)
    assert [(run.stage, run.status, run.models_built, run.tests_passed) for run in kept] == [
        (zone, "succeeded", 13, 40) for zone in ("analytics", "refined", "structure")
    ]
    assert {run.run_id for run in kept} == {summary.run_id}


def test_freshness_is_asked_of_the_zone_that_says_so(history: History) -> None:
    raw = ZoneConfig(name="raw", every="1d", once=False, freshness=True)
    assert outcomes(runner(history, result).run_once([*ZONES, raw]))[-1] == ("raw", "succeeded")


def test_a_failing_zone_stops_those_below_it(history: History) -> None:
    summary = runner(history, lambda zone: result(zone, "failed" if zone == "refined" else "succeeded")).run_once(ZONES)
    assert outcomes(summary) == [("structure", "succeeded"), ("refined", "failed"), ("analytics", "skipped")]
    assert summary.status == "failed"
    assert summary.zones[2].errors == ("waits for refined, which did not succeed",)
    last = history.last()
    assert (last["refined"].status, last["refined"].error) == ("failed", "refined broke")
    assert "analytics" not in last, "what did not begin has not used up its window"


def test_a_locked_zone_counts_as_failed_for_this_run_only(history: History) -> None:
    def build(zone: str) -> ZoneResult:
        if zone == "structure":
            raise LockedError("zone 'structure' is being built by process 7")
        return result(zone)

    summary = runner(history, build).run_once(ZONES)
    assert outcomes(summary) == [("structure", "locked"), ("refined", "skipped"), ("analytics", "skipped")]
    assert "process 7" in summary.zones[0].errors[0]
    assert summary.status == "failed"
    assert history.recent(10) == []


def test_a_zone_asked_for_by_name_does_not_wait_for_one_that_was_not(history: History) -> None:
    summary = runner(history, result).run_once(ZONES[1:2])
    assert outcomes(summary) == [("refined", "succeeded")]


def test_what_is_due_waits_for_a_zone_above_that_failed_earlier(history: History) -> None:
    failing = runner(history, lambda zone: result(zone, "failed"))
    assert outcomes(failing.run_due(ZONES) or pytest.fail("nothing was due"))[0] == ("structure", "failed")
    later = Runner(
        build=_bound(result),
        history=history,
        clock=lambda: NOW + timedelta(seconds=1),
        stop=Event(),
    )
    summary = later.run_due(ZONES)
    assert summary is not None
    assert outcomes(summary) == [("refined", "skipped"), ("analytics", "skipped")]


def test_nothing_due_is_nothing_done(history: History) -> None:
    assert runner(history, result).run_due(ZONES) is not None
    assert runner(history, result).run_due(ZONES) is None


def test_a_stop_lets_the_zone_being_built_finish_and_starts_no_other(history: History) -> None:
    stop = Event()

    def build(zone: str) -> ZoneResult:
        stop.set()
        return result(zone)

    summary = runner(history, build, stop).run_once(ZONES)
    assert (summary.status, outcomes(summary)) == ("stopped", [("structure", "succeeded")])


class Beside:
    """A stage beside the zones that notes what is asked of it, and ends the loop after a few turns."""

    cadence = timedelta(seconds=30)

    def __init__(self, stop: Event) -> None:
        self.ticks = 0
        self.stopped = False
        self._stop = stop

    def tick(self, now: datetime) -> None:
        assert now == NOW
        self.ticks += 1
        self._stop.set()

    def stop(self) -> None:
        self.stopped = True


def test_the_stage_beside_the_zones_is_stopped_whatever_happens(history: History) -> None:
    stop, summaries = Event(), list[RunSummary]()
    beside = Beside(stop)
    runner(history, result, stop).follow(ZONES, summaries.append, beside)
    assert (beside.ticks, beside.stopped, len(summaries)) == (1, True, 1)

    def broken(zone: str) -> ZoneResult:
        raise RuntimeError("the disk is full")

    beside = Beside(Event())
    with pytest.raises(RuntimeError, match="disk"):
        runner(History(history._path.with_name("other.sqlite")), broken).follow(ZONES, summaries.append, beside)
    assert beside.stopped


def test_the_summary_is_json(history: History) -> None:
    summary = runner(history, result).run_once(ZONES)
    document = json.loads(json.dumps(summary.to_json()))
    assert document["status"] == "succeeded"
    assert [zone["zone"] for zone in document["zones"]] == ["structure", "refined", "analytics"]
    assert "nodes" not in document["zones"][0]
