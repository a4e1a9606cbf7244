"""Publishing through the real protocol: everything once, in order, or a plain error."""

from collections.abc import Iterator

import pytest
from google.cloud import pubsub_v1
from world_stories import Told, live_through

from core.clients import publisher_client, subscriber_client
from core.contracts import Contracts
from core.errors import UnavailableError
from core.settings import Settings
from devstack.pubsub.process import running_server
from devstack.world import Message, World
from devstack.world.publish import publish


@pytest.fixture(scope="module")
def pubsub() -> Iterator[Settings]:
    with running_server() as address:
        yield Settings(pubsub_emulator_host=address, project="publish-tests")


@pytest.fixture(scope="module")
def story(contracts: Contracts) -> Told:
    return live_through(World(21, 80, contracts), rounds=1, events=900)


def _subscribe(settings: Settings, topics: set[str]) -> None:
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    for topic in sorted(topics):
        path = f"projects/{settings.project}/topics/{topic}"
        publisher.create_topic(name=path)
        name = f"projects/{settings.project}/subscriptions/{topic}-pull"
        subscriber.create_subscription(request={"name": name, "topic": path, "enable_message_ordering": True})
    publisher.transport.close()
    subscriber.close()


def _pull(subscriber: pubsub_v1.SubscriberClient, name: str, count: int) -> list[pubsub_v1.types.PubsubMessage]:
    pulled: list[pubsub_v1.types.PubsubMessage] = []
    while len(pulled) < count:
        answer = subscriber.pull(subscription=name, max_messages=1_000)
        pulled += [received.message for received in answer.received_messages]
        subscriber.acknowledge(subscription=name, ack_ids=[received.ack_id for received in answer.received_messages])
    return pulled


def test_everything_arrives_once_in_the_order_of_each_key(pubsub: Settings, story: Told) -> None:
    topics = {message.topic for message in story.messages}
    _subscribe(pubsub, topics)
    progress: list[int] = []
    assert publish(story.messages, pubsub, progress.append) == len(story.messages)
    assert progress == sorted(progress)
    assert progress[-1] == len(story.messages)
    with subscriber_client(pubsub) as subscriber:
        for topic in sorted(topics):
            sent = [message for message in story.messages if message.topic == topic]
            pulled = _pull(subscriber, f"projects/{pubsub.project}/subscriptions/{topic}-pull", len(sent))
            assert len(pulled) == len(sent)
            assert len({message.message_id for message in pulled}) == len(sent)
            arrived: dict[str, list[tuple[bytes, dict[str, str]]]] = {}
            for message in pulled:
                arrived.setdefault(message.ordering_key, []).append((message.data, dict(message.attributes)))
            expected: dict[str, list[tuple[bytes, dict[str, str]]]] = {}
            for original in sent:
                expected.setdefault(original.ordering_key, []).append((original.data, dict(original.attributes)))
            keyed = {key for key in expected if key}
            assert {key: arrived[key] for key in keyed} == {key: expected[key] for key in keyed}


def test_full_batches_are_split_by_count_and_by_bytes(pubsub: Settings, story: Told) -> None:
    at = story.world.now
    many = [Message("many", b"x", "", at, "event") for _ in range(2_300)]
    heavy = [Message("heavy", b"x" * 2_000_000, "", at, "event") for _ in range(6)]
    _subscribe(pubsub, {"many", "heavy"})
    progress: list[int] = []
    assert publish([*many, *heavy], pubsub, progress.append) == 2_306
    steps = [after - before for before, after in zip([0, *progress], progress, strict=False)]
    assert max(steps) <= 1_000
    assert steps.count(2) >= 2


def test_a_topic_that_is_not_there_is_a_plain_error(pubsub: Settings, story: Told) -> None:
    message = Message("nowhere", b"x", "", story.world.now, "event")
    with pytest.raises(UnavailableError, match="publishing 1 messages to nowhere failed"):
        publish([message], pubsub)
