"""The Kafka transport against a cluster that speaks the real protocol: order, answers, rebalances and faults."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError
from kafka_cluster import FETCH, JOIN_GROUP, OFFSET_COMMIT, KafkaCluster, running_cluster

from core.clock import to_micros, utc_now
from core.errors import ConfigurationError, UnavailableError
from ingest.context import RunContext
from ingest.failpoints import Failpoint
from ingest.flow import FlowControl
from ingest.kafka.cluster import check_topics
from ingest.kafka.records import KEY_ENCODING
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.transport import KafkaTransport, open_kafka
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings

TOPIC = "loyalty.member.members"
PATIENT_S = 30


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with running_cluster() as running:
        yield running


@dataclass
class Member:
    """A member of the group whose messages the test answers by hand, or by `answer` as they come."""

    transport: KafkaTransport
    context: RunContext
    flow: FlowControl
    answer: Callable[["Member", Message], None] | None
    messages: list[Message] = field(default_factory=list)
    failure: BaseException | None = None

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.flow.take(1, message.size)
            self.messages.append(message)
            if self.answer is not None:
                self.answer(self, message)

    def ack(self, *messages: Message) -> None:
        for message in messages:
            self.flow.give_back(1, message.size)
        self.transport.ack([message.ack_id for message in messages])

    def nack(self, *messages: Message) -> None:
        for message in messages:
            self.flow.give_back(1, message.size)
        self.transport.nack([message.ack_id for message in messages])

    @property
    def ids(self) -> list[str]:
        return [message.event_id for message in self.messages]


def ack_at_once(member: Member, message: Message) -> None:
    member.ack(message)


@asynccontextmanager
async def joined(
    kafka: KafkaSettings,
    answer: Callable[[Member, Message], None] | None = None,
    topics: Sequence[str] = (TOPIC,),
    **tunables: object,
) -> AsyncIterator[Member]:
    """A member that consumes until the context ends; then it leaves the group."""
    settings = IngestSettings.model_validate({"retry_first_wait_s": 0.01, "retry_longest_wait_s": 0.05, **tunables})
    context = RunContext(settings, Progress("load"), fail=lambda _: None, failpoint=Failpoint())
    flow = FlowControl(settings.outstanding_messages, settings.outstanding_bytes)
    members: list[Member] = []

    def deliver(messages: Sequence[Message]) -> None:
        members[0].deliver(messages)

    async with open_kafka(kafka, context, flow, dict.fromkeys(topics, deliver)) as transport:
        member = Member(transport, context, flow, answer)
        members.append(member)
        pulling = asyncio.create_task(transport.pull_forever())
        try:
            yield member
        finally:
            pulling.cancel()
            await asyncio.wait({pulling})
            if not pulling.cancelled():
                member.failure = pulling.exception()
            await transport.drain()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not reached():  # noqa: ASYNC110 - what is waited for happens in threads and sockets
            await asyncio.sleep(0.01)


def numbered(count: int, start: int = 0) -> list[dict[str, bytes]]:
    return [{"key": b"%d" % number, "value": b"%d" % number} for number in range(start, start + count)]


async def test_a_record_becomes_a_message(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    records = [
        {"key": '{"member_id": 1}', "value": b"\x00\xffbody", "timestamp": 1_767_323_045_678},
        {"key": '{"member_id": 1}', "value": None, "headers": [("a", b"1"), ("b", None), ("a", b"2"), ("c", b"\xff")]},
        {"key": b"\xff\x00", "value": b"avro"},
        {"key": None, "value": b"keyless"},
        # A count of nanoseconds, as some producers write it, and the last millisecond that is one.
        {"key": None, "value": b"nanoseconds", "timestamp": 1_767_323_045_678_901_234},
        {"key": None, "value": b"last", "timestamp": 253_402_300_799_999},
    ]
    cluster.produce(TOPIC, records)
    async with joined(cluster.settings(), ack_at_once) as member:
        await until(lambda: len(member.messages) == len(records))
        first, tombstone, binary, keyless, nanoseconds, last = member.messages
    assert (first.topic, first.subscription, first.data) == (TOPIC, "kafka:millrace-ingest", b"\x00\xffbody")
    assert (first.ordering_key, first.attributes) == ('{"member_id": 1}', {})
    assert first.publish_ts == 1_767_323_045_678_000
    assert [message.event_id for message in member.messages] == [f"{TOPIC}-0-{offset}" for offset in range(6)]
    assert (tombstone.data, tombstone.ordering_key) == (b"", '{"member_id": 1}')
    assert tombstone.attributes == {"a": "2", "b": "", "c": "\\xff"}
    assert (binary.ordering_key, binary.attributes) == ("/wA=", {KEY_ENCODING: "base64"})
    assert keyless.ordering_key == ""
    assert abs(nanoseconds.publish_ts - to_micros(utc_now())) < PATIENT_S * 1_000_000
    assert last.publish_ts == 253_402_300_799_999_000
    assert all(message.delivery_attempt == 1 for message in member.messages)
    assert cluster.committed(TOPIC) == [len(records)]


async def test_only_what_is_settled_without_a_gap_is_committed(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    cluster.produce(TOPIC, numbered(10))
    async with joined(cluster.settings()) as member:
        await until(lambda: len(member.messages) == 10)
        assert member.transport.is_connected
        member.ack(*member.messages[5:])
        member.ack(member.messages[0])
        await until(lambda: member.context.progress.acked == 1)
        assert await asyncio.to_thread(cluster.committed, TOPIC) == [1]
        member.ack(*member.messages[1:5])
        await until(lambda: member.context.progress.acked == 10)
        assert await asyncio.to_thread(cluster.committed, TOPIC) == [10]
        await member.transport.drain()


async def test_who_comes_after_gets_what_was_not_settled(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    cluster.produce(TOPIC, numbered(10))
    async with joined(cluster.settings()) as member:
        await until(lambda: len(member.messages) == 10)
        member.ack(*member.messages[:3], *member.messages[4:])
    async with joined(cluster.settings(), ack_at_once) as heir:
        await until(lambda: heir.transport.is_connected and heir.transport.is_idle and len(heir.messages) == 7)
    assert heir.ids == [f"{TOPIC}-0-{offset}" for offset in range(3, 10)]


async def test_what_is_given_back_comes_again_alone_and_holds_nobody_up(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    cluster.produce(TOPIC, numbered(50))
    bad = f"{TOPIC}-0-7"

    def answer(member: Member, message: Message) -> None:
        refused = message.event_id == bad and message.delivery_attempt <= 3
        (member.nack if refused else member.ack)(message)

    async with joined(cluster.settings(), answer) as member:
        await until(lambda: len(member.messages) >= 50 and member.transport.is_idle)
        cluster.produce(TOPIC, numbered(10, 50))
        await until(lambda: len(member.messages) >= 63 and member.transport.is_idle)
        attempts = [message.delivery_attempt for message in member.messages if message.event_id == bad]
        assert member.context.progress.nacked == 3
    assert attempts == [1, 2, 3, 4]
    assert Counter(member.ids) == Counter({f"{TOPIC}-0-{offset}": 4 if offset == 7 else 1 for offset in range(60)})
    assert cluster.committed(TOPIC) == [60]


async def test_partitions_pause_while_there_is_no_room(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC, partitions=2)
    cluster.produce(TOPIC, [{**record, "partition": place % 2} for place, record in enumerate(numbered(60))])
    held: list[Message] = []
    async with joined(cluster.settings(), lambda _, message: held.append(message), outstanding_messages=8) as member:
        while member.context.progress.acked < 60:
            await until(lambda: bool(held) or member.context.progress.acked == 60)
            batch, held[:] = list(held), []
            member.ack(*batch)
        await until(lambda: member.transport.is_idle)
    assert member.flow.peak_messages <= 8
    assert len(set(member.ids)) == len(member.ids) == 60


async def test_a_rebalance_moves_partitions_without_loss(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC, partitions=4)
    cluster.produce(TOPIC, [{**record, "partition": place % 4} for place, record in enumerate(numbered(200))])
    # Nobody leaves without a word here, and on a busy machine a heartbeat may be seconds late. The mock elects the
    # first name as the leader, and who asks after it for its share is sent back to join: that must not be the second,
    # as the first would then be put out for not joining again while it hands over.
    kafka = cluster.settings(session_timeout_ms=6_000, revoke_wait_s=30)
    async with joined(kafka.model_copy(update={"group_instance_id": "b"})) as first:
        await until(lambda: len(first.messages) == 200)
        async with joined(kafka.model_copy(update={"group_instance_id": "a"}), ack_at_once) as second:
            await until(lambda: second.transport.is_connected)
            # The first must have landed what it holds of a partition before the second can have it.
            assert second.messages == []
            first.answer = ack_at_once
            first.ack(*first.messages)
            records = iter(numbered(10_000, 200))
            sent = 200
            async with asyncio.timeout(PATIENT_S):
                while not second.messages or sent % 4:
                    cluster.produce(TOPIC, [{**next(records), "partition": sent % 4}])
                    sent += 1
                    await until(lambda sent=sent: len({*first.ids, *second.ids}) == sent)
            await until(lambda: first.transport.is_idle and second.transport.is_idle)
    assert len(first.ids) + len(second.ids) == sent, "what was drained before the hand-over did not come again"
    assert cluster.committed(TOPIC, 4) == [sent // 4] * 4


async def test_late_answers_for_a_partition_handed_over_are_ignored(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC, partitions=2)
    cluster.produce(TOPIC, [{**record, "partition": place % 2} for place, record in enumerate(numbered(20))])
    kafka = cluster.settings(revoke_wait_s=0.05)
    async with joined(kafka) as first:
        await until(lambda: len(first.messages) == 20)
        async with joined(kafka) as second:
            await until(lambda: len(second.messages) == 10)
            late = [message for message in first.messages if message.event_id in second.ids]
            assert len(late) == 10
            kept = next(message for message in first.messages if message not in late)
            first.ack(*late, kept)
            await until(lambda: first.context.progress.acked == 1)
            assert sorted(await asyncio.to_thread(cluster.committed, TOPIC, 2)) == [0, 1]
            second.ack(*second.messages)
            await until(lambda: second.context.progress.acked == 10)
    assert sorted(cluster.committed(TOPIC, 2)) == [1, 10]


async def test_refused_commits_are_asked_for_again(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    cluster.fail_next(OFFSET_COMMIT, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.INVALID_COMMIT_OFFSET_SIZE)
    cluster.produce(TOPIC, numbered(5))
    async with joined(cluster.settings(), ack_at_once) as member:
        await until(lambda: member.context.progress.acked == 5)
    assert cluster.committed(TOPIC) == [5]


async def test_a_broker_that_goes_away_is_waited_for(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC)
    cluster.produce(TOPIC, numbered(5))
    async with joined(cluster.settings(), ack_at_once) as member:
        await until(lambda: member.context.progress.acked == 5)
        cluster.set_down()
        await asyncio.sleep(0.2)
        cluster.set_up()
        cluster.produce(TOPIC, numbered(5, 5))
        await until(lambda: member.context.progress.acked == 10)
    assert member.failure is None
    assert member.ids == [f"{TOPIC}-0-{offset}" for offset in range(10)]


@pytest.mark.parametrize(
    ("request_kind", "code", "words"),
    [
        (FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED, "grant the user Read and Describe on the topic"),
        (JOIN_GROUP, KafkaError.GROUP_AUTHORIZATION_FAILED, "grant the user Read on the group"),
    ],
)
async def test_a_refusal_ends_the_run_with_what_to_do(
    cluster: KafkaCluster, request_kind: int, code: int, words: str
) -> None:
    cluster.create_topic(TOPIC)
    cluster.produce(TOPIC, numbered(1))
    cluster.fail_next(request_kind, *[code] * 20)
    async with joined(cluster.settings()) as member:
        pulling = next(task for task in asyncio.all_tasks() if "pull_forever" in repr(task))
        await until(pulling.done)
    assert isinstance(member.failure, ConfigurationError)
    assert words in str(member.failure)


async def test_checking_names_what_is_wrong(cluster: KafkaCluster) -> None:
    cluster.create_topic(TOPIC, partitions=3)
    assert check_topics(cluster.settings(), [TOPIC]) == "1 topics with 3 partitions on 1 brokers"
    with pytest.raises(ConfigurationError, match=r"topic loyalty\.member\.nothing.*create the topic"):
        check_topics(cluster.settings(), [TOPIC, "loyalty.member.nothing"])
    with pytest.raises(UnavailableError, match="Kafka"):
        check_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"), [TOPIC], timeout_s=0.2)
    async with joined(cluster.settings()) as member:
        await member.transport.check()


async def test_options_the_client_refuses_are_told(cluster: KafkaCluster) -> None:
    kafka = cluster.settings(security_protocol="SSL", ssl_ca_location="/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="Kafka settings are refused"):
        async with joined(kafka):
            pass
