"""From a run to Prometheus: a snapshot of its metrics, the sum of several, and the registry that renders it."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ingest.http.catalogue import CATALOGUE, Merge, Metric
from ingest.http.observed import Observed
from ingest.measures import SECONDS, Histogram

_MERGES: Final[dict[Merge, Callable[[float, float], float]]] = {"sum": float.__add__, "max": max, "min": min}


class Snapshot(msgspec.Struct):
    """The metrics of a process at an instant, by name and label; plain values that another process can read.

    Attributes:
        taken_at: when, in seconds since 1970 UTC.
        numbers: counters and gauges.
        histograms: histograms.
    """

    taken_at: float
    numbers: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    histograms: dict[str, dict[str, Histogram]] = msgspec.field(default_factory=dict)


def take(run: Observed) -> Snapshot:
    """Read the metrics of a run.

    Args:
        run: the run of this process.

    Returns:
        Its metrics.
    """
    snapshot = Snapshot(time.time())
    for metric in CATALOGUE:
        values = metric.read(run)
        if metric.kind == "histogram":
            snapshot.histograms[metric.name] = {
                label: value for label, value in values.items() if isinstance(value, Histogram)
            }
        else:
            snapshot.numbers[metric.name] = {
                label: float(value) for label, value in values.items() if not isinstance(value, Histogram)
            }
    return snapshot


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the metrics of several processes.

    Args:
        snapshots: one a process; a process that has ended keeps its counters, see `without_gauges`.

    Returns:
        One snapshot; gauges become what their `Metric.merge` says.
    """
    result = Snapshot(time.time())
    rules = {metric.name: _MERGES[metric.merge] for metric in CATALOGUE}
    for snapshot in snapshots:
        for name, values in snapshot.numbers.items():
            into, rule = result.numbers.setdefault(name, {}), rules.get(name, float.__add__)
            for label, value in values.items():
                into[label] = rule(into[label], value) if label in into else value
        for name, histograms in snapshot.histograms.items():
            for label, histogram in histograms.items():
                result.histograms.setdefault(name, {}).setdefault(label, Histogram()).merge(histogram)
    return result


def without_gauges(snapshot: Snapshot) -> Snapshot:
    """Return what remains true of a process that has ended: what it counted.

    Args:
        snapshot: the last word of the process.
    """
    counters = {metric.name for metric in CATALOGUE if metric.kind == "counter"}
    return Snapshot(
        snapshot.taken_at,
        {name: values for name, values in snapshot.numbers.items() if name in counters},
        snapshot.histograms,
    )


def registry(read: Callable[[], Snapshot]) -> CollectorRegistry:
    """Return a registry of its own that reads the metrics whenever it is asked.

    Args:
        read: returns them as they are.

    Returns:
        A registry for `prometheus_client.generate_latest`.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(_Snapshots(read))
    return made


class _Snapshots(Collector):
    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        snapshot = self._read()
        for metric in CATALOGUE:
            yield _family(metric, snapshot)


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    labels = [metric.label] if metric.label is not None else []

    def values_of(label: str) -> list[str]:
        return [label] if labels else []

    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=labels)
        for label, measured in sorted(snapshot.histograms.get(metric.name, {}).items()):
            bounds = [*(str(bound) for bound in SECONDS), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(measured.counts)), strict=True))
            histogram.add_metric(values_of(label), buckets, measured.total)
        return histogram
    numbers = snapshot.numbers.get(metric.name, {})
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=labels)
    for label, number in sorted(numbers.items()):
        family.add_metric(values_of(label), number)
    return family
