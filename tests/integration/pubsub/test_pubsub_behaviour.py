"""What our server does and Google's emulator does not, as the service documents it.

The emulator 0.8.20 knows neither filters, retry policies, server-side flow control, label updates nor detaching, and
delivers out of order after a message in the middle of a run was refused.
"""

import threading
import time
from collections import defaultdict
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeError, AcknowledgeStatus
from google.protobuf import field_mask_pb2, timestamp_pb2
from google.pubsub_v1 import types
from pubsub_clients import PATIENCE_S, Clients, eventually, texts

from devstack.pubsub import control
from devstack.pubsub.stats import SubscriptionStats, fetch


def test_a_stream_stays_within_its_flow_control(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    ours.publish(topic, map(str, range(5)))
    with ours.stream(subscription, max_outstanding_messages=2) as stream:
        first = stream.receive(2)
        rest = ours.pull(subscription, 3)
        assert {*texts(first), *texts(rest)} == {*map(str, range(5))}
        ours.modify_deadline(subscription, rest, 0)
        stream.send(ack_ids=[first[0].ack_id])
        (third,) = stream.receive(1)
        stream.send(ack_ids=[first[1].ack_id, third.ack_id])
        stream.receive(2)


def test_a_retry_policy_makes_refused_messages_rest(ours: Clients) -> None:
    topic = ours.topic()
    policy = {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 1}}
    subscription = ours.subscription(topic, retry_policy=policy)
    ours.publish(topic, ["tired"])
    refused_at = time.monotonic()
    ours.modify_deadline(subscription, ours.pull(subscription, 1), 0)
    assert ours.pull_now(subscription) == []
    ours.pull(subscription, 1)
    assert time.monotonic() - refused_at >= 0.9


def test_a_detached_subscription_is_no_longer_pulled(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    ours.publisher.detach_subscription(request={"subscription": subscription})
    assert ours.subscriber.get_subscription(subscription=subscription).detached
    with pytest.raises(exceptions.FailedPrecondition):
        ours.pull_now(subscription)


def test_a_refused_message_takes_its_followers_along(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, enable_message_ordering=True)
    ours.publish(topic, ["a1", "a2", "a3"], key="a")
    run = ours.pull(subscription, 3)
    assert texts(run) == ["a1", "a2", "a3"]
    ours.acknowledge(subscription, run[:1])
    ours.modify_deadline(subscription, run[1:2], 0)
    assert texts(ours.pull(subscription, 2)) == ["a2", "a3"]


def test_keys_arrive_in_order_through_a_callback_even_when_one_is_refused(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, enable_message_ordering=True)
    got: defaultdict[str, list[int]] = defaultdict(list)
    refused = threading.Event()

    def callback(message: Any) -> None:
        number = int(message.data)
        got[message.ordering_key].append(number)
        if message.ordering_key == "a" and number == 5 and not refused.is_set():
            refused.set()
            message.nack()
        else:
            message.ack()

    for key in ("a", "b"):
        ours.publish(topic, map(str, range(20)), key=key)
    future = ours.subscriber.subscribe(subscription, callback=callback)
    try:
        eventually(lambda: got["a"][-1:] == got["b"][-1:] == [19] and got["a"].count(5) > 1)
    finally:
        future.cancel()
        future.result(timeout=PATIENCE_S)
    assert got["b"] == [*range(20)]
    turn = len(got["a"]) - 15
    assert got["a"][turn:] == [*range(5, 20)], "from the refused one on, everything once more and in order"
    assert got["a"][:turn] == [*range(turn)]


def test_a_filter_lets_through_what_it_matches(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, filter='attributes.table = "members" AND NOT attributes:test')
    ours.publish(topic, ["no"], table="tiers")
    ours.publish(topic, ["no"], table="members", test="yes")
    ours.publish(topic, ["yes"], table="members")
    assert texts(ours.pull_now(subscription)) == ["yes"]
    with pytest.raises(exceptions.InvalidArgument, match="filter"):
        ours.subscription(topic, "other", filter="rubbish")


def test_a_client_learns_which_acknowledgement_came_too_late(fast: Clients) -> None:
    topic = fast.topic()
    subscription = fast.subscription(topic, enable_exactly_once_delivery=True)
    outcomes: list[Any] = []
    held = threading.Event()

    def callback(message: Any) -> None:
        if not outcomes:
            outcomes.append(None)
            held.wait(PATIENCE_S)
            outcomes.append(message.ack_with_response())
        else:
            message.ack()

    future = fast.subscriber.subscribe(subscription, callback=callback)
    try:
        fast.publish(topic, ["slow"])
        eventually(lambda: outcomes)
        control.advance(fast.address, 700)
        held.set()
        late = eventually(lambda: len(outcomes) > 1 and outcomes[1])
        with pytest.raises(AcknowledgeError) as failure:
            late.result(timeout=PATIENCE_S)
        assert failure.value.error_code is AcknowledgeStatus.INVALID_ACK_ID
    finally:
        future.cancel()
        future.result(timeout=PATIENCE_S)


def test_a_stream_confirms_with_exactly_once(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, enable_exactly_once_delivery=True, enable_message_ordering=True)
    ours.publish(topic, ["a1", "a2"], key="a")
    with ours.stream(subscription) as stream:
        first, second = (one.ack_id for one in stream.receive(2))
        stream.send(ack_ids=[second, "1-1"])
        response = stream.response()
        assert response.subscription_properties.exactly_once_delivery_enabled
        assert response.subscription_properties.message_ordering_enabled
        confirmation = response.acknowledge_confirmation
        assert confirmation.unordered_ack_ids == [second]
        assert confirmation.invalid_ack_ids == ["1-1"]
        stream.send(modify_deadline_ack_ids=[first, "1-1"], modify_deadline_seconds=[30, 30])
        confirmation = stream.response().modify_ack_deadline_confirmation
        assert confirmation.ack_ids == [first]
        assert confirmation.invalid_ack_ids == ["1-1"]
        stream.send(ack_ids=[first, second])
        assert stream.response().acknowledge_confirmation.ack_ids == [first, second]
    assert fetch(ours.address)[subscription].acked == 2


def test_a_stale_acknowledgement_names_the_id_and_the_reason(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, enable_exactly_once_delivery=True)
    ours.publish(topic, map(str, range(500)))
    stale = ours.pull(subscription, 500)
    ours.modify_deadline(subscription, stale, 0)
    with pytest.raises(exceptions.InvalidArgument) as refusal:
        ours.acknowledge(subscription, stale)
    (info,) = refusal.value.details
    assert info.reason == "EXACTLY_ONCE_ACKID_FAILURE"
    assert info.domain == "pubsub.googleapis.com"
    assert {*info.metadata.values()} == {"PERMANENT_FAILURE_INVALID_ACK_ID"}
    assert {*info.metadata} <= {one.ack_id for one in stale}


def test_streams_with_one_client_id_share_their_keys_and_others_wait(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, enable_message_ordering=True)
    ours.publish(topic, ["a1", "a2"], key="a")
    with ours.stream(subscription, client_id="one", max_outstanding_messages=1) as full:
        (a1,) = full.receive(1)
        with (
            ours.stream(subscription, client_id="two") as stranger,
            ours.stream(subscription, client_id="one") as sibling,
        ):
            assert not stranger.response().received_messages
            assert texts(sibling.receive(1)) == ["a2"]
            full.send(ack_ids=[a1.ack_id])
            eventually(lambda: fetch(ours.address)[subscription].acked == 1)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ({"stream_ack_deadline_seconds": 9}, {}),
        ({"stream_ack_deadline_seconds": 601}, {}),
        ({"modify_deadline_ack_ids": ["1-1"]}, {}),
        ({}, {"client_id": "late"}),
        ({}, {"modify_deadline_ack_ids": ["1-1"], "modify_deadline_seconds": [601]}),
    ],
)
def test_streams_that_break_the_rules_are_ended(ours: Clients, first: dict[str, Any], later: dict[str, Any]) -> None:
    with ours.stream(ours.subscription(ours.topic()), **first) as stream:
        if later:
            stream.send(**later)
        with pytest.raises(grpc.RpcError) as end:
            stream.drain()
    assert end.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_ends_with_its_subscription(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    with ours.stream(subscription) as stream:
        stream.response()
        ours.subscriber.delete_subscription(subscription=subscription)
        with pytest.raises(grpc.RpcError) as end:
            stream.response()
    assert end.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_stream_ends_when_its_client_is_done(ours: Clients) -> None:
    with ours.stream(ours.subscription(ours.topic())) as stream:
        stream.response()
        stream.half_close()
        with pytest.raises(StopIteration):
            stream.response()


def test_a_waiting_pull_is_answered_when_something_comes(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    threading.Timer(0.2, ours.publish, (topic, ["late"])).start()
    assert texts(ours.subscriber.pull(subscription=subscription, max_messages=5).received_messages) == ["late"]


def test_a_waiting_pull_gives_up_before_its_deadline(ours: Clients) -> None:
    subscription = ours.subscription(ours.topic())
    answer = ours.subscriber.pull(subscription=subscription, max_messages=5, timeout=2, retry=None)
    assert not answer.received_messages


def test_leases_run_out_as_the_clock_advances(fast: Clients) -> None:
    topic = fast.topic()
    subscription = fast.subscription(topic)
    fast.publish(topic, ["x"])
    fast.modify_deadline(subscription, fast.pull(subscription, 1), 600)
    control.advance(fast.address, 300)
    assert fast.pull_now(subscription) == []
    control.advance(fast.address, 300)
    assert texts(fast.pull_now(subscription)) == ["x"]
    with pytest.raises(grpc.RpcError) as refusal:
        control.advance(fast.address, -1)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_counts_are_told(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, filter="attributes:wanted")
    ours.publish(topic, ["1", "2", "3"], wanted="yes")
    ours.publish(topic, ["4"])
    ours.acknowledge(subscription, ours.pull(subscription, 2)[:1])
    told = fetch(ours.address)[subscription]
    assert told.backlog_bytes > 0
    assert told == SubscriptionStats(
        published=3, filtered=1, delivered=2, acked=1, outstanding=1, backlog=2, backlog_bytes=told.backlog_bytes
    )


def test_labels_and_topics_can_be_updated(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    labels = {"team": "loyalty"}
    ours.subscriber.update_subscription(
        subscription=types.Subscription(name=subscription, labels=labels), update_mask=mask
    )
    ours.publisher.update_topic(topic=types.Topic(name=topic, labels=labels), update_mask=mask)
    assert dict(ours.subscriber.get_subscription(subscription=subscription).labels) == labels
    assert dict(ours.publisher.get_topic(topic=topic).labels) == labels


def test_snapshots_are_described_and_updated(ours: Clients) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    name = ours.snapshot_path("point")
    ours.subscriber.create_snapshot(name=name, subscription=subscription)
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    ours.subscriber.update_snapshot(snapshot=types.Snapshot(name=name, labels={"a": "b"}), update_mask=mask)
    described = ours.subscriber.get_snapshot(snapshot=name)
    assert described.topic == topic
    assert dict(described.labels) == {"a": "b"}
    assert [*ours.publisher.list_topic_snapshots(topic=topic)] == [name]


def test_a_seek_to_a_moment_splits_the_backlog_there(fast: Clients) -> None:
    topic = fast.topic()
    subscription = fast.subscription(topic)
    fast.publish(topic, ["old"])
    control.advance(fast.address, 60)
    fast.publish(topic, ["new"])
    (new,) = (one for one in fast.pull(subscription, 2) if one.message.data == b"new")
    moment = timestamp_pb2.Timestamp()
    moment.FromDatetime(new.message.publish_time)
    fast.subscriber.seek(request={"subscription": subscription, "time": moment})
    assert texts(fast.pull_now(subscription)) == ["new"]
    with pytest.raises(exceptions.InvalidArgument, match="target"):
        fast.subscriber.seek(request={"subscription": subscription})


def test_push_beyond_loopback_is_refused_with_the_reason(ours: Clients) -> None:
    subscription = ours.subscription(ours.topic())
    elsewhere = {"push_endpoint": "https://example.com/push"}
    with pytest.raises(exceptions.MethodNotImplemented, match="loopback"):
        ours.subscriber.modify_push_config(subscription=subscription, push_config=elsewhere)
    with pytest.raises(exceptions.InvalidArgument, match="http"):
        ours.subscriber.modify_push_config(subscription=subscription, push_config={"push_endpoint": "ftp://127.0.0.1"})


def test_an_acknowledgement_of_nothing_is_refused(ours: Clients) -> None:
    subscription = ours.subscription(ours.topic())
    with pytest.raises(exceptions.InvalidArgument, match="ack ids"):
        ours.subscriber.acknowledge(subscription=subscription, ack_ids=[])


def test_ten_megabytes_pass_and_more_do_not(ours: Clients) -> None:
    topic = ours.topic()
    ours.subscription(topic)
    publish = ours.channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
    request = types.PublishRequest.pb()
    publish(request(topic=topic, messages=[{"data": b"x" * 9_999_000}]).SerializeToString())
    with pytest.raises(grpc.RpcError) as refusal:
        publish(request(topic=topic, messages=[{"data": b"x" * 10_000_000}]).SerializeToString())
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
