"""Notifications: every one lands its own row, rows are fetched once a window, and the API may fail in any way."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from ingest_river import NOTIFICATIONS, River
from notified_river import TOKEN, member_api, notification
from pydantic import SecretStr

from core.errors import ConfigurationError
from devstack.member_api.faults import FaultPlan
from devstack.member_api.store import StoredRow
from ingest.leases import Leases
from ingest.progress import Progress


def notify(email_id: int, version: int, table: str = "member_emails") -> dict[str, object]:
    return notification(table, {"email_id": email_id}, version)


def stored(email_id: int, version: int, *, is_gone: bool = False) -> StoredRow:
    data = None if is_gone else f'{{ "email_id": {email_id}, "email": "m{email_id}@example.org", "score": 1.10 }}'
    return StoredRow("member_emails", f'{{"email_id":{email_id}}}', version, data, "2026-01-02T03:04:05.678901Z")


async def test_rows_are_fetched_once_and_every_notification_lands(river: River, tmp_path: Path) -> None:
    with member_api(river, tmp_path, [stored(1, 30), stored(2, 40, is_gone=True)]) as connected:
        sent = connected.publish(
            NOTIFICATIONS, [notify(1, 10), notify(1, 20), notify(2, 40), notify(3, 50), notify(1, 30)]
        )
        summary = await connected.run(notification_window_ms=100)
    assert (summary.landed, summary.fetched, summary.acked) == (5, 3, 5)
    rows = {row["_event_id"]: row for row in river.rows("member_emails")}
    assert [rows[one]["_op"] for one in sent] == ["UPDATE", "UPDATE", "DELETE", "DELETE", "UPDATE"]
    assert all(row["_op_inferred"] for row in rows.values())
    assert {rows[sent[place]]["payload"] for place in (0, 1, 4)} == {stored(1, 30).data}
    assert [rows[one]["_source_position"] for one in sent] == [f"{n:020d}" for n in (30, 30, 40, 50, 30)]
    assert [rows[one]["_key"] for one in sent] == [f'{{"email_id":{n}}}' for n in (1, 1, 2, 3, 1)]
    first = rows[sent[0]]
    assert (first["_source_system"], first["_source_table"]) == ("member-api", "member_emails")
    assert first["_source_ts"].isoformat() == "2026-01-02T03:04:05.678901+00:00"
    assert rows[sent[3]]["payload"] is None
    river.assert_nothing_lost()


async def test_an_api_that_fails_often_loses_nothing(river: River, tmp_path: Path) -> None:
    plan = FaultPlan(seed=3, error_share=0.2, throttle_share=0.1, retry_after_s=0, drop_share=0.1, malformed_share=0.1)
    with member_api(river, tmp_path, [stored(number, 10) for number in range(200)], plan) as connected:
        connected.publish(NOTIFICATIONS, [notify(number, 10) for number in range(200)])
        summary = await connected.run(fetch_attempts=20, outstanding_messages=50)
    assert (summary.landed, summary.dead_lettered) == (200, 0)
    river.assert_nothing_lost()


def test_a_kill_between_fetching_and_landing_loses_nothing(river: River, tmp_path: Path) -> None:
    with member_api(river, tmp_path, [stored(number, 10) for number in range(60)]) as connected:
        connected.publish(NOTIFICATIONS, [notify(number, 10) for number in range(60)])
        api = {"MILLRACE_API_BASE_URL": connected.settings.api_base_url or "", "MILLRACE_API_TOKEN": TOKEN}
        killed = connected.start("run", "--until-idle", "1", MILLRACE_FAILPOINT="after_fetch:crash_after=20", **api)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert len(set(river.landed_ids())) < 60
        # What was not acknowledged comes again, at once instead of when the leases run out.
        connected.seek_to_beginning(NOTIFICATIONS)
        again = connected.start("run", "--until-idle", "1", **api)
        again.communicate(timeout=60)
        assert again.returncode == 0
    river.assert_nothing_lost()


async def test_a_row_the_api_fails_on_for_good_is_dead_lettered_alone(river: River, tmp_path: Path) -> None:
    stale = stored(2, 10)
    with member_api(river, tmp_path, [stored(1, 10), stale, stored(3, 10)]) as connected:
        [_, lagging, _] = connected.publish(NOTIFICATIONS, [notify(1, 10), notify(2, 11), notify(3, 10)])
        summary = await connected.run(fetch_attempts=2)
    assert (summary.landed, summary.reasons) == (2, {"fetch_failed": 1})
    [letter] = river.dead_letters()
    assert (letter["event_id"], letter["table_name"], letter["attempts"]) == (lagging, "member_emails", 2)
    assert "older than 11" in letter["error"]
    river.assert_nothing_lost()


async def test_a_service_that_fails_one_row_for_ever_gives_it_up_after_some_rounds(
    river: River, tmp_path: Path
) -> None:
    """The same 503 is an outage when nobody is answered, and the row's own fault when all others are."""
    plan = FaultPlan(seed=1, error_share=0.5, error_status=503)
    # What a path answers first is known from the plan; with a single attempt a round, that decides.
    paths = {number: f"/v1/member-emails/{number}" for number in range(60)}
    failing = [n for n, path in paths.items() if all(plan.choose(path, attempt) for attempt in range(4))]
    assert failing
    with member_api(river, tmp_path, [stored(number, 10) for number in paths], plan) as connected:
        connected.publish(NOTIFICATIONS, [notify(number, 10) for number in paths])
        summary = await connected.run(fetch_attempts=1)
    assert summary.landed + summary.dead_lettered == len(paths)
    assert set(summary.reasons) <= {"fetch_failed"}
    assert summary.nacked > 0
    river.assert_nothing_lost()


async def test_a_wrong_token_stops_the_run_and_every_notification_stays(river: River, tmp_path: Path) -> None:
    with member_api(river, tmp_path, [stored(1, 10)]) as connected:
        connected.publish(NOTIFICATIONS, [notify(1, 10), notify(2, 10)])
        wrong = connected.settings.model_copy(update={"api_token": SecretStr("wrong-canary")})
        with pytest.raises(ConfigurationError, match="MILLRACE_API_TOKEN") as caught:
            await River(wrong, river.contracts).run()
        assert "wrong-canary" not in str(caught.value)
        assert river.rows("member_emails") == river.dead_letters() == []
        summary = await connected.run()
    assert summary.landed == 2
    river.assert_nothing_lost()


async def test_an_outage_gives_notifications_back_and_takes_them_up_later(river: River, tmp_path: Path) -> None:
    everything_fails = FaultPlan(error_share=1)
    sent = river.publish(NOTIFICATIONS, [notify(number, 10) for number in range(20)])
    rows = [stored(number, 10) for number in range(20)]
    (tmp_path / "down").mkdir()
    with member_api(river, tmp_path / "down", rows, everything_fails) as connected:
        opened: set[str] = set()

        def reached(progress: Progress) -> bool:
            opened.add(progress.circuit)
            return progress.nacked >= 20 and progress.circuit_opened > 1

        summary = await connected.run_until(reached, fetch_attempts=2, fetch_breaker_open_s=0.05)
    assert "open" in opened
    assert (summary.landed, summary.dead_lettered) == (0, 0)
    river.seek_to_beginning(NOTIFICATIONS)  # what was on its way when the run ended is leased to nobody
    with member_api(river, tmp_path, rows) as connected:
        summary = await connected.run()
    assert Counter(row["_event_id"] for row in river.rows("member_emails")) == Counter(sent)


async def test_the_control_that_acknowledges_what_the_api_did_not_answer_loses_it(
    river: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    monkeypatch.setattr(Leases, "release", Leases.settle)
    rows = [stored(number, 10) for number in range(20)]
    sent = river.publish(NOTIFICATIONS, [notify(number, 10) for number in range(20)])
    (tmp_path / "down").mkdir()
    with member_api(river, tmp_path / "down", rows, FaultPlan(error_share=1)) as connected:
        summary = await connected.run(fetch_attempts=2, fetch_breaker_open_s=0.05)
    assert summary.acked == 20
    with member_api(river, tmp_path, rows) as connected:
        summary = await connected.run()
    assert summary.received == 0
    assert not set(sent) & set(river.landed_ids())


async def test_poison_notifications_are_dead_lettered(river: River, tmp_path: Path) -> None:
    with member_api(river, tmp_path, [stored(1, 10)]) as connected:
        connected.publish(NOTIFICATIONS, [notify(1, 10), notify(1, 10, "no_such_table"), {"data": b"[]"}])
        summary = await connected.run()
    assert (summary.landed, summary.reasons) == (1, {"wrong_table": 1, "invalid_notification": 1})
    river.assert_nothing_lost()
