"""What a run has done so far, for the log and for the summary."""

import time
from collections import Counter
from dataclasses import dataclass, field

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """The result of a run.

    Attributes:
        load_id: the run, as in `_load_id`.
        received: deliveries, redeliveries included.
        duplicates: deliveries of a message that was in flight or landed already.
        landed: rows whose append was confirmed.
        dead_lettered: messages written to the dead letters.
        control: heartbeats and transaction boundaries.
        acked: deliveries whose acknowledgement was confirmed.
        nacked: deliveries given back.
        fetched: answers taken from the API.
        seconds: duration of the run.
        rows_per_second: landed rows over the time from the first delivery to the last landing.
        tables: landed rows per table.
        reasons: dead letters per reason code.
        inferred: rows per operation that was worked out; NO_CHANGE for rows that repeat what was known.
        anomalies: rows that were kept although their change should be impossible, per kind.
    """

    load_id: str
    received: int
    duplicates: int
    landed: int
    dead_lettered: int
    control: int
    acked: int
    nacked: int
    fetched: int
    seconds: float
    rows_per_second: float
    tables: dict[str, int]
    reasons: dict[str, int]
    inferred: dict[str, int] = msgspec.field(default_factory=dict)
    anomalies: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass
class Progress:
    """Counters that the stages add to.

    Attributes:
        load_id: the run, as in `_load_id`.
        received: deliveries, redeliveries included.
        duplicates: deliveries of a message that was in flight or landed already.
        control: heartbeats and transaction boundaries.
        acked: deliveries whose acknowledgement was confirmed.
        nacked: deliveries given back.
        fetched: answers taken from the API.
        not_modified: answers of the API that named the representation kept from before.
        circuit: state of the API's circuit breaker: closed, open or half_open.
        circuit_opened: how often it opened.
        inferred: rows per operation that was worked out; NO_CHANGE for rows that repeat what was known.
        anomalies: rows that were kept although their change should be impossible, per kind.
        cache_hits: rows whose last state was in memory.
        cache_misses: rows whose last state the warehouse was asked for.
        dumps: full dumps per outcome: complete or incomplete.
        tables: landed rows per table.
        reasons: dead letters per reason code.
        started: when the run began, on the monotonic clock, in seconds.
        first_received: when the first delivery came, on the same clock; None before that.
        last_landed: when rows were last confirmed, on the same clock; 0 before that.
    """

    load_id: str
    received: int = 0
    duplicates: int = 0
    control: int = 0
    acked: int = 0
    nacked: int = 0
    fetched: int = 0
    not_modified: int = 0
    circuit: str = "closed"
    circuit_opened: int = 0
    inferred: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    cache_hits: int = 0
    cache_misses: int = 0
    dumps: Counter[str] = field(default_factory=Counter)
    tables: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    first_received: float | None = None
    last_landed: float = 0.0

    def receive(self, messages: int) -> None:
        """Count deliveries.

        Args:
            messages: how many.
        """
        if self.first_received is None:
            self.first_received = time.monotonic()
        self.received += messages

    def land(self, table: str, rows: int) -> None:
        """Count rows whose append was confirmed.

        Args:
            table: where they landed.
            rows: how many.
        """
        self.last_landed = time.monotonic()
        self.tables[table] += rows

    def summary(self) -> Summary:
        """Return what the run has done so far."""
        landed = self.tables.total()
        busy = self.last_landed - self.first_received if landed and self.first_received is not None else 0.0
        return Summary(
            load_id=self.load_id,
            received=self.received,
            duplicates=self.duplicates,
            landed=landed,
            dead_lettered=self.reasons.total(),
            control=self.control,
            acked=self.acked,
            nacked=self.nacked,
            fetched=self.fetched,
            seconds=round(time.monotonic() - self.started, 3),
            rows_per_second=round(landed / busy, 1) if busy > 0 else 0.0,
            tables=dict(sorted(self.tables.items())),
            reasons=dict(sorted(self.reasons.items())),
            inferred=dict(sorted(self.inferred.items())),
            anomalies=dict(sorted(self.anomalies.items())),
        )
