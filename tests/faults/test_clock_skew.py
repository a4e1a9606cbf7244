"""Clocks that are a day wrong, and what the watermarks of a run say meanwhile."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from faulty_write import FaultyWrite, OpenRiver, Row
from ingest_river import River, event, topic_of

from core.clock import to_micros, utc_now
from devstack.s3.server import DUMMY_CREDENTIALS
from ingest import runner
from ingest.row import RawRow
from ingest.watermarks import Watermarks

TOPIC = topic_of("members")
DAY = timedelta(days=1)
DISORDER_S = 5
TUNABLES = {"watermark_disorder_s": DISORDER_S}


def send(river: River, happened: Sequence[datetime], padding: int = 0) -> list[str]:
    """Publish a change of one member for each instant, in this order of the source's log."""
    messages = []
    for number, instant in enumerate(happened):
        source = {"name": "loyalty", "schema": "member", "table": "members", "lsn": 1_000 + number}
        row = {"member_id": 1, "member_number": "M" + "x" * padding}
        data = event("members", 0, row, source=source | {"ts_us": to_micros(instant)})
        messages.append({"data": data, "ordering_key": '{"member_id":1}'})
    return river.publish(TOPIC, messages)


def last_report(faulty: FaultyWrite, river: River) -> Row:
    return next(row for row in faulty.watermarks(river.settings.project)[::-1] if row["table_name"] == "members")


@pytest.mark.parametrize("skew", [DAY, -DAY], ids=["ahead", "behind"])
async def test_a_source_whose_clock_is_a_day_wrong_loses_nothing_and_moves_nobody_into_the_future(
    faulty_river: OpenRiver, skew: timedelta
) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        begun = utc_now()
        right = [begun - timedelta(seconds=1)] * 10
        sent = send(river, [*right, *(instant + skew for instant in right), *right])
        summary = await river.run(**TUNABLES)
        assert (summary.landed, summary.dead_lettered) == (30, 0)
        assert set(faulty.landed_ids(river.settings.project)) == set(sent)
        rows = faulty.rows[f"projects/{river.settings.project}/datasets/raw/tables/members"]
        positions = [row["_source_position"] for row in rows]
        assert positions == sorted(positions)
        report = last_report(faulty, river)
        # The row keeps what its source said; the watermark does not believe it.
        assert {row["_source_ts"] for row in rows} == {to_micros(right[0]), to_micros(right[0] + skew)}
        assert report["watermark"] <= to_micros(utc_now()) - DISORDER_S * 1_000_000
        assert report["watermark"] >= to_micros(begun) - (1 + DISORDER_S) * 1_000_000
        assert report["is_final"]


class Trusting(Watermarks):
    """A mutant: believes the source's clock."""

    def landed(self, table: str, rows: Sequence[RawRow]) -> None:
        super().landed(table, rows)
        state = self._tables[table]
        state.watermark = max(state.watermark, *(row.source_ts or 0 for row in rows))


async def test_the_control_that_believes_its_source_is_noticed(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(runner, "Watermarks", Trusting)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        send(river, [utc_now() + DAY])
        await river.run(**TUNABLES)
        assert last_report(faulty, river)["watermark"] > to_micros(utc_now())


async def test_the_watermark_waits_for_what_was_given_back(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = River(
            opened.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}), opened.contracts, opened.sent
        )
        now = utc_now()
        send(river, [now - timedelta(seconds=600)], padding=8_100_000)
        send(river, [now - timedelta(seconds=1)] * 20)
        await river.run_until(
            lambda progress: progress.nacked >= 1 and progress.tables.total() == 20,
            append_attempts=1, oversize_uri="s3://large", **TUNABLES,
        )  # fmt: skip
        report = last_report(faulty, river)
        assert report["watermark"] <= to_micros(now - timedelta(seconds=600))
        assert (report["is_final"], report["rows_landed"]) == (False, 20)
        river.seek_to_beginning()
        await river.run(**TUNABLES)  # without a place for it, it is a dead letter now
        assert len(faulty.dead_ids(river.settings.project)) == 1


async def test_a_quiet_river_follows_the_clock_window_by_window(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        send(river, [long_ago])

        def reports() -> list[Row]:
            return [row for row in faulty.watermarks(river.settings.project) if row["table_name"] == "members"]

        await river.run_until(
            lambda _: any(row["is_idle"] for row in reports()),
            watermark_window_s=0.1, watermark_idle_s=0.2, **TUNABLES,
        )  # fmt: skip
        told = reports()
    assert len(told) >= 3
    marks = [row["watermark"] for row in told if "watermark" in row]
    assert marks == sorted(marks)
    assert to_micros(utc_now()) - marks[-1] < 60_000_000
    assert {row["writer"] for row in told} == {told[0]["writer"]}
    assert [row["is_final"] for row in told] == [False] * (len(told) - 1) + [True]
