"""Run zones: once in order, or for ever on their cadence."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from core.clock import Clock
from core.errors import LockedError
from pipeline.config import ZoneConfig
from pipeline.history import History, Run
from pipeline.results import ZoneResult
from pipeline.schedule import LastRun, blocked_by, due_zones, next_wake

_log = structlog.get_logger(__name__)

_LONGEST_WAIT = timedelta(seconds=60)


class ZoneBuilder(Protocol):
    """Builds one zone; `pipeline.zones.build` with all but these bound."""

    def __call__(self, zone: str, *, run_id: str, freshness: bool) -> ZoneResult:
        """Build `zone` and tell what came of it; LockedError when somebody else builds it."""
        ...


class Background(Protocol):
    """A stage that runs beside the zones, such as reconciliation."""

    @property
    def cadence(self) -> timedelta:
        """Length of its windows."""
        ...

    def tick(self, now: datetime) -> None:
        """Start it when it is due, and notice when it has ended."""
        ...

    def stop(self) -> None:
        """End it, and wait until it has."""
        ...


class StopSignal(Protocol):
    """Says that the process should end; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Tell whether to end."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for it; tell whether to end."""
        ...


@dataclass(frozen=True)
class RunSummary:
    """What came of a run over several zones.

    Attributes:
        run_id: the run, as in the logs and the history.
        status: `succeeded`, `failed`, or `stopped` when a signal ended it before the last zone.
        started_at: when it began (UTC).
        seconds: wall time it took.
        zones: what came of each zone, in order.
    """

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    zones: tuple[ZoneResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the summary ready for JSON; the nodes of the zones are left out."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "zones": [zone.summary() for zone in self.zones],
        }


@dataclass(frozen=True)
class Runner:
    """Builds zones in order and keeps a history of them.

    Attributes:
        build: builds one zone.
        history: where runs are kept.
        clock: what time it is.
        stop: says when to end; a zone that is being built is always finished.
    """

    build: ZoneBuilder
    history: History
    clock: Clock
    stop: StopSignal

    def run_once(self, zones: Sequence[ZoneConfig]) -> RunSummary:
        """Build the given zones now, each after those it waits for; the first failure stops all below.

        What was asked for by name is built whether or not a zone above, which was not asked for, succeeded.

        Args:
            zones: zones, each below those it waits for.

        Returns:
            What came of them.
        """
        asked = {zone.name for zone in zones}
        return self._run(zones, {}, lambda zone: tuple(name for name in zone.after if name in asked))

    def run_due(self, zones: Sequence[ZoneConfig]) -> RunSummary | None:
        """Build the zones that are due, each after those it waits for.

        Args:
            zones: zones, each below those it waits for.

        Returns:
            What came of them; None when none is due.
        """
        last_runs = self.history.last_runs()
        due = due_zones(zones, last_runs, self.clock())
        return self._run(due, last_runs, lambda zone: zone.after) if due else None

    def follow(
        self,
        zones: Sequence[ZoneConfig],
        report: Callable[[RunSummary], None],
        background: Background | None = None,
    ) -> None:
        """Build zones on their cadence until told to stop.

        Args:
            zones: zones, each below those it waits for.
            report: gets the summary of every run.
            background: a stage that runs beside the zones.
        """
        cadences = [zone.every for zone in zones] + ([background.cadence] if background else [])
        try:
            while not self.stop.is_set():
                # Taken before the builds: a window that begins while they last is not waited for, but entered at once.
                wake = next_wake(cadences, self.clock())
                summary = self.run_due(zones)
                if summary is not None:
                    report(summary)
                if background is not None:
                    background.tick(self.clock())
                # A minute at most: a laptop that slept, or a clock that was set, is noticed.
                self.stop.wait(min(max(wake - self.clock(), timedelta()), _LONGEST_WAIT).total_seconds())
        finally:
            if background is not None:
                background.stop()

    def _run(
        self,
        zones: Sequence[ZoneConfig],
        last_runs: dict[str, LastRun],
        needs: Callable[[ZoneConfig], tuple[str, ...]],
    ) -> RunSummary:
        run_id, started_at, started = uuid.uuid4().hex, self.clock(), time.monotonic()
        known, results = dict(last_runs), list[ZoneResult]()
        for zone in zones:
            if self.stop.is_set():
                break
            result = self._build_or_skip(zone.model_copy(update={"after": needs(zone)}), known, run_id)
            known[zone.name] = LastRun(result.started_at, result.succeeded)
            results.append(result)
        if all(result.succeeded for result in results):
            status = "succeeded" if len(results) == len(zones) else "stopped"
        else:
            status = "failed"
        return RunSummary(run_id, status, started_at, time.monotonic() - started, tuple(results))

    def _build_or_skip(self, zone: ZoneConfig, known: dict[str, LastRun], run_id: str) -> ZoneResult:
        blockers = blocked_by(zone, known)
        if blockers:
            reason = f"waits for {', '.join(blockers)}, which did not succeed"
            _log.warning("zone skipped", zone=zone.name, run_id=run_id, reason=reason)
            return ZoneResult(zone.name, "skipped", self.clock(), 0.0, errors=(reason,))
        try:
            result = self.build(zone.name, run_id=run_id, freshness=zone.freshness)
        except LockedError as error:
            _log.warning("zone locked", zone=zone.name, run_id=run_id, reason=str(error))
            return ZoneResult(zone.name, "locked", self.clock(), 0.0, errors=(str(error),))
        self.history.add(
            Run(
                stage=zone.name,
                run_id=run_id,
                status=result.status,
                started_at=result.started_at,
                seconds=result.seconds,
                models_built=result.models_built,
                tests_passed=result.tests_passed,
                tests_failed=result.tests_failed,
                error=next(iter(result.errors), None),
            )
        )
        return result
