"""What to build now, as functions over values: the cadence of each zone, and what holds it back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.windows import due, window_of
from pipeline.config import ZoneConfig


@dataclass(frozen=True)
class LastRun:
    """The most recent run of a stage.

    Attributes:
        started_at: when it began (UTC).
        succeeded: whether it ended well.
    """

    started_at: datetime
    succeeded: bool


def due_zones(zones: Iterable[ZoneConfig], last_runs: Mapping[str, LastRun], now: datetime) -> tuple[ZoneConfig, ...]:
    """Return the zones that have not been built in the present window of their cadence.

    Args:
        zones: zones, each below those it waits for.
        last_runs: the last run of each zone that has one.
        now: the present instant.

    Returns:
        The zones that are due, in the given order.
    """
    return tuple(zone for zone in zones if is_due(last_runs.get(zone.name), now, zone.every))


def is_due(last_run: LastRun | None, now: datetime, cadence: timedelta) -> bool:
    """Tell whether a stage has not begun in the present window of its cadence.

    Args:
        last_run: its last run; None when there is none.
        now: the present instant.
        cadence: length of its windows.

    Returns:
        True when it should run.
    """
    return due(last_run.started_at if last_run else None, now, cadence)


def blocked_by(zone: ZoneConfig, last_runs: Mapping[str, LastRun]) -> tuple[str, ...]:
    """Return the zones above whose last build did not succeed, or that were never built.

    Args:
        zone: the zone that wants to be built.
        last_runs: the last run of each zone that has one.

    Returns:
        Names of the zones it has to wait for; empty when nothing holds it back.
    """
    return tuple(name for name in zone.after if name not in last_runs or not last_runs[name].succeeded)


def next_wake(cadences: Iterable[timedelta], now: datetime) -> datetime:
    """Return when the next window of any cadence begins.

    Args:
        cadences: at least one cadence.
        now: the present instant.

    Returns:
        The first instant after `now` at which something can become due (UTC).

    Raises:
        ValueError: when there is no cadence.
    """
    return min(window_of(now, cadence).end for cadence in cadences)
