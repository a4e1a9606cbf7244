"""SIGKILL between append and commit: what Kafka delivered and BigQuery had not confirmed comes again."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from crashing import context, ingest, run_in_child
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import River, member, topic_of
from kafka_cluster import KafkaCluster, running_cluster

from core.settings import Settings
from ingest.failpoints import Failpoint
from ingest.kafka.ledger import PartitionLedger
from ingest.kafka.transport import KafkaTransport

MEMBERS = 400
POISON = 10
TOPIC = topic_of("members")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaCluster]:
    with running_cluster() as running:
        running.create_topic(TOPIC)
        yield running


def in_kafka(bootstrap_servers: str, then: Callable[..., None], settings: Settings, failpoint: Failpoint) -> None:
    """Run the ingester on Kafka; processes are forked off one that knows nothing of a test's environment."""
    os.environ["MILLRACE_INGEST_TRANSPORT"] = "kafka"
    os.environ["MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS"] = bootstrap_servers
    os.environ["MILLRACE_INGEST_KAFKA_SESSION_TIMEOUT_MS"] = "2000"
    os.environ["MILLRACE_INGEST_KAFKA_COMMIT_MS"] = "10"
    then(settings, failpoint)


def ingest_commit_first(settings: Settings, failpoint: Failpoint) -> None:
    """The mutant: a message counts as settled, and its commit is confirmed, before it is delivered."""
    take, deliver = PartitionLedger.take, KafkaTransport._deliver_pending

    def take_and_settle(self: PartitionLedger, offset: int) -> int:
        delivery = take(self, offset)
        self.settle(offset)
        return delivery

    async def commit_and_deliver(self: KafkaTransport) -> None:
        await self._commit_offsets([ledger for ledger in self._assignment if ledger.due], asynchronous=False)
        await deliver(self)

    PartitionLedger.take = take_and_settle  # type: ignore[method-assign]  # the mutation itself
    KafkaTransport._deliver_pending = commit_and_deliver  # type: ignore[method-assign]  # the mutation itself
    ingest(settings, failpoint)


def produce(river: River, cluster: KafkaCluster) -> None:
    good = [{"key": key.encode(), "value": data} for key, data in map(member, range(MEMBERS))]
    poison = [{"key": b"{}", "value": b"{"}] * POISON
    cluster.produce(TOPIC, [*good[: MEMBERS // 2], *poison, *good[MEMBERS // 2 :]])
    river.sent.update(f"{TOPIC}-0-{offset}" for offset in range(MEMBERS + POISON))


async def crash_and_restart(
    river: River, cluster: KafkaCluster, boundary: str, victim: Callable[..., None], crash_after: int
) -> None:
    produce(river, cluster)
    forking = context()
    failpoint = Failpoint(boundary, crash_after)
    servers = cluster.bootstrap_servers
    assert await run_in_child(forking, in_kafka, servers, victim, river.settings, failpoint) == -signal.SIGKILL
    assert await run_in_child(forking, in_kafka, servers, ingest, river.settings, Failpoint()) == 0


@pytest.mark.parametrize("boundary", ["after_pull", "after_append", "after_dead_letter", "before_ack", "after_ack"])
async def test_a_kill_loses_nothing(faulty_river: OpenRiver, cluster: KafkaCluster, boundary: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        await crash_and_restart(river, cluster, boundary, ingest, 5 if boundary == "after_dead_letter" else 150)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    assert set(landed) | set(dead) == river.sent
    assert not set(landed) & set(dead)
    assert len(set(dead)) == POISON
    assert len(landed) <= 2 * MEMBERS
    assert cluster.committed(TOPIC) == [MEMBERS + POISON]


async def test_the_control_committing_on_delivery_does_lose_rows(
    faulty_river: OpenRiver, cluster: KafkaCluster
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        await crash_and_restart(river, cluster, "before_append", ingest_commit_first, 150)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    assert river.sent - set(landed) - set(dead)
