"""What any Pub/Sub must do, seen through the stock clients; run on every server there is."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.protobuf import field_mask_pb2, timestamp_pb2
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from pubsub_clients import PATIENCE_S, Clients, eventually, texts


def test_a_message_arrives_as_it_was_published(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    before = time.time()
    (id_,) = anywhere.publish(topic, ["hello"], table="members", op="c")
    (received,) = anywhere.pull(subscription, 1)
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"table": "members", "op": "c"}
    assert received.message.message_id == id_
    assert before - 1 <= received.message.publish_time.timestamp() <= time.time() + 1
    assert received.delivery_attempt == 0


def test_every_subscription_gets_every_message_once(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscriptions = [anywhere.subscription(topic, name) for name in ("one", "two")]
    ids = anywhere.publish(topic, map(str, range(50)))
    assert len({*ids}) == 50
    for subscription in subscriptions:
        received = anywhere.pull(subscription, 50)
        assert {one.message.message_id for one in received} == {*ids}
        anywhere.acknowledge(subscription, received)
        assert anywhere.pull_now(subscription) == []


def test_a_refused_message_comes_back_under_a_new_id(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    anywhere.publish(topic, ["again"])
    first = anywhere.pull(subscription, 1)
    assert anywhere.pull_now(subscription) == []
    anywhere.modify_deadline(subscription, first, 0)
    second = anywhere.pull(subscription, 1)
    assert second[0].message == first[0].message
    assert second[0].ack_id != first[0].ack_id


def test_only_what_outlives_its_lease_comes_back(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    anywhere.publish(topic, ["short", "long", "acked"])
    received = {one.message.data: one for one in anywhere.pull(subscription, 3)}
    anywhere.modify_deadline(subscription, [received[b"short"], received[b"acked"]], 1)
    anywhere.modify_deadline(subscription, [received[b"long"]], 60)
    anywhere.acknowledge(subscription, [received[b"acked"]])
    assert texts(anywhere.pull(subscription, 1)) == ["short"]
    assert anywhere.pull_now(subscription) == []


def test_a_callback_gets_everything_once(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    got: Counter[str] = Counter()

    def callback(message: Any) -> None:
        got[message.data.decode()] += 1
        message.ack()

    future = anywhere.subscriber.subscribe(subscription, callback=callback)
    try:
        anywhere.publish(topic, map(str, range(300)))
        eventually(lambda: len(got) == 300)
    finally:
        future.cancel()
        future.result(timeout=PATIENCE_S)
    assert got == dict.fromkeys(map(str, range(300)), 1)
    assert anywhere.pull_now(subscription) == []


def test_keys_arrive_in_order_through_a_callback(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, enable_message_ordering=True)
    got: defaultdict[str, list[int]] = defaultdict(list)

    def callback(message: Any) -> None:
        got[message.ordering_key].append(int(message.data))
        message.ack()

    for key in ("a", "b"):
        anywhere.publish(topic, map(str, range(20)), key=key)
    future = anywhere.subscriber.subscribe(subscription, callback=callback)
    try:
        eventually(lambda: len(got["a"]) == len(got["b"]) == 20)
    finally:
        future.cancel()
        future.result(timeout=PATIENCE_S)
    assert got == {"a": [*range(20)], "b": [*range(20)]}


def test_a_refused_run_comes_back_in_order(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, enable_message_ordering=True)
    anywhere.publish(topic, ["a1", "a2", "a3"], key="a")
    run = anywhere.pull(subscription, 3)
    assert texts(run) == ["a1", "a2", "a3"]
    anywhere.acknowledge(subscription, run[:1])
    anywhere.modify_deadline(subscription, run[1:], 0)
    assert texts(anywhere.pull(subscription, 2)) == ["a2", "a3"]


def test_pulled_keys_arrive_in_order(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, enable_message_ordering=True)
    anywhere.publish(topic, ["a1", "a2", "a3"], key="a")
    got: list[str] = []
    while len(got) < 3:
        received = anywhere.pull(subscription, 1)
        got += texts(received)
        anywhere.acknowledge(subscription, received)
    assert got == ["a1", "a2", "a3"]


def test_deadlines_and_acknowledgements_travel_on_the_stream(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    anywhere.publish(topic, ["refused", "acked"])
    with anywhere.stream(subscription) as stream:
        received = {one.message.data: one.ack_id for one in stream.receive(2)}
        stream.send(
            ack_ids=[received[b"acked"]],
            modify_deadline_ack_ids=[received[b"refused"]],
            modify_deadline_seconds=[0],
        )
        assert texts(stream.receive(1)) == ["refused"]


def test_a_message_refused_too_often_is_forwarded(anywhere: Clients) -> None:
    topic, dead = anywhere.topic(), anywhere.topic("dead")
    graveyard = anywhere.subscription(dead, "graveyard")
    subscription = anywhere.subscription(
        topic, dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5}
    )
    anywhere.publish(topic, ["poison"], table="members")
    for attempt in range(1, 6):
        received = anywhere.pull(subscription, 1)
        assert received[0].delivery_attempt == attempt
        anywhere.modify_deadline(subscription, received, 0)
    assert anywhere.pull_now(subscription) == []
    (forwarded,) = anywhere.pull(graveyard, 1)
    assert forwarded.message.data == b"poison"
    attributes = dict(forwarded.message.attributes)
    assert attributes["table"] == "members"
    assert attributes["CloudPubSubDeadLetterSourceSubscription"] == "reader"
    assert attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] == anywhere.project
    assert attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert "CloudPubSubDeadLetterSourceTopicPublishTime" in attributes


def test_exactly_once_confirms_acknowledgements(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, enable_exactly_once_delivery=True)
    outcomes: list[Any] = []
    future = anywhere.subscriber.subscribe(
        subscription, callback=lambda message: outcomes.append(message.ack_with_response())
    )
    try:
        anywhere.publish(topic, map(str, range(20)))
        eventually(lambda: len(outcomes) == 20)
        assert {outcome.result(timeout=PATIENCE_S).name for outcome in outcomes} == {"SUCCESS"}
    finally:
        future.cancel()
        future.result(timeout=PATIENCE_S)


def test_exactly_once_refuses_a_stale_acknowledgement(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, enable_exactly_once_delivery=True)
    anywhere.publish(topic, ["x"])
    stale = anywhere.pull(subscription, 1)
    anywhere.modify_deadline(subscription, stale, 0)
    anywhere.pull(subscription, 1)
    with pytest.raises(exceptions.InvalidArgument):
        anywhere.acknowledge(subscription, stale)


def test_seeking_into_the_future_empties_the_backlog(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    anywhere.publish(topic, ["forgotten"])
    moment = timestamp_pb2.Timestamp(seconds=int(time.time()) + 60)
    anywhere.subscriber.seek(request={"subscription": subscription, "time": moment})
    assert anywhere.pull_now(subscription) == []


def test_seeking_back_replays_what_was_retained(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic, retain_acked_messages=True)
    anywhere.publish(topic, ["one", "two"])
    anywhere.acknowledge(subscription, anywhere.pull(subscription, 2))
    moment = timestamp_pb2.Timestamp(seconds=int(time.time()) - 60)
    anywhere.subscriber.seek(request={"subscription": subscription, "time": moment})
    assert sorted(texts(anywhere.pull(subscription, 2))) == ["one", "two"]


def test_a_snapshot_brings_the_backlog_back(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    anywhere.publish(topic, ["before"])
    snapshot = anywhere.snapshot_path("point")
    anywhere.subscriber.create_snapshot(name=snapshot, subscription=subscription)
    anywhere.publish(topic, ["after"])
    anywhere.acknowledge(subscription, anywhere.pull(subscription, 2))
    anywhere.subscriber.seek(request={"subscription": subscription, "snapshot": snapshot})
    assert sorted(texts(anywhere.pull(subscription, 2))) == ["after", "before"]
    assert [one.name for one in anywhere.subscriber.list_snapshots(project=f"projects/{anywhere.project}")] == [
        snapshot
    ]
    anywhere.subscriber.delete_snapshot(snapshot=snapshot)
    with pytest.raises(exceptions.NotFound):
        anywhere.subscriber.seek(request={"subscription": subscription, "snapshot": snapshot})


def test_resources_are_listed_page_by_page_and_deleted(anywhere: Clients) -> None:
    topics = [anywhere.topic(f"events-{number}", labels={"n": str(number)}) for number in range(5)]
    subscriptions = [anywhere.subscription(topics[0], f"reader-{number}") for number in range(5)]
    project = f"projects/{anywhere.project}"
    publisher, subscriber = anywhere.publisher, anywhere.subscriber
    listed = [*publisher.list_topics(request={"project": project, "page_size": 2})]
    assert sorted(one.name for one in listed) == topics
    assert {dict(one.labels)["n"] for one in listed} == {*"01234"}
    listed = [*subscriber.list_subscriptions(request={"project": project, "page_size": 2})]
    assert sorted(one.name for one in listed) == subscriptions
    attached = publisher.list_topic_subscriptions(request={"topic": topics[0], "page_size": 2})
    assert sorted(attached) == subscriptions
    subscriber.delete_subscription(subscription=subscriptions[0])
    publisher.delete_topic(topic=topics[0])
    assert subscriber.get_subscription(subscription=subscriptions[1]).topic == "_deleted-topic_"
    for lookup in (
        lambda: subscriber.get_subscription(subscription=subscriptions[0]),
        lambda: publisher.get_topic(topic=topics[0]),
    ):
        with pytest.raises(exceptions.NotFound):
            lookup()


def test_a_subscription_can_be_updated(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    change = types.Subscription(name=subscription, topic=topic, ack_deadline_seconds=42, retain_acked_messages=True)
    mask = field_mask_pb2.FieldMask(paths=["ack_deadline_seconds"])
    anywhere.subscriber.update_subscription(subscription=change, update_mask=mask)
    updated = anywhere.subscriber.get_subscription(subscription=subscription)
    assert updated.ack_deadline_seconds == 42
    assert not updated.retain_acked_messages


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda on: on.topic("ab"), exceptions.InvalidArgument),
        (lambda on: on.topic("googly"), exceptions.InvalidArgument),
        (lambda on: on.topic("events"), exceptions.AlreadyExists),
        (lambda on: on.subscription(f"projects/{on.project}/topics/events", "taken"), exceptions.AlreadyExists),
        (lambda on: on.subscription(f"projects/{on.project}/topics/none", "new"), exceptions.NotFound),
        (lambda on: on.pull_now(f"projects/{on.project}/subscriptions/none"), exceptions.NotFound),
        (lambda on: on.publish(f"projects/{on.project}/topics/none", ["x"]), exceptions.NotFound),
        (lambda on: on.publish(f"projects/{on.project}/topics/events", [""]), exceptions.InvalidArgument),
        (lambda on: on.publish(f"projects/{on.project}/topics/events", [""], key="k"), exceptions.InvalidArgument),
        (
            lambda on: on.subscriber.acknowledge(
                subscription=f"projects/{on.project}/subscriptions/taken", ack_ids=["nonsense"]
            ),
            exceptions.InvalidArgument,
        ),
        (
            lambda on: on.subscriber.pull(
                subscription=f"projects/{on.project}/subscriptions/taken", max_messages=0, timeout=5
            ),
            exceptions.InvalidArgument,
        ),
        (
            lambda on: on.subscription(f"projects/{on.project}/topics/events", "new", ack_deadline_seconds=601),
            exceptions.InvalidArgument,
        ),
    ],
)
def test_mistakes_are_told(anywhere: Clients, mistake: Callable[[Clients], object], error: type[Exception]) -> None:
    anywhere.subscription(anywhere.topic("events"), "taken")
    with pytest.raises(error):
        mistake(anywhere)


async def test_the_asynchronous_clients_work_too(anywhere: Clients) -> None:
    topic = anywhere.topic()
    subscription = anywhere.subscription(topic)
    async with grpc.aio.insecure_channel(anywhere.address) as channel:
        publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        published = await publisher.publish(topic=topic, messages=[{"data": b"x"}] * 3)
        pulled = await subscriber.pull(subscription=subscription, max_messages=10)
        assert {one.message.message_id for one in pulled.received_messages} == {*published.message_ids}

        async def requests() -> Any:
            yield types.StreamingPullRequest(subscription=subscription, stream_ack_deadline_seconds=10)
            await asyncio.Event().wait()

        stream = await subscriber.streaming_pull(requests=requests())
        await publisher.publish(topic=topic, messages=[{"data": b"streamed"}])
        async for response in stream:
            if response.received_messages:
                assert texts(response.received_messages) == ["streamed"]
                break
        stream.cancel()
