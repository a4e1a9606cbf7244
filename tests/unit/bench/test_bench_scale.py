"""The plan and the simulation follow from their figures, and from nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.scale import Assumptions, app, plan, simulate

FIGURES = Assumptions(events_per_core_s=200_000)


def test_a_plan_is_arithmetic() -> None:
    made = plan(10_000_000, replace(FIGURES, overhead=1.0, utilisation=0.5, cores=4, message_bytes=800, row_bytes=600))
    assert made.instances == 25  # 10 M / (200 k x 4 x 0.5)
    assert made.pubsub_quota == pytest.approx(2.0)  # 8 GB/s of 4
    assert made.write_quota == pytest.approx(2.0)  # 6 GB/s of 3
    assert made.streams == 800  # of 10 MB/s each


@given(st.integers(1_000, 20_000_000), st.floats(1.0, 10.0))
def test_more_events_never_take_less(events_s: int, times: float) -> None:
    less, more = plan(events_s, FIGURES), plan(events_s * times, FIGURES)
    assert more.instances >= less.instances
    assert more.pubsub_usd >= less.pubsub_usd
    assert more.write_usd == pytest.approx(less.write_usd * times)


def test_nobody_waits_longer_than_bigquery_is_away_when_there_is_room() -> None:
    course = simulate(1_000_000, replace(FIGURES, utilisation=0.4))
    assert course.delay_max_s == 60
    assert course.delay_p50_s == 0
    assert course.largest_backlog == 60 * 1_000_000


def test_instances_that_start_late_make_a_doubled_rate_wait() -> None:
    tight = replace(FIGURES, utilisation=0.95)
    soon, late = simulate(10_000_000, replace(tight, start_s=10)), simulate(10_000_000, replace(tight, start_s=300))
    assert late.largest_backlog > soon.largest_backlog
    assert late.delay_p99_s > soon.delay_p99_s


def test_the_command_says_what_it_takes_and_what_it_lacks(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    told = CliRunner().invoke(app, ["--events-per-core", "200000"])
    assert told.exit_code == 0
    assert "| 10,000,000 | 16 |" in told.output
    monkeypatch.chdir(str(tmp_path))
    assert "make bench-ingest" in str(CliRunner().invoke(app, []).exception)
