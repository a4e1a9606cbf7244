"""What a rate of events takes on Google Cloud, from measured figures and stated assumptions: `python -m bench.scale`.

The plan is arithmetic; the simulation plays the awkward hours: a doubled rate, a sink that is away, instances that die.
Neither is a measurement at that scale, and both say on what they stand.
"""

import json as json_text
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import typer

from core.cli import run as run_app
from core.errors import ConfigurationError

_MEASURED: Final = Path("build/bench/ingest.json")
_GIB: Final = 2**30
_MONTH_S: Final = 730 * 3_600


@dataclass(frozen=True)
class Assumptions:
    """What the plan and the simulation take for granted.

    Attributes:
        events_per_core_s: events a core lands a second: measured, against a server that does nothing.
        message_bytes: size of a message.
        row_bytes: size of the raw row made from it.
        overhead: how many times more CPU an event costs over TLS and a real network than over loopback.
        utilisation: the share of a core that is planned for, so that a burst finds room.
        cores: cores of an instance; a worker each.
        start_s: from the decision to add an instance until it lands rows, in seconds.
        drain_s: how soon a backlog is to be gone, in seconds.
        pubsub_bytes_s: subscriber throughput of a large region by default, in bytes a second.
        write_bytes_s: Storage Write throughput of a project in a multi-region by default, in bytes a second.
        stream_bytes_s: what one StreamingPull stream delivers, in bytes a second.
        vcpu_s_usd: price of a vCPU second.
        gib_s_usd: price of a GiB second of memory.
        memory_gib: memory of an instance.
        pubsub_tib_usd: price of a TiB through Pub/Sub, published and delivered.
        write_gib_usd: price of a GiB through the Storage Write API.
    """

    events_per_core_s: float
    message_bytes: int = 400
    row_bytes: int = 450
    overhead: float = 1.5
    utilisation: float = 0.6
    cores: int = 8
    start_s: int = 60
    drain_s: int = 300
    pubsub_bytes_s: float = 4e9
    write_bytes_s: float = 3e9
    stream_bytes_s: float = 10e6
    vcpu_s_usd: float = 0.000018
    gib_s_usd: float = 0.000002
    memory_gib: float = 4.0
    pubsub_tib_usd: float = 80.0
    write_gib_usd: float = 0.025

    @property
    def instance_events_s(self) -> float:
        """Events an instance lands a second when all its cores are busy."""
        return self.events_per_core_s / self.overhead * self.cores


@dataclass(frozen=True)
class Plan:
    """What a steady rate takes.

    Attributes:
        events_s: the rate, in events a second.
        instances: instances at the planned utilisation.
        pubsub_quota: how many times a region's default subscriber throughput.
        write_quota: how many times a project's default Storage Write throughput.
        streams: StreamingPull streams it takes at least.
        compute_usd: price of the instances a month.
        pubsub_usd: price of Pub/Sub a month.
        write_usd: price of the Storage Write API a month.
    """

    events_s: float
    instances: int
    pubsub_quota: float
    write_quota: float
    streams: int
    compute_usd: float
    pubsub_usd: float
    write_usd: float


@dataclass(frozen=True)
class Course:
    """How the simulated hours went.

    Attributes:
        largest_backlog: events waiting, at most.
        delay_p50_s: half of the events waited no longer, in seconds.
        delay_p99_s: nor 99 of 100.
        delay_max_s: nor any.
        most_instances: instances at once, at most.
        instance_hours: instances over time.
    """

    largest_backlog: int
    delay_p50_s: int
    delay_p99_s: int
    delay_max_s: int
    most_instances: int
    instance_hours: float


def plan(events_s: float, given: Assumptions) -> Plan:
    """Return what a steady rate takes.

    Args:
        events_s: events a second.
        given: figures and assumptions.
    """
    instances = ceil(events_s / (given.instance_events_s * given.utilisation))
    second = given.cores * given.vcpu_s_usd + given.memory_gib * given.gib_s_usd
    message_bytes_s, row_bytes_s = events_s * given.message_bytes, events_s * given.row_bytes
    return Plan(
        events_s=events_s,
        instances=instances,
        pubsub_quota=message_bytes_s / given.pubsub_bytes_s,
        write_quota=row_bytes_s / given.write_bytes_s,
        streams=ceil(message_bytes_s / given.stream_bytes_s),
        compute_usd=instances * second * _MONTH_S,
        pubsub_usd=message_bytes_s * _MONTH_S / (1_024 * _GIB) * given.pubsub_tib_usd,
        write_usd=row_bytes_s * _MONTH_S / _GIB * given.write_gib_usd,
    )


def simulate(events_s: float, given: Assumptions) -> Course:
    """Play three hours, second by second.

    After half an hour the rate doubles for ten minutes; after 90 minutes BigQuery is away for one minute; after two
    hours a tenth of the instances dies at once. Instances follow the rate and the backlog, `start_s` late, and go again
    when they are not needed.

    Args:
        events_s: the rate, in events a second.
        given: figures and assumptions.
    """
    backlog = 0.0
    arrived, landed, running = [0.0], [0.0], []
    instances = plan(events_s, given).instances
    starting: list[tuple[int, int]] = []
    for second, rate in enumerate(_rates(events_s)):
        instances += sum(count for ready, count in starting if ready == second)
        if second == 7_200:
            instances -= instances // 10
        starting = [one for one in starting if one[0] > second]
        away = 5_400 <= second < 5_460
        done = 0.0 if away else min(backlog + rate, instances * given.instance_events_s)
        backlog += rate - done
        arrived.append(arrived[-1] + rate)
        landed.append(landed[-1] + done)
        wanted = _wanted(rate, backlog, given)
        coming = sum(count for _, count in starting)
        if wanted > instances + coming:
            starting.append((second + given.start_s, wanted - instances - coming))
        elif backlog < rate and wanted < instances:
            instances -= max(1, (instances - wanted) // 10)
        running.append(instances)
    delays = _delays(arrived, landed)
    return Course(
        largest_backlog=round(max(a - b for a, b in zip(arrived, landed, strict=True))),
        delay_p50_s=_percentile(delays, 0.50),
        delay_p99_s=_percentile(delays, 0.99),
        delay_max_s=_percentile(delays, 1.0),
        most_instances=max(running),
        instance_hours=sum(running) / 3_600,
    )


def _rates(events_s: float) -> Iterator[float]:
    for second in range(10_800):
        yield events_s * (2.0 if 1_800 <= second < 2_400 else 1.0)


def _wanted(rate: float, backlog: float, given: Assumptions) -> int:
    steady = rate / (given.instance_events_s * given.utilisation)
    drained = (rate + backlog / given.drain_s) / given.instance_events_s
    return ceil(max(steady, drained))


def _delays(arrived: Sequence[float], landed: Sequence[float]) -> list[tuple[int, float]]:
    """Return how long the events of each second waited, first in first out, with how many they were."""
    found = []
    for second in range(1, len(arrived)):
        if arrived[second] > landed[-1]:
            break
        found.append((max(0, bisect_left(landed, arrived[second]) - second), arrived[second] - arrived[second - 1]))
    return found


def _percentile(delays: Sequence[tuple[int, float]], share: float) -> int:
    events = share * sum(count for _, count in delays)
    for delay, count in sorted(delays):
        events -= count
        if events <= 0:
            return delay
    return max(delay for delay, _ in delays)


def report(given: Assumptions, rates: Sequence[float]) -> str:
    """Return the plan and the simulation as two Markdown tables.

    Args:
        given: figures and assumptions.
        rates: events a second, one row each.
    """
    lines = [
        "| events/s | instances | Pub/Sub quotas | write quotas | streams | compute $ | Pub/Sub $ | write $ |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rate in rates:
        made = plan(rate, given)
        lines.append(
            f"| {made.events_s:,.0f} | {made.instances:,} | {made.pubsub_quota:.2f} | {made.write_quota:.2f} "
            f"| {made.streams:,} | {made.compute_usd:,.0f} | {made.pubsub_usd:,.0f} | {made.write_usd:,.0f} |"
        )
    lines += [
        "",
        "| events/s | largest backlog | p50 s | p99 s | longest s | most instances | instance hours in 3 h |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rate in rates:
        course = simulate(rate, given)
        lines.append(
            f"| {rate:,.0f} | {course.largest_backlog:,} | {course.delay_p50_s} | {course.delay_p99_s} "
            f"| {course.delay_max_s} | {course.most_instances:,} | {course.instance_hours:,.0f} |"
        )
    return "\n".join(lines)


app = typer.Typer(add_completion=False)


@app.command()
def scale(
    events_per_core: Annotated[
        float | None, typer.Option(min=1, help="Events a core lands a second; by default what make bench-ingest found.")
    ] = None,
    message_bytes: Annotated[int, typer.Option(min=1, help="Size of a message.")] = 400,
    row_bytes: Annotated[int, typer.Option(min=1, help="Size of its raw row.")] = 450,
) -> None:
    """Say what 10,000 to 10,000,000 events a second take on Google Cloud, as Markdown tables.

    Examples:
        python -m bench.scale

        python -m bench.scale --events-per-core 150000 --message-bytes 1150 --row-bytes 1200
    """
    measured = _measured() if events_per_core is None else events_per_core
    given = Assumptions(measured, message_bytes, row_bytes)
    typer.echo(report(given, (10_000, 100_000, 1_000_000, 10_000_000)))


def _measured() -> float:
    try:
        return float(json_text.loads(_MEASURED.read_text())["events_per_core_s_proto"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{_MEASURED} holds no figure; run make bench-ingest, or give --events-per-core"
        ) from error


def main() -> None:
    """Run the command line."""
    run_app(app, "python -m bench.scale")


if __name__ == "__main__":
    main()
