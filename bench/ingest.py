"""The whole ingester, from Pub/Sub to confirmed rows in BigQuery: speed, latency and memory."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, Final

from bench.append import PROMPT_POLLING, append_rows_request, append_rows_stream
from bench.conditions import Conditions
from bench.events import by_topic, check_drained, generated
from bench.measure import Contender, Worker, contest, peak_of, start
from bench.plain import raw_row
from bench.result import Figure, Result, Run, ratio
from core.clients import bigquery_client, bigquery_write_client, publisher_client, subscriber_client
from core.clock import to_micros, utc_now
from core.contracts import Contracts, TableContract, load_contracts
from core.settings import Settings
from devstack.pubsub import stats
from devstack.world import Message
from devstack.world.publish import publish
from ingest.failpoints import Failpoint
from ingest.resources import subscription_path, table_path, topic_path
from ingest.row import RAW_ROW_TYPE
from ingest.runner import Run as IngestRun
from ingest.settings import IngestSettings
from ingest.setup import set_up
from ingest.stages import Plan

_IDLE_S: Final = 0.5
_PULLED_AT_ONCE: Final = 1_000
_TIMEOUT_S: Final = 120.0
_LARGER: Final = 4
_STEADY_TABLE: Final = "members"
_STEADY_PER_S: Final = 1_000
_STEADY_STEP_S: Final = 0.01


@dataclass(frozen=True)
class Job:
    """A backlog to land.

    Attributes:
        settings: where the services are; a project for each contender.
        topics: messages by topic.
    """

    settings: Settings
    topics: Mapping[str, int]


def run(conditions: Conditions) -> Result:
    """Land the same backlog with the ingester and with the stock clients, then measure latency and memory.

    Args:
        conditions: how often, how much, and where the services are.

    Returns:
        Events per CPU second of the landing process, latencies, and peak memory for two backlogs.
    """
    settings = conditions.stand_ins.settings("bench-ingest")
    contracts = load_contracts(settings.contracts_path)
    events = generated(contracts, conditions.size(20_000, 500))
    jobs = {
        contender.name: Job(settings.model_copy(update={"project": f"bench-ingest-{number}"}), by_topic(events))
        for number, contender in enumerate(CONTENDERS)
    }
    for job in jobs.values():
        set_up(job.settings, contracts)

    def published(_: int) -> Mapping[str, Job]:
        for job in jobs.values():
            publish(events, job.settings)
        return jobs

    cases = contest(CONTENDERS, published, rounds=conditions.rounds, apart=not conditions.quick)
    ours, stock = cases
    mine = jobs[ours.name]
    delays = _latencies(mine.settings, contracts[_STEADY_TABLE], conditions.size(4.0, 0.5))
    return Result(
        name="ingest",
        title="land a backlog of all 13 tables: pull, decode, append, acknowledge",
        item="events",
        cases=cases,
        ratios=(ratio(ours, stock, "times the same river built from the stock clients"),),
        figures=(
            Figure(f"publish to confirmed row at {_STEADY_PER_S:,}/s, median", percentile(delays, 50), "ms"),
            Figure("the same, 99th percentile", percentile(delays, 99), "ms"),
            _memory(mine, events),
        ),
        notes=(f"a row waits up to {IngestSettings().batch_wait_ms} ms for company, which the latencies include",),
    )


def ingester(job: Job) -> Run:
    """Land with the ingester, as `ingest run --until-idle` does."""
    return asyncio.run(_ingester(job))


async def _ingester(job: Job) -> Run:
    plan = Plan(job.settings, load_contracts(job.settings.contracts_path))
    runner = IngestRun(plan, IngestSettings())
    began = start()
    summary = await runner.run(_IDLE_S)
    measured = began.stop(summary.landed)
    check_drained(job.settings, list(job.topics))
    _check_landed(summary.landed, job)
    return measured


def stock_clients(job: Job) -> Run:
    """Land with `SubscriberClient.pull`, `json` and `AppendRowsStream`, one thread a table."""
    contracts = load_contracts(job.settings.contracts_path).by_topic()
    subscriber, writer = subscriber_client(job.settings), bigquery_write_client(job.settings)
    began = start()
    with ThreadPoolExecutor(len(job.topics)) as pool:
        land = partial(_land_table, job.settings, subscriber, writer)
        landed = sum(pool.map(land, (contracts[topic] for topic in job.topics), job.topics.values()))
    measured = began.stop(landed)
    subscriber.close()
    writer.transport.close()
    check_drained(job.settings, list(job.topics))
    _check_landed(landed, job)
    return measured


def _land_table(settings: Settings, subscriber: Any, writer: Any, contract: TableContract, count: int) -> int:
    subscription = subscription_path(settings, contract.topic)
    table = table_path(settings, contract.dataset, contract.name)
    stream = append_rows_stream(writer, table, RAW_ROW_TYPE.descriptor)
    landed = 0
    while landed < count:
        answer = subscriber.pull(subscription=subscription, max_messages=_PULLED_AT_ONCE, timeout=_TIMEOUT_S)
        received = list(answer.received_messages)
        if not received:
            continue
        now_us = to_micros(utc_now())
        rows = [_row(one.message, now_us) for one in received]
        stream.send(append_rows_request(table, rows)).result(polling=PROMPT_POLLING)
        subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
        landed += len(received)
    stream.close()
    return landed


def _row(message: Any, now_us: int) -> bytes:
    return raw_row(message.data, message.ordering_key, message.message_id, to_micros(message.publish_time), now_us)


def _check_landed(landed: int, job: Job) -> None:
    sent = sum(job.topics.values())
    if landed != sent:
        raise RuntimeError(f"{landed} rows landed of {sent} events")


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


def confirmations(settings: Settings) -> tuple[int, ...]:
    """Land one table until it is idle.

    Args:
        settings: where the services are.

    Returns:
        When each append was confirmed, in microseconds since 1970 UTC.
    """
    return asyncio.run(_confirmations(settings))


async def _confirmations(settings: Settings) -> tuple[int, ...]:
    plan = Plan(settings, load_contracts(settings.contracts_path), (_STEADY_TABLE,))
    noted = _Confirmations()
    await IngestRun(plan, IngestSettings(), noted).run(2 * _IDLE_S)
    return tuple(noted.at_us)


def _latencies(settings: Settings, contract: TableContract, seconds: float) -> list[float]:
    """Publish at a steady rate while the ingester runs, and return every row's delay in milliseconds."""
    settings = settings.model_copy(update={"project": "bench-steady"})
    set_up(settings, Contracts({contract.name: contract}))
    events = generated(load_contracts(settings.contracts_path), 500)
    message = next(event for event in events if event.topic == contract.topic)
    publish([message], settings)
    with Worker() as worker:
        landing = worker.begin(confirmations, settings)
        # The first message is there to tell when the ingester is up.
        _wait_until_drained(settings, contract.topic)
        _publish_steadily(settings, message, seconds)
        confirmed = landing.result()
    return delays(_instants(settings, contract), confirmed)[1:]


def _wait_until_drained(settings: Settings, topic: str) -> None:
    subscription = subscription_path(settings, topic)
    deadline = time.monotonic() + _TIMEOUT_S
    while stats.fetch(settings.pubsub_emulator_host or "")[subscription].backlog:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the ingester did not land a message within {_TIMEOUT_S:.0f} s")
        time.sleep(0.02)


def _publish_steadily(settings: Settings, message: Message, seconds: float) -> None:
    publisher = publisher_client(settings)
    topic = topic_path(settings, message.topic)
    began = time.monotonic()
    for step in range(round(seconds / _STEADY_STEP_S)):
        time.sleep(max(0.0, began + step * _STEADY_STEP_S - time.monotonic()))
        for number in range(round(_STEADY_PER_S * _STEADY_STEP_S)):
            publisher.publish(topic, message.data, ordering_key=f'{{"member_id":{step % 100 * 10 + number}}}')
    publisher.stop()


def _instants(settings: Settings, contract: TableContract) -> list[tuple[int, int]]:
    """Return when each row was published and stamped for its append, in microseconds since 1970 UTC."""
    with bigquery_client(settings) as client:
        rows = client.list_rows(f"{settings.project}.{contract.dataset}.{contract.name}")
        return sorted((to_micros(row["_publish_ts"]), to_micros(row["_ingestion_ts"])) for row in rows)


def delays(rows: Iterable[tuple[int, int]], confirmed: Sequence[int]) -> list[float]:
    """Return how long each row took from being published to being confirmed.

    The rows of an append share the instant they were stamped with, and appends are confirmed in their order.

    Args:
        rows: when each was published and stamped, in microseconds.
        confirmed: when each append was confirmed, in microseconds.

    Returns:
        Milliseconds, in the order of `rows`.

    Raises:
        ValueError: when there are more or fewer appends than confirmations.
    """
    instants = list(rows)
    appends = dict(zip(sorted({stamped for _, stamped in instants}), confirmed, strict=True))
    return [(appends[stamped] - published) / 1_000 for published, stamped in instants]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile by the nearest rank.

    Args:
        values: at least one.
        percent: from 1 to 100.
    """
    return sorted(values)[ceil(percent / 100 * len(values)) - 1]


def _memory(job: Job, events: Sequence[Message]) -> Figure:
    """Land four times the backlog in a fresh process: flow control must keep its memory where it was."""
    publish((event for _ in range(_LARGER) for event in events), job.settings)
    larger = replace(job, topics={topic: _LARGER * count for topic, count in job.topics.items()})
    return Figure(f"peak memory, backlog of {_LARGER * len(events):,} events", peak_of(ingester, larger), "MiB")


CONTENDERS: Final = (
    Contender("ingester", "ours", "the process of `ingest run`", ingester),
    Contender(
        "stock clients", "peer", "SubscriberClient.pull, json, AppendRowsStream; a thread a table", stock_clients
    ),
)
