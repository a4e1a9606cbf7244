"""`ingest dead-letters replay-moved`: what Pub/Sub gave up by itself goes back to its topic, and nothing else does."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from ingest_river import River, member, topic_of
from typer.testing import CliRunner

from core.clock import to_micros, utc_now
from core.errors import ConfigurationError, MillraceError, UsageError
from devstack.pubsub import stats
from ingest.cli import app
from ingest.dead_letters.publishing import PubSubPublisher

MEMBERS = topic_of("members")
SOURCE = "CloudPubSubDeadLetterSource"
Call = Callable[..., Any]


@pytest.fixture
def call(river: River, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the command; returns its JSON, or the words of its failure."""
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, failure: type[Exception] | None = None) -> Any:
        command = ["dead-letters", "replay-moved", "--until-idle", "0.5", *arguments]
        result = CliRunner().invoke(app, command)
        structlog.reset_defaults()  # the stream it logs to is closed by now
        if failure is not None:
            assert isinstance(result.exception, failure), result.output
            return str(result.exception)
        assert result.exit_code == 0, result.output + str(result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return run


def give_up(river: River, topic: str) -> set[int]:
    """Have Pub/Sub deliver what waits in a topic's subscription in vain, until it moves it.

    Returns when it had been published, in microseconds since 1970 UTC.
    """
    published = set()
    subscriber, name = river._subscriber(), river._subscription(topic)
    target = f"projects/{river.settings.project}/topics/{river.settings.dead_letter_topic}"
    subscriber.update_subscription(
        request={
            "subscription": {
                "name": name,
                "dead_letter_policy": {"dead_letter_topic": target, "max_delivery_attempts": 5},
            },
            "update_mask": {"paths": ["dead_letter_policy"]},
        }
    )
    while backlog(river, name):
        received = subscriber.pull(subscription=name, max_messages=100, timeout=10).received_messages
        ids = [one.ack_id for one in received]
        subscriber.modify_ack_deadline(subscription=name, ack_ids=ids, ack_deadline_seconds=0)
        published |= {to_micros(one.message.publish_time) for one in received}
    return published


def kept(river: River) -> int:
    """Messages that wait in the subscription of the dead-letter topic."""
    return backlog(river, f"projects/{river.settings.project}/subscriptions/{river.settings.dead_letter_topic}-keep")


def backlog(river: River, subscription: str) -> int:
    """Messages that wait in a subscription, or are leased."""
    return stats.fetch(river.settings.pubsub_emulator_host or "")[subscription].backlog


def test_what_was_moved_lands_in_its_old_place_and_own_letters_stay(river: River, call: Call) -> None:
    emails = topic_of("member_emails")
    key, data = member(1)
    river.publish(MEMBERS, [{"data": b"{"}])
    asyncio.run(river.run())
    own = river.dead_topic(0)
    moved = river.publish(MEMBERS, [{"data": data, "ordering_key": key, "attributes": {"origin": "é"}}])
    moved += river.publish(emails, [{"data": b"{"}])
    give_up(river, MEMBERS)
    give_up(river, emails)
    assert (own, kept(river), asyncio.run(river.run()).received) == ([], 3, 0)

    told = call("--dry-run", "--json")
    assert (told["published"], told["own"], told["is_done"]) == ({MEMBERS: 1, emails: 1}, 1, False)
    assert "2 messages would be published again\n1 letters of the ingester itself" in call("--dry-run")
    assert (kept(river), asyncio.run(river.run()).received) == (3, 0)

    assert call("--topic", MEMBERS, "--json")["published"] == {MEMBERS: 1}
    assert kept(river) == 2
    assert "1 messages published again" in call()
    assert kept(river) == 1
    summary = asyncio.run(river.run())
    assert (summary.landed, summary.reasons) == (1, {"invalid_json": 1})
    [row] = river.rows("members")
    assert (row["_key"], row["payload"]) == ('{"member_id":1}', json.dumps(json.loads(data)["after"]))
    again = json.loads(river.dead_letters()[-1]["attributes"])
    assert not [name for name in again if name.startswith(SOURCE)]
    assert again["millrace_first_publish_us"].isdecimal()
    assert call("--json")["published"] == {}
    assert len(moved) == 2


def test_the_limit_holds_and_a_second_call_goes_on(river: River, call: Call) -> None:
    sent = river.publish_members(range(5))
    give_up(river, MEMBERS)
    assert call("--limit", "2", "--json")["published"] == {MEMBERS: 2}
    assert kept(river) == 3
    assert call("--json")["published"] == {MEMBERS: 3}
    assert asyncio.run(river.run()).landed == len(sent)


def test_it_says_when_it_was_published_first(river: River, call: Call) -> None:
    """By that a row without a position of its own is put in order: it takes no newer one's place."""
    river.publish(MEMBERS, [{"data": b"x"}])
    [first_us] = give_up(river, MEMBERS)
    call()
    asyncio.run(river.run())
    [letter] = river.dead_letters()
    attributes = json.loads(letter["attributes"])
    assert int(attributes["millrace_first_publish_us"]) == first_us // 1_000 * 1_000  # Pub/Sub tells milliseconds
    assert attributes["millrace_replay_of"] == attributes["millrace_first_message_id"] != letter["event_id"]


def test_what_does_not_say_when_it_was_published_counts_as_of_when_it_was_moved(river: River, call: Call) -> None:
    """Never as of now."""
    source = {f"{SOURCE}Subscription": f"{MEMBERS}-ingest", f"{SOURCE}TopicPublishTime": "yesterday"}
    river.publish(river.settings.dead_letter_topic, [{"data": b"x", "attributes": source}])
    moved_before_us = to_micros(utc_now())
    assert call("--json")["published"] == {MEMBERS: 1}
    asyncio.run(river.run())
    [letter] = river.dead_letters()
    assert int(json.loads(letter["attributes"])["millrace_first_publish_us"]) <= moved_before_us


def test_it_is_acknowledged_only_once_it_is_published(
    river: River, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    river.publish_members([1])
    give_up(river, MEMBERS)

    async def refuse(*_: object) -> list[str]:
        raise ConfigurationError("publish: PERMISSION_DENIED")

    with monkeypatch.context() as patch:
        patch.setattr(PubSubPublisher, "publish", refuse)
        assert "PERMISSION_DENIED" in call(failure=ConfigurationError)
    assert kept(river) == 1
    assert call("--json")["published"] == {MEMBERS: 1}


def test_forged_origins_are_named_and_get_nothing(river: River, call: Call) -> None:
    """Whoever may publish to the dead-letter topic could have anything published anywhere otherwise."""
    forged = [
        {f"{SOURCE}Subscription": "payments-ingest"},
        {f"{SOURCE}Subscription": MEMBERS},
        {f"{SOURCE}Subscription": f"{MEMBERS}-ingest", f"{SOURCE}SubscriptionProject": "other"},
    ]
    river.publish(river.settings.dead_letter_topic, [{"data": b"{}", "attributes": one} for one in forged])
    river.publish_members([1])
    give_up(river, MEMBERS)
    told = call(failure=MillraceError)
    assert "3 messages could not be published again" in told
    assert "stay where they are" in told
    assert kept(river) == 3
    assert asyncio.run(river.run()).landed == 1


def test_a_topic_that_is_none_of_ours_is_wrong_use(call: Call) -> None:
    assert f"did you mean {MEMBERS}?" in call("--topic", MEMBERS + "s", failure=UsageError)
    assert "the topics are" in call("--topic", "zzz", failure=UsageError)


def test_without_the_subscription_it_says_what_to_do(river: River, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_DEAD_LETTER_TOPIC", "no-such-letters")
    assert "NOT_FOUND" in call(failure=ConfigurationError)
