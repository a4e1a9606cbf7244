"""Every metric of the ingester: rates, errors and durations (RED) first, then how full it is.

Names follow https://prometheus.io/docs/practices/naming/. A metric has one label at most, so that the number of
series is the number of tables, topics or reason codes.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ingest.http.observed import Observed
from ingest.measures import Histogram

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]
Values = Mapping[str, float] | Mapping[str, Histogram]

_STATM: Final = Path("/proc/self/statm")
_CIRCUIT: Final = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


@dataclass(frozen=True)
class Metric:
    """A metric and how it is read from a run.

    Attributes:
        name: its name; the name of a counter ends in `_total`.
        kind: counter, gauge or histogram.
        help: what it counts, in one sentence.
        read: its values by label; the label of a metric without one is empty.
        label: name of its label; None without.
        merge: how the values of several processes become one; counters and histograms are always added.
    """

    name: str
    kind: Kind
    help: str
    read: Callable[[Observed], Values]
    label: str | None = None
    merge: Merge = "sum"


def _one(read: Callable[[Observed], float]) -> Callable[[Observed], Values]:
    return lambda run: {"": float(read(run))}


def _oldest_unacked_s(run: Observed) -> float:
    oldest = run.oldest_publish_ts()
    return max(0.0, time.time() - oldest / 1_000_000) if oldest is not None else 0.0


def _resident_bytes(_run: Observed) -> float:
    try:
        return float(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no procfs, as on macOS
        return 0.0


def _connected(run: Observed) -> Values:
    return {one.name.rpartition("/")[2]: float(one.is_connected) for one in run.transports}


def _counters() -> tuple[Metric, ...]:
    def counter(name: str, words: str, read: Callable[[Observed], Values], label: str | None = None) -> Metric:
        return Metric(f"millrace_ingest_{name}_total", "counter", words, read, label)

    return (
        counter("received_messages", "Deliveries, redeliveries included.", _one(lambda run: run.progress.received)),
        counter(
            "duplicate_messages",
            "Deliveries of a message that was in flight or had landed already.",
            _one(lambda run: run.progress.duplicates),
        ),
        counter(
            "control_messages",
            "Heartbeats and transaction boundaries, which are no rows.",
            _one(lambda run: run.progress.control),
        ),
        counter("landed_rows", "Rows whose append was confirmed.", lambda run: dict(run.progress.tables), "table"),
        counter(
            "dead_lettered_messages", "Messages given up, by reason.", lambda run: dict(run.progress.reasons), "reason"
        ),
        counter(
            "acknowledged_messages",
            "Deliveries whose acknowledgement was confirmed.",
            _one(lambda run: run.progress.acked),
        ),
        counter("released_messages", "Deliveries given back.", _one(lambda run: run.progress.nacked)),
        counter(
            "append_failures",
            "Requests to BigQuery that failed, by kind: unavailable (tried again), refused (rows), configuration.",
            lambda run: dict(run.measures.failures),
            "kind",
        ),
        counter(
            "pull_failures",
            "Streams of Pub/Sub that broke, by kind: unavailable (opened again, as now and then each is), malformed "
            "(a response that is none; opened again), configuration.",
            lambda run: dict(run.measures.pull_failures),
            "kind",
        ),
        counter("fetched_answers", "Answers taken from the API.", _one(lambda run: run.progress.fetched)),
        counter(
            "unmodified_answers",
            "Answers of the API that named the representation kept from before.",
            _one(lambda run: run.progress.not_modified),
        ),
        counter(
            "circuit_opened",
            "How often the API's circuit breaker opened.",
            _one(lambda run: run.progress.circuit_opened),
        ),
        counter(
            "inferred_operations",
            "Rows whose operation was worked out, by operation.",
            lambda run: dict(run.progress.inferred),
            "operation",
        ),
        counter(
            "anomalies",
            "Rows kept although their change should be impossible, by kind.",
            lambda run: dict(run.progress.anomalies),
            "kind",
        ),
        counter("dumps", "Full dumps, by outcome.", lambda run: dict(run.progress.dumps), "outcome"),
        counter(
            "detector_cache_hits", "Rows whose last state was in memory.", _one(lambda run: run.progress.cache_hits)
        ),
        counter(
            "detector_cache_misses",
            "Rows whose last state the warehouse was asked for.",
            _one(lambda run: run.progress.cache_misses),
        ),
    )


_DURATIONS: Final = (
    Metric(
        "millrace_ingest_append_seconds",
        "histogram",
        "Duration of a confirmed request to BigQuery.",
        lambda run: dict(run.measures.appends),
        "table",
    ),
    Metric(
        "millrace_ingest_publish_to_landed_seconds",
        "histogram",
        "Time from the publication of a message to its confirmed row; estimated from up to 32 rows of an append.",
        lambda run: dict(run.measures.landings),
        "table",
    ),
    Metric(
        "millrace_ingest_decode_seconds",
        "histogram",
        "Duration of decoding the messages that arrived together.",
        lambda run: dict(run.measures.decodes),
        "topic",
    ),
)


def _saturation() -> tuple[Metric, ...]:
    def gauge(
        name: str, words: str, read: Callable[[Observed], Values], label: str | None = None, merge: Merge = "sum"
    ) -> Metric:
        return Metric(f"millrace_ingest_{name}", "gauge", words, read, label, merge)

    return (
        gauge("in_flight_messages", "Messages received and not yet settled.", _one(lambda run: run.flow.messages)),
        gauge(
            "in_flight_messages_limit",
            "Messages in flight at which pulling pauses.",
            _one(lambda run: run.settings.outstanding_messages),
        ),
        gauge("in_flight_bytes", "Bytes of the messages in flight.", _one(lambda run: run.flow.size)),
        gauge(
            "in_flight_bytes_limit",
            "Bytes in flight at which pulling pauses.",
            _one(lambda run: run.settings.outstanding_bytes),
        ),
        gauge(
            "append_queue_rows",
            "Rows that wait for their append or its answer.",
            lambda run: run.waiting_rows(),
            "table",
        ),
        gauge(
            "oldest_unacked_seconds",
            "Age, since its publication, of the oldest message in flight; 0 without one.",
            _one(_oldest_unacked_s),
            merge="max",
        ),
        gauge(
            "watermark_lag_seconds",
            "How far a table's watermark is behind the clock.",
            lambda run: run.watermark_lags_s(),
            "table",
            "max",
        ),
        gauge(
            "event_loop_lag_seconds",
            "How late the event loop was of late: over 0.1 s the process wants more CPU.",
            _one(lambda run: run.measures.loop_lag_s),
            merge="max",
        ),
        gauge("resident_memory_bytes", "Memory of the process, or of all its workers.", _one(_resident_bytes)),
        gauge(
            "circuit_open",
            "The API's circuit breaker: 0 closed, 0.5 half open, 1 open.",
            _one(lambda run: _CIRCUIT.get(run.progress.circuit, 1.0)),
            merge="max",
        ),
        gauge(
            "connected",
            "Whether a subscription is connected; of several workers, whether all are.",
            _connected,
            "subscription",
            "min",
        ),
        gauge("draining", "Whether it is ending.", _one(lambda run: run.is_draining()), merge="max"),
    )


CATALOGUE: Final = (*_counters(), *_DURATIONS, *_saturation())
"""Every metric, in the order of the reference."""
