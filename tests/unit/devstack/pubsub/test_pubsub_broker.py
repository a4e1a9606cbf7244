"""Topics and subscriptions together: fan-out, filters, dead letters, seeks, descriptions and their checks."""

from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.pubsub_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from devstack.pubsub import filters, limits, resources
from devstack.pubsub.broker import Broker, page
from devstack.pubsub.errors import Code, PubSubError
from devstack.pubsub.model import SECOND, Consumer
from devstack.pubsub.seek import Snapshots

TOPIC = "projects/p/topics/events"
DEAD = "projects/p/topics/dead"
SUBSCRIPTION = "projects/p/subscriptions/reader"
OTHER = "projects/p/subscriptions/other"
SNAPSHOT = "projects/p/snapshots/point"
NOW = 1_800_000_000 * SECOND
DAY = 24 * 3600 * SECOND

PubsubMessage: Any = types.PubsubMessage.pb()


def message(data: str, key: str = "", **attributes: str) -> Any:
    return PubsubMessage(data=data.encode(), ordering_key=key, attributes=attributes)


def topic(name: str = TOPIC, **fields: Any) -> Any:
    return resources.Topic(name=name, **fields)


def subscription(name: str = SUBSCRIPTION, **fields: Any) -> Any:
    return resources.Subscription(**{"name": name, "topic": TOPIC} | fields)


def refusal(code: Code) -> Any:
    return pytest.raises(PubSubError, check=lambda error: error.code is code)


def seconds(count: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=count)


def pull(broker: Broker, name: str = SUBSCRIPTION, now: int = NOW) -> dict[str, str]:
    """Takes everything, and returns the acknowledgement ids by data."""
    entries = broker.take(name, Consumer(), now)
    return {PubsubMessage.FromString(entry.message.encoded).data.decode(): entry.ack_id for entry in entries}


@pytest.fixture
def broker() -> Broker:
    made = Broker(first_sequence=100)
    made.create_topic(topic())
    made.create_subscription(subscription())
    return made


def test_every_subscription_gets_what_is_published_after_its_creation(broker: Broker) -> None:
    assert broker.publish(TOPIC, [message("one")], NOW) == ["101"]
    broker.create_subscription(subscription(OTHER))
    broker.publish(TOPIC, [message("two")], NOW)
    assert [*pull(broker)] == ["one", "two"]
    assert [*pull(broker, OTHER)] == ["two"]


def test_ids_never_repeat_between_messages_and_subscriptions(broker: Broker) -> None:
    ids = {*broker.publish(TOPIC, [message("x")] * 3, NOW)}
    broker.delete_subscription(SUBSCRIPTION)
    broker.create_subscription(subscription())
    ids |= {*broker.publish(TOPIC, [message("x")] * 3, NOW)}
    assert len(ids) == 6


_attributes = st.dictionaries(st.sampled_from(["table", "op"]), st.sampled_from(["members", "c", "d"]))


@given(st.lists(_attributes, max_size=8))
def test_each_subscription_gets_exactly_what_its_filter_lets_through(published: list[dict[str, str]]) -> None:
    broker = Broker(1)
    broker.create_topic(topic())
    texts = ["", "attributes:op", 'attributes.table = "members" AND NOT attributes.op = "d"']
    for index, text in enumerate(texts):
        broker.create_subscription(subscription(f"{SUBSCRIPTION}-{index}", filter=text))
    ids = broker.publish(TOPIC, [message("x", **attributes) for attributes in published], NOW) if published else []
    for index, text in enumerate(texts):
        name = f"{SUBSCRIPTION}-{index}"
        matches = parsed.matches if (parsed := filters.parse(text)) else (lambda _: True)
        expected = [id_ for id_, attributes in zip(ids, published, strict=True) if matches(attributes)]
        assert [str(entry.message.sequence) for entry in broker.take(name, Consumer(), NOW)] == expected
        assert broker.stats()[name].filtered == len(ids) - len(expected)


def test_dead_letters_carry_their_origin(broker: Broker) -> None:
    broker.create_topic(topic(DEAD))
    broker.create_subscription(subscription(OTHER, topic=DEAD))
    broker.update_subscription(
        subscription(dead_letter_policy={"dead_letter_topic": DEAD, "max_delivery_attempts": 5}),
        ["dead_letter_policy"],
    )
    broker.publish(TOPIC, [message("poison", key="k", table="members")], NOW)
    for _ in range(5):
        broker.modify_deadline(SUBSCRIPTION, pull(broker).values(), 0, NOW)
    assert pull(broker) == {}
    (entry,) = broker.take(OTHER, Consumer(), NOW)
    forwarded = PubsubMessage.FromString(entry.message.encoded)
    assert forwarded.data == b"poison"
    assert forwarded.ordering_key == "k"
    assert dict(forwarded.attributes) == {
        "table": "members",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "reader",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2027-01-15T08:00:00.000+00:00",
    }


def test_without_its_dead_letter_topic_a_message_is_redelivered(broker: Broker) -> None:
    broker.create_topic(topic(DEAD))
    broker.update_subscription(subscription(dead_letter_policy={"dead_letter_topic": DEAD}), ["dead_letter_policy"])
    broker.delete_topic(DEAD)
    broker.publish(TOPIC, [message("poison")], NOW)
    for _ in range(9):
        broker.modify_deadline(SUBSCRIPTION, pull(broker).values(), 0, NOW)
    assert [*pull(broker)] == ["poison"]


def test_expiry_reaches_the_dead_letters_by_itself(broker: Broker) -> None:
    broker.create_topic(topic(DEAD))
    broker.update_subscription(subscription(dead_letter_policy={"dead_letter_topic": DEAD}), ["dead_letter_policy"])
    broker.publish(TOPIC, [message("slow")], NOW)
    now = NOW
    for _ in range(5):
        pull(broker, now=now)
        now += 10 * SECOND
        assert broker.next_event() == now
        broker.tick(now)
    assert broker.stats()[SUBSCRIPTION].dead_lettered == 1
    assert broker.next_event() is None


def test_changes_are_told(broker: Broker) -> None:
    told: list[str] = []
    broker = Broker(1, on_change=told.append)
    broker.create_topic(topic())
    broker.create_subscription(subscription())
    broker.publish(TOPIC, [message("x")], NOW)
    assert told == [SUBSCRIPTION]
    pull(broker)
    broker.tick(NOW + 11 * SECOND)
    assert told == [SUBSCRIPTION] * 2
    broker.delete_subscription(SUBSCRIPTION)
    assert told == [SUBSCRIPTION] * 3


def test_a_subscription_outlives_its_topic(broker: Broker) -> None:
    broker.publish(TOPIC, [message("kept")], NOW)
    broker.delete_topic(TOPIC)
    assert broker.subscription(SUBSCRIPTION).resource.topic == "_deleted-topic_"
    assert [*pull(broker)] == ["kept"]
    with refusal(Code.NOT_FOUND):
        broker.publish(TOPIC, [message("x")], NOW)
    with refusal(Code.FAILED_PRECONDITION):
        Snapshots(broker).create(types.CreateSnapshotRequest.pb()(name=SNAPSHOT, subscription=SUBSCRIPTION), NOW)
    broker.delete_subscription(SUBSCRIPTION)
    with refusal(Code.NOT_FOUND):
        broker.subscription(SUBSCRIPTION)


def test_a_detached_subscription_has_lost_its_messages(broker: Broker) -> None:
    broker.publish(TOPIC, [message("lost")], NOW)
    broker.detach_subscription(SUBSCRIPTION)
    assert broker.subscription(SUBSCRIPTION).resource.detached
    assert broker.topic(TOPIC).subscriptions == {}
    with refusal(Code.FAILED_PRECONDITION):
        pull(broker)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "reader"}, Code.INVALID_ARGUMENT),
        ({"name": "projects/p/topics/reader"}, Code.INVALID_ARGUMENT),
        ({"name": SUBSCRIPTION}, Code.ALREADY_EXISTS),
        ({"topic": "projects/p/topics/none"}, Code.NOT_FOUND),
        ({"topic": ""}, Code.INVALID_ARGUMENT),
        ({"ack_deadline_seconds": 9}, Code.INVALID_ARGUMENT),
        ({"ack_deadline_seconds": 601}, Code.INVALID_ARGUMENT),
        ({"filter": "rubbish"}, Code.INVALID_ARGUMENT),
        ({"message_retention_duration": seconds(599)}, Code.INVALID_ARGUMENT),
        ({"message_retention_duration": seconds(32 * 86400)}, Code.INVALID_ARGUMENT),
        ({"retry_policy": {"minimum_backoff": seconds(601)}}, Code.INVALID_ARGUMENT),
        ({"retry_policy": {"minimum_backoff": seconds(9), "maximum_backoff": seconds(8)}}, Code.INVALID_ARGUMENT),
        ({"dead_letter_policy": {"dead_letter_topic": DEAD}}, Code.NOT_FOUND),
        ({"dead_letter_policy": {"dead_letter_topic": "dead"}}, Code.INVALID_ARGUMENT),
        ({"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 4}}, Code.INVALID_ARGUMENT),
        ({"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 101}}, Code.INVALID_ARGUMENT),
        ({"push_config": {"push_endpoint": "https://example.com"}}, Code.UNIMPLEMENTED),
        ({"bigquery_config": {"table": "p.d.t"}}, Code.UNIMPLEMENTED),
    ],
)
def test_subscriptions_that_are_refused(broker: Broker, fields: dict[str, Any], code: Code) -> None:
    with refusal(code):
        broker.create_subscription(subscription(**{"name": OTHER} | fields))
    assert [*broker.subscriptions] == [SUBSCRIPTION]


def test_the_defaults_are_filled_in(broker: Broker) -> None:
    broker.create_topic(topic(DEAD, message_retention_duration=seconds(3600)))
    created = broker.create_subscription(
        subscription(OTHER, topic=DEAD, retry_policy={}, dead_letter_policy={"dead_letter_topic": TOPIC})
    )
    assert created.ack_deadline_seconds == 10
    assert created.message_retention_duration.seconds == 7 * 86400
    assert created.topic_message_retention_duration.seconds == 3600
    assert created.expiration_policy.ttl.seconds == 31 * 86400
    assert created.retry_policy.minimum_backoff.seconds == 10
    assert created.retry_policy.maximum_backoff.seconds == 600
    assert created.dead_letter_policy.max_delivery_attempts == 5


def test_updates_change_what_the_mask_names_and_nothing_else(broker: Broker) -> None:
    change = subscription(ack_deadline_seconds=60, labels={"team": "loyalty"}, retry_policy={}, filter="ignored")
    updated = broker.update_subscription(change, ["ack_deadline_seconds", "labels", "retry_policy"])
    assert (updated.ack_deadline_seconds, dict(updated.labels), updated.filter) == (60, {"team": "loyalty"}, "")
    assert broker.active(SUBSCRIPTION).settings.ack_deadline == 60 * SECOND
    updated = broker.update_subscription(subscription(), ["retry_policy", "labels"])
    assert not updated.HasField("retry_policy")
    assert not updated.labels
    assert broker.active(SUBSCRIPTION).settings.retry is None
    assert broker.update_topic(topic(labels={"a": "b"}), ["labels"]).labels == {"a": "b"}


@pytest.mark.parametrize("paths", [[], ["nonsense"], ["topic"], ["filter"], ["enable_message_ordering"]])
def test_updates_that_are_refused(broker: Broker, paths: list[str]) -> None:
    with refusal(Code.INVALID_ARGUMENT):
        broker.update_subscription(subscription(), paths)


@pytest.mark.parametrize(
    "name",
    ["events", "projects/p/topics/ab", "projects/p/topics/1ab", "projects/p/topics/googly", "projects/p/topics/a b c"],
)
def test_names_that_are_refused(broker: Broker, name: str) -> None:
    with refusal(Code.INVALID_ARGUMENT):
        broker.create_topic(topic(name))
    with refusal(Code.INVALID_ARGUMENT):
        broker.topic(name)


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "No messages"),
        ([message("")], "empty"),
        ([message("x"), message("", key="k")], "empty"),
        ([message("x")] * 1001, "Too many"),
        ([message("x" * 10_000_000)], "10000000 per request"),
        ([message("x", key="é" * 513)], "ordering key has 1026 bytes"),
        ([message("x", **{"é" * 129: ""})], "attribute key has 258 bytes"),
        ([message("x", k="é" * 513)], "'k' has 1026 bytes"),
        ([message("x", googish="")], "start with goog"),
        ([message("x", **{"": "v"})], "may not be empty"),
        ([message("x", **{f"k{number}": "" for number in range(101)})], "101 attributes"),
    ],
)
def test_publishing_beyond_the_limits_is_refused(messages: list[Any], complaint: str) -> None:
    request = types.PublishRequest.pb()(topic=TOPIC, messages=messages)
    with pytest.raises(PubSubError, match=complaint):
        limits.check_publish(request.messages, request.ByteSize())


def test_publishing_within_the_limits_passes() -> None:
    most = {f"k{number}": "v" for number in range(99)} | {"é" * 128: "é" * 512}
    request = types.PublishRequest.pb()(messages=[message("", key="é" * 512, **most), *[message("x")] * 999])
    limits.check_publish(request.messages, request.ByteSize())


def test_a_seek_to_a_time_acknowledges_what_is_older_and_brings_back_what_was_retained(broker: Broker) -> None:
    broker.create_subscription(subscription(OTHER, retain_acked_messages=True))
    for age, data in enumerate(["new", "older", "oldest"]):
        broker.publish(TOPIC, [message(data)], NOW - age * SECOND)
    broker.acknowledge(OTHER, pull(broker, OTHER).values(), NOW)
    snapshots = Snapshots(broker)
    for name in (SUBSCRIPTION, OTHER):
        snapshots.seek_to_time(name, NOW - SECOND, NOW)
        assert sorted(pull(broker, name)) == ["new", "older"]


def test_a_topic_retains_messages_for_subscriptions_that_came_later(broker: Broker) -> None:
    broker.update_topic(topic(message_retention_duration=seconds(3600)), ["message_retention_duration"])
    broker.publish(TOPIC, [message("long ago", table="members")], NOW - 3601 * SECOND)
    broker.publish(TOPIC, [message("members", table="members"), message("tiers", table="tiers")], NOW)
    broker.create_subscription(subscription(OTHER, filter='attributes.table = "members"'))
    assert pull(broker, OTHER) == {}
    Snapshots(broker).seek_to_time(OTHER, 0, NOW)
    assert [*pull(broker, OTHER)] == ["members"]


def test_a_snapshot_keeps_the_backlog_and_all_that_follows(broker: Broker) -> None:
    snapshots = Snapshots(broker)
    broker.publish(TOPIC, [message("acked"), message("waiting"), message("leased")], NOW)
    ids = pull(broker)
    broker.acknowledge(SUBSCRIPTION, [ids["acked"]], NOW)
    broker.modify_deadline(SUBSCRIPTION, [ids["waiting"]], 0, NOW)
    snapshots.create(types.CreateSnapshotRequest.pb()(name=SNAPSHOT, subscription=SUBSCRIPTION), NOW)
    broker.publish(TOPIC, [message("after")], NOW)
    later = NOW + 20 * SECOND
    broker.acknowledge(SUBSCRIPTION, pull(broker, now=later).values(), later)
    broker.create_subscription(subscription(OTHER))
    for name in (SUBSCRIPTION, OTHER):
        snapshots.seek_to_snapshot(name, SNAPSHOT, later)
        assert [*pull(broker, name, later)] == ["waiting", "leased", "after"]


def test_snapshots_have_names_labels_and_an_end(broker: Broker) -> None:
    snapshots = Snapshots(broker)
    request = types.CreateSnapshotRequest.pb()(name=SNAPSHOT, subscription=SUBSCRIPTION, labels={"a": "b"})
    broker.publish(TOPIC, [message("old")], NOW - DAY)
    created = snapshots.create(request, NOW)
    assert created.topic == TOPIC
    assert created.expire_time.seconds * SECOND == NOW + 6 * DAY
    with refusal(Code.ALREADY_EXISTS):
        snapshots.create(request, NOW)
    assert snapshots.get(SNAPSHOT, NOW) == snapshots.all(NOW)[SNAPSHOT]
    change = types.UpdateSnapshotRequest.pb()(snapshot={"name": SNAPSHOT, "labels": {"c": "d"}})
    change.update_mask.paths.append("labels")
    assert snapshots.update(change, NOW).labels == {"c": "d"}
    broker.create_topic(topic(DEAD))
    broker.create_subscription(subscription(OTHER, topic=DEAD))
    with refusal(Code.INVALID_ARGUMENT):
        snapshots.seek_to_snapshot(OTHER, SNAPSHOT, NOW)
    broker.delete_topic(TOPIC)
    assert snapshots.get(SNAPSHOT, NOW).topic == "_deleted-topic_"
    with refusal(Code.NOT_FOUND):
        snapshots.get(SNAPSHOT, NOW + 6 * DAY)
    with refusal(Code.NOT_FOUND):
        snapshots.delete(SNAPSHOT, NOW + 6 * DAY)


def test_a_deleted_snapshot_collects_no_more(broker: Broker) -> None:
    snapshots = Snapshots(broker)
    snapshots.create(types.CreateSnapshotRequest.pb()(name=SNAPSHOT, subscription=SUBSCRIPTION), NOW)
    assert [*broker.topic(TOPIC).recorders] == [SNAPSHOT]
    snapshots.delete(SNAPSHOT, NOW)
    assert not broker.topic(TOPIC).recorders


def test_a_backlog_near_its_end_is_too_old_for_a_snapshot(broker: Broker) -> None:
    broker.publish(TOPIC, [message("old")], NOW - 7 * DAY + 3599 * SECOND)
    with refusal(Code.FAILED_PRECONDITION):
        Snapshots(broker).create(types.CreateSnapshotRequest.pb()(name=SNAPSHOT, subscription=SUBSCRIPTION), NOW)


@given(st.sets(st.text("abc", min_size=1, max_size=3)), st.integers(0, 4))
def test_pages_together_are_the_whole_list(names: set[str], size: int) -> None:
    seen: list[str] = []
    token = ""
    for _ in range(len(names) + 1):
        got, token = page(names, size, token)
        assert not size or len(got) <= size
        seen += got
        if not token:
            break
    assert seen == sorted(names)
