"""The commands that look, follow and replay, over the real protocols."""

import asyncio
import json
from datetime import timedelta

import pytest
import structlog
from ingest_river import River, member, topic_of
from typer.testing import CliRunner, Result

from ingest.cli import app

PERSONAL = "Ada-4711"


@pytest.fixture
def ingest(river: River, monkeypatch: pytest.MonkeyPatch) -> "Ingest":
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)
    return Ingest()


class Ingest:
    """Calls the command in this process."""

    def __call__(self, *arguments: str, code: int = 0, answer: str = "") -> Result:
        result = CliRunner().invoke(app, list(arguments), input=answer)
        structlog.reset_defaults()
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def lines(self, *arguments: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self(*arguments).stdout.splitlines()]


def subscriptions(river: River) -> list[str]:
    found = river._subscriber().list_subscriptions(project=f"projects/{river.settings.project}")
    return [subscription.name.rpartition("/")[2] for subscription in found]


def publish_personal(river: River) -> None:
    key, data = member(1, first_name=PERSONAL, undeclared=PERSONAL, is_test=None)
    river.publish(topic_of("members"), [{"data": data, "ordering_key": key}])


def test_a_dry_run_shows_what_would_land_and_gives_it_all_back(river: River, ingest: Ingest) -> None:
    river.publish_members(range(2, 12))
    publish_personal(river)
    river.publish(topic_of("members"), [{"data": b"{"}])
    shown = ingest.lines("run", "--dry-run", "--json", "--table", "members", "--until-idle", "0.5")
    assert len(shown) == 11
    (personal,) = [row for row in shown if row["key"] == {"member_id": 1}]
    assert personal["op"] == "INSERT"
    payload = personal["payload"]
    assert payload["member_id"] == 1
    assert (payload["first_name"], payload["undeclared"], payload["is_test"]) == ("***", "***", None)
    summary = ingest("run", "--dry-run", "--until-idle", "0.5")
    assert "11  rows would land in members" in summary.stdout
    assert "notifications are not looked at, for they would be fetched: loyalty.member.notif" in summary.stderr
    assert "1  messages would be dead-lettered: invalid_json" in summary.stdout
    revealed = ingest.lines("run", "--dry-run", "--reveal", "--json", "--until-idle", "0.5")
    assert PERSONAL in json.dumps(revealed)
    # Nothing happened: it all lands now.
    assert river.landed_ids() == []
    assert json.loads(ingest("run", "--until-idle", "0.3", "--json").stdout)["landed"] == 11
    river.assert_nothing_lost()


def test_a_dry_run_is_bounded_too(river: River, ingest: Ingest) -> None:
    river.publish_members(range(10))
    assert len(ingest.lines("run", "--dry-run", "--json", "--limit", "3")) == 3
    ingest("run", "--reveal", code=2)
    for option in ("--workers", "--http-port"):
        assert "--dry-run looks from one process" in ingest("run", "--dry-run", option, "0", code=2).stderr


def test_a_limit_lands_so_many_and_leaves_the_rest(river: River, ingest: Ingest) -> None:
    river.publish_members(range(30))
    first = json.loads(ingest("run", "--limit", "10", "--json").stdout)
    assert (first["received"], first["landed"], first["acked"]) == (10, 10, 10)
    rest = json.loads(ingest("run", "--until-idle", "0.3", "--json").stdout)
    assert rest["landed"] == 20
    river.assert_nothing_lost()


def test_tail_follows_a_table_through_a_subscription_that_is_gone_afterwards(river: River) -> None:
    before = subscriptions(river)
    with river.start("tail", "members", "--json", "--limit", "2", PYTHONUNBUFFERED="1") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline().startswith("following loyalty.member.members")
        (made,) = set(subscriptions(river)) - set(before)
        assert made.startswith("loyalty.member.members-tail-")
        publish_personal(river)
        river.publish_members([2])
        out, _ = process.communicate(timeout=30)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["key"] for row in rows] == [{"member_id": 1}, {"member_id": 2}]
    assert rows[0]["payload"]["first_name"] == "***"
    assert process.returncode == 0
    assert subscriptions(river) == before
    # The ingester got its own copies.
    assert {row["_event_id"] for row in run_to_rows(river)} == river.sent


def run_to_rows(river: River) -> list[dict[str, object]]:
    asyncio.run(river.run())
    return river.rows("members")


def test_tail_of_a_table_that_is_not_there_is_wrong_use(ingest: Ingest) -> None:
    result = CliRunner().invoke(app, ["tail", "nope"])
    assert "the tables are member_emails" in str(result.exception)


def test_what_a_topic_still_keeps_lands_again_with_its_ids(river: River, ingest: Ingest) -> None:
    ingest("setup")
    river.publish_members(range(20))
    asyncio.run(river.run())
    told = json.loads(ingest("replay", "--from", "1h", "--table", "members", "--dry-run", "--json").stdout)
    assert (told["is_done"], told["sources"][0]["topic_retention_s"]) == (False, 86_400)
    refused = ingest("replay", "--from", "1h", "--table", "members", code=1, answer="n\n")
    assert "will count as acknowledged" in refused.stderr
    assert asyncio.run(river.run()).landed == 0
    ingest("replay", "--from", "1h", "--table", "members", "--yes")
    assert asyncio.run(river.run()).landed == 20
    assert sorted(river.landed_ids()) == sorted([*river.sent, *river.sent])


def test_a_window_lands_again_beside_the_ingester_whose_own_messages_wait_on(river: River, ingest: Ingest) -> None:
    ingest("setup")
    early = river.publish_members(range(5))
    asyncio.run(river.run())
    inside = river.publish_members(range(5, 10))
    rows = {row["_event_id"]: row for row in run_to_rows(river)}
    begin = min(rows[event_id]["_publish_ts"] for event_id in inside)
    late = river.publish_members(range(10, 15))
    end = begin + timedelta(milliseconds=1) + (max(rows[event_id]["_publish_ts"] for event_id in inside) - begin)
    before, reported = subscriptions(river), len(river.reports())
    arguments = ["replay", "--from", begin.isoformat(), "--to", end.isoformat(), "--table", "members"]
    told = json.loads(ingest(*arguments, "--until-idle", "0.5", "--yes", "--json").stdout)
    assert told["summary"]["landed"] == 5
    assert subscriptions(river) == before
    assert len(river.reports()) == reported, "the past says nothing about how far a table is"
    assert sorted(river.landed_ids()) == sorted([*early, *inside, *inside])
    assert asyncio.run(river.run()).landed == len(late)
    river.assert_nothing_lost()


def test_what_no_topic_keeps_any_more_cannot_be_replayed_and_the_message_says_how_to_keep_it(
    river: River, ingest: Ingest
) -> None:
    ingest("setup")
    result = CliRunner().invoke(app, ["replay", "--from", "25h", "--yes"])
    assert result.exit_code == 1
    assert "--message-retention-duration=7d" in str(result.exception)
    for wrong in (["--from", "yesterday"], ["--from", "2999-01-01"], ["--from", "1h", "--to", "2h"], []):
        ingest("replay", "--yes", *wrong, code=2)


def test_setup_has_topics_keep_what_is_published_and_leaves_what_somebody_said(river: River, ingest: Ingest) -> None:
    """Also those that an older version made."""
    river.keep_published(topic_of("member_emails"), timedelta(hours=2))
    assert "keeps 0.0 h" in str(ingest("replay", "--from", "1h", "--yes", code=1).exception)
    ingest("setup")
    told = json.loads(ingest("replay", "--from", "1h", "--dry-run", "--json").stdout)
    kept = {source["topic"]: source["topic_retention_s"] for source in told["sources"]}
    assert kept[topic_of("members")] == 86_400
    assert kept[topic_of("member_emails")] == 7_200


def test_what_pubsub_moved_by_itself_comes_again_from_a_topic_that_keeps_it(river: River, ingest: Ingest) -> None:
    """As the runbook has it; the letter is in no table, so a replay of letters does not reach it."""
    ingest("setup")
    subscriber, name = river._subscriber(), river._subscription(topic_of("members"))
    topic = f"projects/{river.settings.project}/topics/{river.settings.dead_letter_topic}"
    policy = {"dead_letter_topic": topic, "max_delivery_attempts": 5}
    subscriber.update_subscription(
        request={
            "subscription": {"name": name, "dead_letter_policy": policy},
            "update_mask": {"paths": ["dead_letter_policy"]},
        }
    )
    river.publish_members([1])
    for _ in range(5):
        [received] = subscriber.pull(subscription=name, max_messages=1, timeout=10).received_messages
        subscriber.modify_ack_deadline(subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=0)
    [moved] = river.dead_topic(1)
    assert "CloudPubSubDeadLetterSourceSubscription" in moved.attributes
    assert asyncio.run(river.run()).received == 0
    assert river.dead_letters() == []
    ingest("replay", "--from", "1h", "--table", "members", "--yes")
    assert asyncio.run(river.run()).landed == 1
    river.assert_nothing_lost()


def test_every_fault_of_the_configuration_is_told_at_once_as_wrong_use(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {
        "MILLRACE_INGEST_BATCH_ROWS": "0",
        "MILLRACE_INGEST_HTTP_PORT": "http",
        "MILLRACE_FAILPOINT": "nowhere",
        "MILLRACE_CONTRACTS_PATH": "nowhere",
    }
    with river.start("run", **wrong) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert all(name in told for name in wrong), told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", [["run"], ["setup"], ["watermarks"], ["doctor"], ["replay", "--from", "1h"]])
def test_without_credentials_every_command_fails_alike_and_says_it_once(
    command: list[str], ingest: Ingest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    told = f"{result.output}{result.exception}"
    assert told.count("gcloud auth application-default login") == 1
    assert "devstack up" in told
