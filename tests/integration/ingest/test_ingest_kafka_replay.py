"""`ingest replay` from Kafka: what was published in a window lands again, and the group's offsets stay."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from ingest_river import QUICK, River, member, topic_of
from kafka_cluster import KafkaCluster, running_cluster
from typer.testing import CliRunner

from core.errors import UnavailableError
from ingest.cli import app
from ingest.kafka import past
from ingest.kafka.past import Past
from ingest.kafka.ranges import PartitionRange
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TOPIC = topic_of("members")
NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
MINUTE_MS = 60_000
Replay = Callable[..., Any]


@pytest.fixture
def cluster(river: River, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaCluster]:
    """Ten members, a minute apart and in turn on two partitions, landed and committed."""
    with running_cluster() as running:
        for topic in [*river.contracts.by_topic(), *river.contracts.notification_topics()]:
            running.create_topic(topic, partitions=2)
        variables = {
            **river.environment(MILLRACE_INGEST_TRANSPORT="kafka", MILLRACE_INGEST_KAFKA_COMMIT_MS="10"),
            "MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS": running.bootstrap_servers,
            # For so long the group waits for who was in it before.
            "MILLRACE_INGEST_KAFKA_SESSION_TIMEOUT_MS": "1000",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        pairs = [(number, member(number)) for number in range(10)]
        running.produce(
            TOPIC,
            [
                {"key": key, "value": data, "partition": number % 2, "timestamp": NOON_MS + number * MINUTE_MS}
                for number, (key, data) in pairs
            ],
        )
        asyncio.run(land(river))
        yield running


async def land(river: River) -> int:
    settings = IngestSettings.model_validate(QUICK | {"transport": "kafka"})
    return (await Run(Plan(river.settings, river.contracts), settings).run(0.3)).landed


@pytest.fixture
def replay(cluster: KafkaCluster) -> Replay:
    assert cluster.bootstrap_servers

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["replay", *arguments])
        structlog.reset_defaults()  # the stream it logs to is closed by now
        assert result.exit_code == 0, result.output + str(result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result

    return run


def members_of(event_ids: list[str]) -> list[int]:
    """The numbers of the members that landed, by the ids: partition and offset."""
    parts = [event_id.rsplit("-", 2) for event_id in event_ids]
    return sorted(int(offset) * 2 + int(partition) for _, partition, offset in parts)


def test_a_window_lands_again_under_its_ids_and_no_offset_moves(
    river: River, cluster: KafkaCluster, replay: Replay
) -> None:
    """The cluster tells no offsets for times, so older records are read, and passed by."""
    before, committed = river.landed_ids(), cluster.committed(TOPIC, 2)
    assert (members_of(before), committed) == ([*range(10)], [5, 5])
    window = ["--from", "2026-01-01T12:03:00Z", "--to", "2026-01-01T12:07:00Z"]
    reported = len(river.reports())
    plan = replay(*window, "--dry-run")
    assert "2 partitions, 2 of them from their beginning, at most 10 records; the group's offsets stay" in plan.stdout
    assert "tell no offsets for times" in plan.output
    assert river.landed_ids() == before

    told = replay(*window, "--yes", "--json")
    assert told["is_done"]
    assert (told["summary"]["landed"], told["summary"]["dead_lettered"]) == (4, 0)
    assert members_of(river.landed_ids()) == sorted([*range(10), 3, 4, 5, 6])
    rows = {(row["_event_id"], row["_source_position"], row["payload"]) for row in river.rows("members")}
    assert len(rows) == 10
    assert cluster.committed(TOPIC, 2) == committed
    assert len(river.reports()) == reported, "the past says nothing about how far a table is"
    assert asyncio.run(land(river)) == 0


def test_without_an_end_everything_since_lands_up_to_now(river: River, cluster: KafkaCluster, replay: Replay) -> None:
    cluster.produce(TOPIC, [{"value": b"{", "partition": 0, "timestamp": NOON_MS + 20 * MINUTE_MS}])
    told = replay("--from", "2026-01-01T12:08:00Z", "--table", "members", "--yes", "--json")
    assert (told["summary"]["landed"], told["summary"]["dead_lettered"]) == (2, 1)
    assert {one["topic"] for one in told["ranges"]} == {TOPIC}
    assert members_of(river.landed_ids()) == sorted([*range(10), 8, 9])
    assert cluster.committed(TOPIC, 2) == [5, 5]


def test_it_asks_first(river: River, cluster: KafkaCluster) -> None:
    assert cluster.bootstrap_servers
    result = CliRunner().invoke(app, ["replay", "--from", "2026-01-01T12:08:00Z"], input="n\n")
    structlog.reset_defaults()
    assert result.exit_code == 1
    assert "never land" not in result.output
    assert len(river.landed_ids()) == 10


async def test_a_partition_that_falls_silent_ends_it_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than be taken for one that was read to its end."""
    monkeypatch.setattr(past, "_PATIENCE_S", 0.5)
    with running_cluster() as silent:
        silent.create_topic(TOPIC)
        silent.produce(TOPIC, [{"value": b"{}"}])
        silent.set_down()
        reader = Past(silent.settings(), [PartitionRange(TOPIC, 0, 0, 1)])
        with pytest.raises(UnavailableError, match=r"silent before their end.*can be repeated"):
            _ = [batch async for batch in reader.batches()]


async def test_a_range_is_over_at_its_end_or_where_nothing_more_is_to_be_had() -> None:
    """What came since belongs to the group; the last offsets may be those of markers, which nobody is given."""
    with running_cluster() as running:
        running.create_topic(TOPIC, partitions=2)
        running.produce(TOPIC, [{"value": str(number), "partition": number % 2} for number in range(6)])
        reader = Past(running.settings(), [PartitionRange(TOPIC, 0, 1, 2), PartitionRange(TOPIC, 1, 1, 9)])
        async with asyncio.timeout(30):
            read = [message async for batch in reader.batches() for message in batch]
    assert {(message.event_id, message.data) for message in read} == {
        (f"{TOPIC}-0-1", b"2"),
        (f"{TOPIC}-1-1", b"3"),
        (f"{TOPIC}-1-2", b"5"),
    }
