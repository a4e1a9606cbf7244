"""What `pipeline status` shows fits the terminal, and what does not fit stands whole below."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from pipeline.config import PipelineConfig
from pipeline.history import Run
from pipeline.status import Status

ERROR = "Database Error " + "x" * 300
RUN = Run("structure", "r1", "failed", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 0.4, error=ERROR)
LATER = replace(RUN, started_at=RUN.started_at + timedelta(minutes=1))


def shown(every: str, *recent: Run) -> list[str]:
    zones = [{"name": "structure", "every": every}]
    config = PipelineConfig.model_validate({"version": 1, "zones": zones})
    output = io.StringIO()
    status = Status(config, LATER.started_at, {run.stage: run for run in recent[:1]}, recent, owners={})
    status.print(Console(file=output, width=80))
    return output.getvalue().splitlines()


def test_only_the_reason_of_a_failure_is_longer_than_the_terminal_and_it_is_told_once() -> None:
    lines = shown("60s", LATER, RUN)
    assert [line for line in lines if len(line) > 80] == [f"structure, 03:05:05: {ERROR}"]
    assert sum("2026-01-02 03:0" in line for line in lines) == 2


def test_another_reason_is_told_too() -> None:
    lines = shown("60s", LATER, replace(RUN, error="another"))
    assert "structure, 03:04:05: another" in lines


@pytest.mark.parametrize(
    ("every", "told"),
    [("90s", "90 s"), ("5m", "5 min"), ("12h", "12 h"), ("36h", "36 h"), ("1d", "1 d"), ("48h", "2 d")],
)
def test_a_cadence_is_told_as_people_say_it(every: str, told: str) -> None:
    assert f"structure  {told} " in shown(every)[1]
