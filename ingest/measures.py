"""What a run measures beside its counters: durations, failures, and how busy its event loop is.

The hot path adds to plain numbers here. They become Prometheus metrics only when somebody asks (`ingest.http.metrics`),
so a run that nobody watches pays next to nothing.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    3600.0,
)
"""Upper bounds of the buckets of every duration, in seconds: from a decoded batch to an hour's backlog."""

_SAMPLE: Final = 32


class Histogram(msgspec.Struct):
    """How often a duration was how long.

    Attributes:
        counts: observations per bucket of `SECONDS`, and of what is longer; not cumulative.
        total: all observations added up, in seconds.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Add observations.

        Args:
            seconds: the duration.
            times: how many were so long.
        """
        self.counts[bisect_left(SECONDS, seconds)] += times
        self.total += seconds * times

    def observe_ages(self, micros: Sequence[int], now: int) -> None:
        """Add how long ago many things were, at the cost of few: evenly spaced ones stand for those beside them.

        Args:
            micros: instants, such as those of a batch, in microseconds since 1970 UTC, in any order that is not
                periodic; those that are later than now count as now.
            now: the present instant, likewise.
        """
        count = len(micros)
        step = max(1, -(-count // _SAMPLE))
        for start in range(0, count, step):
            self.observe(max(0, now - micros[start]) / 1_000_000, min(step, count - start))

    def merge(self, other: "Histogram") -> None:
        """Add the observations of another histogram.

        Args:
            other: what another process measured.
        """
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


@dataclass
class Measures:
    """Measurements that the stages add to.

    Attributes:
        appends: duration of a request to BigQuery, by table.
        landings: time from publication to confirmed append, by table; early clocks count as zero.
        decodes: duration of decoding what arrived together, by topic.
        failures: failed requests to BigQuery by kind: unavailable, refused or configuration.
        pull_failures: streams of Pub/Sub that broke by kind: unavailable, malformed or configuration.
        append_failing_since: when appends began to fail without one that succeeded since, on the monotonic clock in
            seconds; None while they succeed.
        loop_lag_s: how late the event loop was of late, in seconds.
    """

    appends: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    landings: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    decodes: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    failures: Counter[str] = field(default_factory=Counter)
    pull_failures: Counter[str] = field(default_factory=Counter)
    append_failing_since: float | None = None
    loop_lag_s: float = 0.0

    def landed(self, table: str, publish_times: Sequence[int], now: int) -> None:
        """Observe rows whose append was confirmed.

        Args:
            table: where they landed.
            publish_times: when each was published, in microseconds since 1970 UTC; 0 for unknown.
            now: the present instant, likewise.
        """
        known = [published for published in publish_times if published] if 0 in publish_times else publish_times
        self.landings[table].observe_ages(known, now)

    def append_succeeded(self, table: str, seconds: float) -> None:
        """Observe a request that BigQuery confirmed.

        Args:
            table: where it went.
            seconds: how long it took.
        """
        self.appends[table].observe(seconds)
        self.append_failing_since = None

    def append_failed(self, kind: str, *, is_outage: bool) -> None:
        """Observe a request that failed.

        Args:
            kind: unavailable, refused or configuration.
            is_outage: whether BigQuery, rather than the rows, was the fault.
        """
        self.failures[kind] += 1
        if not is_outage:
            self.append_failing_since = None
        elif self.append_failing_since is None:
            self.append_failing_since = time.monotonic()

    def pull_failed(self, kind: str) -> None:
        """Observe a stream of Pub/Sub that broke.

        Args:
            kind: unavailable, malformed or configuration.
        """
        self.pull_failures[kind] += 1

    @contextmanager
    def decoding(self, topic: str) -> Iterator[None]:
        """Observe the decoding of what arrived together.

        Args:
            topic: where it came from.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            self.decodes[topic].observe(time.perf_counter() - started)
