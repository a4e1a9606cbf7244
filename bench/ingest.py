"""The whole ingester, from Pub/Sub to confirmed appends: cost of an event, latency, memory, and a second worker.

Everything is on: leases, duplicates, decoding with drift, batches, acknowledgements. At the other end stand services
that cost next to nothing, in a process of their own (`bench.null_services`).
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import ceil
from statistics import median
from typing import Any, Final

from bench.append import PROMPT_POLLING, append_rows_request, append_rows_stream
from bench.command import peak_of_command
from bench.conditions import Conditions
from bench.measure import Contender, Worker, contest, start
from bench.null_services import NullServices, Script, Sink, Source, null_services, small_rows
from bench.peers_ingest import compare, other_loaders
from bench.plain import raw_row
from bench.result import Figure, Result, Run, ratio
from core.clients import bigquery_write_client, subscriber_client
from core.clock import to_micros, utc_now
from core.contracts import load_contracts
from core.settings import Settings
from ingest.failpoints import Failpoint
from ingest.resources import subscription_path, table_path
from ingest.row import RAW_ROW_TYPE
from ingest.runner import Run as IngestRun
from ingest.settings import IngestSettings
from ingest.stages import Plan

_TABLE: Final = "member_tiers"
_TOPIC: Final = "loyalty.member.member_tiers"
_PROJECT: Final = "bench-ingest"
_IDLE_S: Final = 0.5
_TIMEOUT_S: Final = 300.0
_STEADY_PER_S: Final = 5_000
_WARM_UP_S: Final = 0.5
_SINK_PER_S: Final = 60_000
"""Rows a second of the slow sink; the source brings as many as are taken, far more than twice that."""


@dataclass(frozen=True)
class Job:
    """A backlog to land.

    Attributes:
        address: where the services are.
        script: what they do.
        encoder: how rows are encoded.
    """

    address: str
    script: Script
    encoder: str = "proto"

    @property
    def settings(self) -> Settings:
        """Settings that reach the services."""
        return Settings(
            environment="local",
            project=_PROJECT,
            pubsub_emulator_host=self.address,
            bigquery_emulator_host="127.0.0.1:1",
            bigquery_storage_emulator_host=self.address,
            api_base_url=None,
        )

    def backlog(self, messages: int, sink: Sink | None = None) -> "Job":
        """Return the same job with another backlog."""
        return replace(self, script=Script(_TOPIC, Source(messages), sink or Sink()))


def run(conditions: Conditions) -> Result:
    """Land the same backlog with both encoders and with the peers, then measure latency, memory and two workers.

    Args:
        conditions: how often and how much.

    Returns:
        Events per CPU second, and the named measures.
    """
    messages = conditions.size(100_000, 1_000)
    others = other_loaders(small_rows(messages), conditions.scratch, quick=conditions.quick)
    with null_services() as services:
        job = Job(services.address, Script(_TOPIC, Source(0))).backlog(messages)
        contenders = (_ARROW, _PROTO, *PEERS, *others.contenders)
        cases = contest(
            contenders,
            lambda _: {one.name: job for one in contenders},
            rounds=conditions.rounds,
            apart=not conditions.quick,
        )
        delays_ms = [latencies(job, conditions.size(4.0, 1.0)) for _ in range(conditions.rounds)]
        p99_ms = median(percentile(found, 99) for found in delays_ms)
        rss_job = job.backlog(conditions.size(1_000_000, 2_000), Sink(_SINK_PER_S))
        rss_mib = median(_peak_mib(rss_job) for _ in range(conditions.rounds))
        two = job.backlog(conditions.size(200_000, 2_000))
        two_workers = median(workers_ratio(two) for _ in range(conditions.rounds))
    with_arrow, with_proto, *rest = cases
    peers, loaders = rest[: len(PEERS)], rest[len(PEERS) :]
    ratios = [ratio(with_proto, peer, f"times {peer.name}") for peer in peers]
    compared = compare(loaders, with_proto)
    measures = {
        "events_per_core_s_arrow": with_arrow.per_cpu_s,
        "events_per_core_s_proto": with_proto.per_cpu_s,
        **{
            f"ratio_{found.over.replace(' ', '_')}": found.value for found in (*ratios, *compared[: len(compared) // 2])
        },
        "p99_ms": p99_ms,
        "rss_mib": rss_mib,
        "ratio_two_workers": two_workers,
    }
    return Result(
        name="ingest",
        title="land a backlog of small Debezium events: pull, decode, append, acknowledge",
        item="events",
        cases=cases,
        ratios=(*ratios, *compared, ratio(with_arrow, with_proto, "times the production default")),
        figures=(
            Figure(f"publish to confirmed append at {_STEADY_PER_S:,}/s, median", _middle(delays_ms), "ms"),
            Figure("the same, 99th percentile", p99_ms, "ms"),
            Figure("peak memory, the sink at less than half the source's speed", rss_mib, "MiB"),
            Figure("CPU time of one worker over that of the busier of two", two_workers, "times"),
        ),
        notes=(
            f"a row waits up to {IngestSettings().batch_wait_ms} ms for company, which the latencies include",
            *others.notes,
        ),
        measures=measures,
    )


def proto(job: Job) -> Run:
    """Land with proto rows, as `ingest run --until-idle` does."""
    return _begun(replace(job, encoder="proto"))


def arrow(job: Job) -> Run:
    """Land with Arrow record batches."""
    return _begun(replace(job, encoder="arrow"))


def _begun(job: Job) -> Run:
    services = NullServices(job.address)
    services.configure(job.script)
    measured = land(job)
    _check(measured.items, services, job)
    services.close()
    return measured


def land(job: Job) -> Run:
    """Land what the services bring, whatever their script is by now, until they bring nothing more."""
    return asyncio.run(_land(job))


async def _land(job: Job) -> Run:
    plan = Plan(job.settings, load_contracts(job.settings.contracts_path), (_TABLE,))
    runner = IngestRun(plan, IngestSettings.model_validate({"encoder": job.encoder}))
    began = start()
    summary = await runner.run(_IDLE_S)
    if summary.landed != summary.acked:
        raise RuntimeError(f"{summary.landed} rows landed, but {summary.acked} messages were acknowledged")
    return began.stop(summary.landed)


def _peak_mib(job: Job) -> float:
    services = NullServices(job.address)
    services.configure(job.script)
    peak, summary = peak_of_command(job.settings, "--table", _TABLE, "--until-idle", str(_IDLE_S))
    _check(summary.landed, services, job)
    services.close()
    return peak


def stock_clients(job: Job) -> Run:
    """Land with `SubscriberClient.subscribe` and a callback, `json` and `AppendRowsStream`."""
    services = NullServices(job.address)
    services.configure(job.script)
    settings = job.settings
    began = start()
    subscriber, writer = subscriber_client(settings), bigquery_write_client(settings)
    table = table_path(settings, "raw", _TABLE)
    landing = _StockLanding(append_rows_stream(writer, table, RAW_ROW_TYPE.descriptor), table, job.script)
    streaming = subscriber.subscribe(subscription_path(settings, _TOPIC), landing.take)
    if not landing.done.wait(_TIMEOUT_S):
        raise TimeoutError(f"the stock clients did not land everything within {_TIMEOUT_S:.0f} s")
    # Ends only once the acknowledgements are sent.
    streaming.cancel()
    streaming.result()
    measured = began.stop(landing.landed)
    landing.close()
    subscriber.close()
    writer.transport.close()
    _check(landing.landed, services, job)
    services.close()
    return measured


class _StockLanding:
    """Gathers what the callback is given, appends it in batches like ours, and acknowledges it then."""

    def __init__(self, stream: Any, table: str, script: Script) -> None:
        self._stream = stream
        self._table = table
        self._script = script
        self._batch: list[Any] = []
        self._received = self.landed = 0
        self._lock = threading.Lock()
        settings = IngestSettings()
        # The client lets 1,000 messages be in flight: batches as large would stop it.
        self._rows = settings.batch_rows // 2
        # As many appends at once as the ingester's, each waited for by a thread.
        self._appends = ThreadPoolExecutor(settings.append_concurrency)
        self.done = threading.Event()

    def take(self, message: Any) -> None:
        """Take a message; called by the client's threads."""
        with self._lock:
            self._batch.append(message)
            self._received += 1
            is_last = self._received == self._script.source.messages
            if len(self._batch) < self._rows and not is_last:
                return
            batch, self._batch = self._batch, []
        self._appends.submit(self._append, batch)

    def close(self) -> None:
        self._appends.shutdown()
        self._stream.close()

    def _append(self, batch: list[Any]) -> None:
        now_us = to_micros(utc_now())
        rows = [
            raw_row(one.data, one.ordering_key, one.message_id, to_micros(one.publish_time), now_us) for one in batch
        ]
        self._stream.send(append_rows_request(self._table, rows)).result(polling=PROMPT_POLLING)
        for message in batch:
            message.ack()
        with self._lock:
            self.landed += len(batch)
            if self.landed == self._script.source.messages:
                self.done.set()


def _check(landed: int, services: NullServices, job: Job) -> None:
    taken, sent = services.report()["rows"], job.script.source.messages
    if not landed == taken == sent:
        raise RuntimeError(f"{sent} events were sent, {taken} rows were taken, and {landed} confirmed")


@dataclass
class _Confirmations(Failpoint):
    """Notes when each append was confirmed: the boundary `after_append` is right behind it."""

    def __post_init__(self) -> None:
        self.at_us: list[int] = []

    def hit(self, boundary: str, messages: int = 1) -> None:
        """See `Failpoint.hit`."""
        del messages
        if boundary == "after_append":
            self.at_us.append(to_micros(utc_now()))


def confirmations(job: Job) -> tuple[int, ...]:
    """Land until idle.

    Args:
        job: where the services are.

    Returns:
        When each append was confirmed, in microseconds since 1970 UTC.
    """
    return asyncio.run(_confirmations(job))


async def _confirmations(job: Job) -> tuple[int, ...]:
    plan = Plan(job.settings, load_contracts(job.settings.contracts_path), (_TABLE,))
    noted = _Confirmations()
    await IngestRun(plan, IngestSettings(), noted).run(2 * _IDLE_S)
    return tuple(noted.at_us)


def latencies(job: Job, seconds: float) -> list[float]:
    """Publish at a steady rate while the ingester runs, and return every row's delay.

    Args:
        job: where the services are.
        seconds: for how long.

    Returns:
        Milliseconds from the publishing of each message to the confirmation of its append.
    """
    source = Source(round((seconds + _WARM_UP_S) * _STEADY_PER_S), _STEADY_PER_S)
    services = NullServices(job.address)
    services.configure(Script(_TOPIC, source, Sink(notes_rows=True)))
    with Worker() as worker:
        confirmed = worker.run(confirmations, job)
    noted = services.report()["noted"]
    services.close()
    # Until its first rows have come, an ingester is still warming up.
    return delays(noted, confirmed)[round(_WARM_UP_S * _STEADY_PER_S) :]


def delays(appends: Sequence[Sequence[int]], confirmed: Sequence[int]) -> list[float]:
    """Return how long each row took from being published to being confirmed.

    Args:
        appends: when each row of each append was published, in microseconds; appends are confirmed in their order.
        confirmed: when each append was confirmed, in microseconds.

    Returns:
        Milliseconds, in the order of the rows.

    Raises:
        ValueError: when there are more or fewer appends than confirmations.
    """
    return [(at - published) / 1_000 for append, at in zip(appends, confirmed, strict=True) for published in append]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile by the nearest rank.

    Args:
        values: at least one.
        percent: from 1 to 100.
    """
    return sorted(values)[ceil(percent / 100 * len(values)) - 1]


def _middle(delays_ms: Sequence[Sequence[float]]) -> float:
    return median(percentile(found, 50) for found in delays_ms)


def workers_ratio(job: Job) -> float:
    """Land a backlog with one worker and then with two, and compare what keeps a core busy.

    The services need a core as well, so on a small machine the clock would compare them and not the workers: CPU time
    is what one worker must do alone, and what the busier of two is left with.

    Args:
        job: the backlog.

    Returns:
        CPU seconds of the one over those of the busier of the two.
    """
    services = NullServices(job.address)
    found = []
    for count in (1, 2):
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker()) for _ in range(count)]
            for worker in workers:
                worker.run(_ready, job)
            services.configure(job.script)
            landings = [worker.begin(land, job) for worker in workers]
            runs = [landing.result() for landing in landings]
        _check(sum(one.items for one in runs), services, job)
        found.append(max(one.cpu_s for one in runs))
    services.close()
    alone, busier = found
    return alone / busier


def _ready(_: Job) -> None:
    """Do nothing: to be called, this module had to be imported."""


_ARROW: Final = Contender("ingester, Arrow", "ours", "`ingest run`, rows as Arrow record batches", arrow)
_PROTO: Final = Contender("ingester, proto", "ours", "`ingest run`, rows as protocol buffers: the default", proto)
PEERS: Final = (
    Contender("stock clients", "peer", "subscribe() with a callback, json, AppendRowsStream", stock_clients),
)
"""Who else does the whole task; each one's measure is `ratio_<name>`."""
