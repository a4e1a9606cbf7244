"""The sharded run is measured by the command itself, and the terabyte is arithmetic on it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.reconcile_shards import Assumptions, app, plan

FIGURES = Assumptions(bytes_cpu_s=100e6)


def test_a_plan_is_arithmetic() -> None:
    given_figures = replace(FIGURES, network=1.0, utilisation=0.5, cores=4, start_s=0.0, task_bytes_s=1e9)
    made = plan(1e12, 100, given_figures)
    assert made.tasks == 50  # 1e12 / (100e6 x 100 s x 0.5 x 4)
    assert made.cores == 200
    assert made.bandwidth == pytest.approx(1e10)
    assert made.egress == pytest.approx(45)
    slow = plan(1e12, 100, replace(given_figures, task_bytes_s=10e6))
    assert slow.tasks == 1_000  # the network, not the CPU


@given(st.floats(1e9, 1e14), st.floats(1.0, 50.0))
def test_more_bytes_never_take_less(size: float, times: float) -> None:
    less, more = plan(size, 300, FIGURES), plan(size * times, 300, FIGURES)
    assert more.tasks >= less.tasks
    assert more.egress == pytest.approx(less.egress * times)


def test_a_small_run_in_two_tasks_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "shards.json"
    done = CliRunner().invoke(app, ["--rows", "160000", "--tasks", "2", "--output", str(output)])
    assert done.exit_code == 0, done.output
    [run] = json.loads(output.read_text(encoding="utf-8"))["runs"]
    assert (run["tasks"], run["rows"]) == (2, 2 * (160_000 - 16))
    assert run["cpu_s"] > run["longest_cpu_s"] > 0
    assert "1,000 GB" in done.stdout
