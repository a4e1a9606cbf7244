"""Metrics: what is counted comes out, under the names that the reference gives, and adds up over processes."""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.flow import FlowControl
from ingest.http.catalogue import CATALOGUE
from ingest.http.loop_lag import watch_loop_forever
from ingest.http.metrics import Snapshot, merged, registry, take, without_gauges
from ingest.http.observed import Observed
from ingest.http.reference import metrics_reference
from ingest.measures import SECONDS, Histogram, Measures
from ingest.progress import Progress
from ingest.settings import IngestSettings

NOW = 1_767_323_045_000_000


@dataclass
class Connected:
    """As much of a transport as is looked at."""

    name: str
    is_connected: bool = True


def observed(**fields: object) -> Observed:
    transports = [Connected("projects/p/subscriptions/a"), Connected("projects/p/subscriptions/b", is_connected=False)]
    run = Observed(Progress("load"), Measures(), IngestSettings(), FlowControl(10, 1_000), transports)
    return replace(run, **fields)


def busy() -> Observed:
    run = observed(
        waiting_rows=lambda: {"members": 3.0},
        watermark_lags_s=lambda: {"members": 61.5},
        oldest_publish_ts=lambda: int((time.time() - 30) * 1_000_000),
        is_draining=lambda: True,
    )
    run.progress.receive(7)
    run.progress.land("members", 5)
    run.progress.land("tiers", 1)
    run.progress.reasons["invalid_json"] += 1
    run.flow.take(2, 600)
    run.measures.append_succeeded("members", 0.03)
    run.measures.append_failed("unavailable", is_outage=True)
    run.measures.pull_failed("malformed")
    run.measures.landed("members", [NOW - 200_000, NOW + 1, 0], NOW)
    with run.measures.decoding("loyalty.member.members"):
        pass
    return run


def samples(metrics: CollectorRegistry) -> dict[str, float]:
    """Every sample by name and label values."""
    text = generate_latest(metrics).decode()
    return {
        " ".join([sample.name, *(value for _, value in sorted(sample.labels.items(), reverse=True))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_was_counted_is_what_is_shown() -> None:
    run = busy()
    found = samples(registry(lambda: take(run)))
    expected = {
        "millrace_ingest_received_messages_total": 7,
        "millrace_ingest_landed_rows_total members": 5,
        "millrace_ingest_landed_rows_total tiers": 1,
        "millrace_ingest_dead_lettered_messages_total invalid_json": 1,
        "millrace_ingest_append_failures_total unavailable": 1,
        "millrace_ingest_pull_failures_total malformed": 1,
        "millrace_ingest_append_seconds_bucket members 0.025": 0,
        "millrace_ingest_append_seconds_bucket members 0.05": 1,
        "millrace_ingest_append_seconds_bucket members +Inf": 1,
        "millrace_ingest_append_seconds_sum members": 0.03,
        # Two rows: one as old as it was, one from a clock ahead of ours, and one of unknown age, which is left out.
        "millrace_ingest_publish_to_landed_seconds_count members": 2,
        "millrace_ingest_publish_to_landed_seconds_sum members": 0.2,
        "millrace_ingest_decode_seconds_count loyalty.member.members": 1,
        "millrace_ingest_in_flight_messages": 2,
        "millrace_ingest_in_flight_messages_limit": 20_000,
        "millrace_ingest_in_flight_bytes": 600,
        "millrace_ingest_append_queue_rows members": 3,
        "millrace_ingest_watermark_lag_seconds members": 61.5,
        "millrace_ingest_connected a": 1,
        "millrace_ingest_connected b": 0,
        "millrace_ingest_draining": 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert 29 < found["millrace_ingest_oldest_unacked_seconds"] < 40
    assert found["millrace_ingest_resident_memory_bytes"] > 1_000_000


def test_a_run_that_has_done_nothing_shows_zeros() -> None:
    found = samples(registry(lambda: take(observed())))
    assert found["millrace_ingest_received_messages_total"] == 0
    assert found["millrace_ingest_oldest_unacked_seconds"] == 0


def test_the_reference_names_every_metric_that_is_served_and_no_other() -> None:
    committed = Path("docs/reference/metrics.md").read_text(encoding="utf-8")
    assert committed == metrics_reference(), "run `make docs` and commit docs/reference"
    run = busy()
    families = text_string_to_metric_families(generate_latest(registry(lambda: take(run))).decode())
    served = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert served == {metric.name for metric in CATALOGUE}
    assert all(f"| `{name}` |" in committed for name in served)


def test_names_follow_the_conventions_of_prometheus() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert metric.name.startswith("millrace_ingest_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.help.endswith((".", "end."))


def test_processes_add_up_and_gauges_become_what_they_mean() -> None:
    one, other = take(busy()), take(observed())
    other.numbers["millrace_ingest_watermark_lag_seconds"] = {"members": 5.0}
    other.numbers["millrace_ingest_connected"] = {"a": 1.0, "b": 1.0}
    both = merged([one, other, one])
    assert both.numbers["millrace_ingest_landed_rows_total"] == {"members": 10, "tiers": 2}
    assert both.numbers["millrace_ingest_in_flight_messages_limit"] == {"": 60_000}
    assert both.numbers["millrace_ingest_watermark_lag_seconds"] == {"members": 61.5}
    assert both.numbers["millrace_ingest_connected"] == {"a": 1, "b": 0}
    assert both.histograms["millrace_ingest_append_seconds"]["members"].total == pytest.approx(0.06)
    # The parts are as they were.
    assert one.histograms["millrace_ingest_append_seconds"]["members"].total == pytest.approx(0.03)


def test_of_a_process_that_ended_what_it_counted_remains() -> None:
    left = without_gauges(take(busy()))
    assert left.numbers["millrace_ingest_landed_rows_total"] == {"members": 5, "tiers": 1}
    assert "millrace_ingest_in_flight_messages" not in left.numbers
    assert left.histograms["millrace_ingest_append_seconds"]["members"].total == pytest.approx(0.03)


def test_a_snapshot_survives_the_way_to_another_process() -> None:
    snapshot = take(busy())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


durations = st.lists(st.floats(min_value=0, max_value=10_000), max_size=40)


@given(durations, durations)
def test_histograms_merge_as_if_all_had_been_observed_in_one(one: list[float], other: list[float]) -> None:
    first, second, whole = Histogram(), Histogram(), Histogram()
    for into, values in ((first, one), (second, other), (whole, [*one, *other])):
        for value in values:
            into.observe(value)
    first.merge(second)
    assert first.counts == whole.counts
    assert first.total == pytest.approx(whole.total)
    oracle = Counter(bisect_left(SECONDS, value) for value in [*one, *other])
    assert [oracle[place] for place in range(len(SECONDS) + 1)] == whole.counts


ages_us = st.lists(st.integers(-5_000_000, 5_000_000_000), min_size=1, max_size=40)


@given(ages_us, st.integers(min_value=1, max_value=50))
def test_a_sample_counts_every_observation_and_invents_none(ages: list[int], repeat: int) -> None:
    sampled, everything = Histogram(), Histogram()
    sampled.observe_ages([NOW - age for age in ages] * repeat, NOW)
    for age in ages:
        everything.observe(max(0, age) / 1_000_000, repeat)
    assert sum(sampled.counts) == len(ages) * repeat
    assert all(full or not part for part, full in zip(sampled.counts, everything.counts, strict=True))


def test_an_outage_is_remembered_until_an_append_succeeds() -> None:
    measures = Measures()
    measures.append_failed("unavailable", is_outage=True)
    since = measures.append_failing_since
    measures.append_failed("unavailable", is_outage=True)
    assert measures.append_failing_since == since is not None
    measures.append_succeeded("members", 0.1)
    assert measures.append_failing_since is None
    measures.append_failed("unavailable", is_outage=True)
    measures.append_failed("refused", is_outage=False)  # that BigQuery refuses rows shows that it is there
    assert measures.append_failing_since is None


async def test_a_blocked_event_loop_shows() -> None:
    measures = Measures()
    watching = asyncio.create_task(watch_loop_forever(measures))
    await asyncio.sleep(0.01)
    time.sleep(0.5)  # noqa: ASYNC251 - the fault to be noticed
    await asyncio.sleep(0.01)
    watching.cancel()
    assert 0.2 < measures.loop_lag_s < 5
