"""Kafka to BigQuery through the real stages: tombstones, poison, two members, and what a restart finds."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from ingest_river import QUICK, River, member, topic_of
from kafka_cluster import KafkaCluster, running_cluster

from core.errors import ConfigurationError
from ingest.doctor import examine
from ingest.progress import Summary
from ingest.reachable import looks
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan
from ingest.transports import check_shared

TOPIC = topic_of("members")


@pytest.fixture
def cluster(river: River, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaCluster]:
    """A cluster with the topics of the river's contracts, and the settings that lead to it."""
    with running_cluster() as running:
        for topic in [*river.contracts.by_topic(), *river.contracts.notification_topics()]:
            running.create_topic(topic, partitions=2)
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", running.bootstrap_servers)
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_COMMIT_MS", "10")
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_SESSION_TIMEOUT_MS", "2000")
        yield running


def begin(river: River, *tables: str, **tunables: object) -> Run:
    settings = IngestSettings.model_validate(QUICK | {"transport": "kafka"} | tunables)
    return Run(Plan(river.settings, river.contracts, tables), settings)


def produce_members(river: River, cluster: KafkaCluster, numbers: range) -> None:
    """Produce one new member a number, spread over both partitions, and remember the event ids."""
    records = [
        {"key": key.encode(), "value": data, "partition": number % 2}
        for number in numbers
        for key, data in (member(number),)
    ]
    before = [cluster.end(TOPIC, partition) for partition in (0, 1)]
    cluster.produce(TOPIC, records)
    for partition in (0, 1):
        river.sent.update(f"{TOPIC}-{partition}-{o}" for o in range(before[partition], cluster.end(TOPIC, partition)))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not reached():  # noqa: ASYNC110 - counters have no event to wait for
            await asyncio.sleep(0.001)


async def test_records_land_as_rows_and_offsets_follow(river: River, cluster: KafkaCluster) -> None:
    produce_members(river, cluster, range(300))
    key = json.dumps({"member_id": 7})
    cluster.produce(TOPIC, [{"key": key, "value": None, "partition": 0}, {"value": b"{", "partition": 1}])
    river.sent.update({f"{TOPIC}-0-150", f"{TOPIC}-1-150"})
    summary = await begin(river).run(0.3)
    assert (summary.landed, summary.dead_lettered, summary.acked) == (301, 1, 302)
    river.assert_nothing_lost()
    rows = {row["_event_id"]: row for row in river.rows("members")}
    tombstone = rows[f"{TOPIC}-0-150"]
    assert (tombstone["_op"], tombstone["_op_inferred"], tombstone["_key"]) == ("DELETE", True, '{"member_id":7}')
    assert rows[f"{TOPIC}-0-1"]["_key"] == '{"member_id":2}'
    [dead] = river.dead_letters()
    assert (dead["event_id"], dead["reason"], dead["topic"]) == (f"{TOPIC}-1-150", "invalid_json", TOPIC)
    assert await asyncio.to_thread(cluster.committed, TOPIC, 2) == [151, 151]
    again = await begin(river).run(0.3)
    assert (again.received, again.landed) == (0, 0), "nothing is left for the next"


async def test_two_members_share_the_work(river: River, cluster: KafkaCluster) -> None:
    produce_members(river, cluster, range(200))
    first, second = begin(river, "members"), begin(river, "members")
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await until(lambda: first.progress.acked == 200)
        group.create_task(second.run())
        produced = 200
        while not second.progress.received:
            await asyncio.to_thread(produce_members, river, cluster, range(produced, produced + 50))
            produced += 50
        await until(lambda: first.progress.acked + second.progress.acked == produced)
        first.stop()
        second.stop()
    river.assert_nothing_lost()
    assert first.progress.tables.total() > 200
    assert second.progress.tables.total() > 0


async def test_a_stop_commits_what_has_landed(river: River, cluster: KafkaCluster) -> None:
    produce_members(river, cluster, range(500))
    run = begin(river, batch_rows=50)

    async def stop() -> None:
        await until(lambda: run.progress.tables.total() >= 100)
        run.stop()

    stopping = asyncio.create_task(stop())
    summary: Summary = await run.run()
    await stopping
    committed = await asyncio.to_thread(cluster.committed, TOPIC, 2)
    assert sum(max(0, offset) for offset in committed) == summary.landed == summary.acked
    await begin(river).run(0.3)
    river.assert_nothing_lost()
    assert len(river.landed_ids()) == 500, "a stop in good order repeats nothing"


async def test_a_topic_that_is_missing_is_named_by_run_and_by_doctor(
    river: River, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    [look] = looks("kafka", river.settings, river.contracts)
    topics = len(river.contracts) + len(river.contracts.notification_topics())
    assert look.look() == f"{topics} topics with {2 * topics} partitions on 1 brokers"
    tunables = IngestSettings(transport="kafka")
    checks = {check.name: check for check in examine(river.settings, river.contracts, tunables)}
    assert checks["Kafka topics"].ok
    assert "Pub/Sub subscriptions" not in checks
    with running_cluster() as empty:
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", empty.bootstrap_servers)
        with pytest.raises(ConfigurationError, match="create the topic"):
            await begin(river).run(0.3)
        with pytest.raises(ConfigurationError, match="create the topic"):
            look.look()


async def test_what_kafka_needs_is_told(river: River) -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS: Field required"):
        await begin(river).run(0.3)


def test_members_that_share_a_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    check_shared("kafka")
    monkeypatch.setenv("MILLRACE_INGEST_KAFKA_GROUP_INSTANCE_ID", "replica-0")
    with pytest.raises(ConfigurationError, match="give each process a name of its own"):
        check_shared("kafka")
    check_shared("pubsub")


def test_a_place_is_listed_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "gs://exports/in")
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC"):
        check_shared("files")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC", "bucket-events")
    check_shared("files")
