"""Watermarks in BigQuery: what writers report, and what follows from it for a table."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from ingest_river import QUICK, River
from typer.testing import CliRunner

from core.clock import from_micros, to_micros, utc_now
from ingest.append import AppendStream, TableWriter
from ingest.cli import app
from ingest.context import RunContext
from ingest.progress import Progress
from ingest.resources import table_path
from ingest.row import RawRow
from ingest.rpc import BigQueryWrite, storage_channel
from ingest.settings import IngestSettings
from ingest.watermarks import WATERMARK_TYPE, Watermarks
from ingest.watermarks.merged import LIVE_S, merged_watermarks
from ingest.watermarks.reports import RunState, WatermarkReports

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def report(river: River, writer: str, seconds_ago: float, watermark_s: float | None, **fields: Any) -> None:
    """Have a writer say how far it is, in seconds before `NOW`."""
    row = {
        "writer": writer, "load_id": writer, "table_name": "members", "in_flight": 0, "rows_landed": 1, "rows_late": 0,
        "remembered_ids": 1, "is_idle": False, "is_final": False,
        "reported_at": (NOW - timedelta(seconds=seconds_ago)).isoformat(),
        "watermark": None if watermark_s is None else (NOW - timedelta(seconds=watermark_s)).isoformat(),
    } | fields  # fmt: skip
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.watermarks", [row])


def merged(river: River) -> float | None:
    """The watermark of the table, in seconds before `NOW`."""
    [found] = merged_watermarks(river.settings, NOW)
    return None if found.watermark is None else (NOW - found.watermark).total_seconds()


def test_the_least_of_those_at_work_counts(river: River) -> None:
    assert merged_watermarks(river.settings, NOW) == []
    report(river, "slow", 90, 900)
    report(river, "slow", 30, 500, in_flight=3, rows_landed=10)
    report(river, "fast", 31, 80)
    report(river, "new", 1, None)
    assert merged(river) == 500
    [found] = merged_watermarks(river.settings, NOW)
    assert (found.table, found.writers, found.in_flight, found.rows_landed) == ("members", 3, 3, 12)


def test_who_ended_with_nothing_in_flight_holds_up_nobody(river: River) -> None:
    report(river, "slow", 30, 500, is_final=True)
    report(river, "fast", 20, 80)
    assert merged(river) == 80
    report(river, "fast", 10, 70, is_final=True)
    assert merged(river) == 70


def test_who_fell_silent_counts_until_what_it_held_has_come_again(river: River) -> None:
    report(river, "crashed", 30, 500)
    report(river, "other", 20, 80)
    assert merged(river) == 500
    report(river, "other", 30 - LIVE_S + 1, 60)
    assert merged(river) == 500
    report(river, "other", 30 - LIVE_S - 1, 50)
    assert merged(river) == 50


def test_nothing_moves_on_while_nobody_works(river: River) -> None:
    report(river, "crashed", 50_000, 60_000)
    report(river, "ended", 49_900, 50_000, is_final=True)
    assert merged(river) == 60_000
    [found] = merged_watermarks(river.settings, NOW)
    assert found.writers == 0


@pytest.fixture
def context() -> RunContext:
    tunables = IngestSettings.model_validate(QUICK | {"watermark_window_s": 1})
    return RunContext(tunables, Progress("load"), fail=print)


async def test_reports_are_written_as_they_are_counted(river: River, context: RunContext) -> None:
    watermarks = Watermarks(("members",), disorder_s=10)
    then = to_micros(utc_now()) - 5_000_000
    row = RawRow("INSERT", False, "s", "t", "1", "load", then, source_ts=then - 1, source_position="7".zfill(20))
    watermarks.received("members", [row])
    watermarks.landed("members", [row])
    watermarks.received("members", [row])
    async with storage_channel(river.settings) as channel:
        name = table_path(river.settings, "audit", "watermarks")
        stream = AppendStream(BigQueryWrite(channel), name, WATERMARK_TYPE, 10)
        in_flight = {"1"}
        around = RunState(lambda _table: True, lambda event_id: event_id in in_flight, lambda: 5)
        writer = TableWriter(stream, context.settings.retry_policy(2))
        reports = WatermarkReports(watermarks, writer, context, around)
        await reports.finish()
        in_flight.clear()
        await reports.finish()
        await stream.close()
    first, last = sorted(river.reports(), key=lambda each: each["reported_at"])
    assert (first["is_final"], last["is_final"]) == (False, True)
    assert (first["in_flight"], last["in_flight"]) == (1, 0)
    assert first["oldest_unacked_age_ms"] >= 5_000
    assert last["oldest_unacked_age_ms"] is None
    assert last["watermark"] == from_micros(then - 1 - 10_000_000)
    assert (last["newest_event_ts"], last["last_position"]) == (from_micros(then - 1), "7".zfill(20))
    assert (last["rows_landed"], last["rows_late"], last["remembered_ids"]) == (1, 0, 5)
    assert (last["load_id"], first["writer"], last["is_idle"]) == ("load", last["writer"], False)


async def test_a_report_that_cannot_be_written_stops_nothing(river: River, context: RunContext) -> None:
    async with storage_channel(river.settings) as channel:
        name = table_path(river.settings, "audit", "no_such_table")
        stream = AppendStream(BigQueryWrite(channel), name, WATERMARK_TYPE, 10)
        writer = TableWriter(stream, context.settings.retry_policy(1))
        around = RunState(lambda _table: True, lambda _id: False, lambda: 0)
        reports = WatermarkReports(Watermarks(("members",)), writer, context, around)
        with structlog.testing.capture_logs() as logs:
            await reports.finish()
        await stream.close()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("watermarks not written", "warning")]


def test_the_command_shows_them(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["watermarks", *arguments])
        structlog.reset_defaults()
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "no watermarks yet" in call()
    report(river, "one", (NOW - utc_now()).total_seconds(), 0, rows_late=2)
    [found] = json.loads(call("--json"))
    assert (found["table"], found["watermark"], found["writers"]) == ("members", "2026-03-01T12:00:00Z", 1)
    assert call().split() == [
        "members",
        "2026-03-01",
        "12:00:00",
        "UTC",
        "1",
        "rows,",
        "2",
        "late,",
        "0",
        "in",
        "flight",
    ]
