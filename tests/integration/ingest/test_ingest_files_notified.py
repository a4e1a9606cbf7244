"""Objects that Cloud Storage tells of, through a real bucket, topic and subscription of the stand-ins."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from google.cloud.storage import Bucket

from core.clients import gcs_client, publisher_client, subscriber_client
from core.contracts import Contracts, load_contracts
from core.errors import DecodeError
from core.pinned import GcsStore
from core.settings import Settings
from devstack.gcs import running_gcs
from devstack.pubsub import stats
from ingest.append import TableWriter
from ingest.context import RunContext
from ingest.files.dumps import DumpFiles
from ingest.files.notified import Notified
from ingest.files.settings import FilesSettings
from ingest.files.table import LOADED_FILE_TYPE
from ingest.files.transport import FilesTransport
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.progress import Progress
from ingest.pubsub import PubSubTransport
from ingest.resources import subscription_path, topic_path
from ingest.rpc import PubSub, pubsub_channel
from ingest.settings import IngestSettings
from ingest.transport import Deliver

TOPIC = "bucket-events"


@dataclass(frozen=True)
class Place:
    """A bucket whose changes are told to a topic."""

    settings: Settings
    bucket: Bucket

    def put(self, path: str, content: bytes) -> str:
        blob = self.bucket.blob(f"in/{path}")
        blob.upload_from_string(content)
        return str(blob.generation)

    @property
    def backlog(self) -> int:
        found = stats.fetch(self.settings.pubsub_emulator_host or "")
        return found[subscription_path(self.settings, TOPIC)].backlog


@pytest.fixture
def place(stand_ins: Settings) -> Iterator[Place]:
    settings = stand_ins.model_copy(update={"project": f"files-{uuid.uuid4().hex[:12]}"})
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    topic = topic_path(settings, TOPIC)
    publisher.create_topic(request={"name": topic})
    subscriber.create_subscription(
        request={"name": subscription_path(settings, TOPIC), "topic": topic, "ack_deadline_seconds": 10}
    )
    with running_gcs(settings) as url:
        settings = settings.model_copy(update={"gcs_emulator_host": url})
        bucket = gcs_client(settings).create_bucket("member-files")
        bucket.notification(topic_name=TOPIC, topic_project=settings.project, payload_format="JSON_API_V1").create()
        yield Place(settings, bucket)
    publisher.stop()
    subscriber.close()


@dataclass
class Loader:
    """The transport, with stages that the test plays."""

    transport: FilesTransport
    context: RunContext
    flow: FlowControl
    answers: bool
    messages: list[Message] = field(default_factory=list)
    refused: list[tuple[Message, str]] = field(default_factory=list)
    records: list[tuple[str, str, int]] = field(default_factory=list)

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.flow.take(1, message.size)
        self.messages += messages
        if self.answers:
            self.ack(messages)

    def ack(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.flow.give_back(1, message.size)
        self.transport.ack([message.ack_id for message in messages])

    def refuse(self, message: Message, error: DecodeError, _: str | None) -> None:
        self.refused.append((message, error.reason))
        self.transport.ack([message.ack_id])

    async def append(self, rows: Sequence[bytes]) -> dict[int, str]:
        told = [LOADED_FILE_TYPE.message_class.FromString(row) for row in rows]
        self.records += [(one.uri.rpartition("/")[2], one.state, one.row_count) for one in told]
        return {}


@asynccontextmanager
async def loading(place: Place, *, answers: bool = True) -> AsyncIterator[Loader]:
    settings = IngestSettings(batch_wait_ms=1, ack_wait_ms=1, ack_deadline_s=10, retry_longest_wait_s=0.02)
    context = RunContext(settings, Progress("load"), fail=lambda _: None)
    flow = FlowControl(settings.outstanding_messages, settings.outstanding_bytes)
    files = FilesSettings(uri="gs://member-files/in", notification_topic=TOPIC)
    members = load_contracts(place.settings.contracts_path)["members"]
    contracts = Contracts({"members": replace(members, files="members/*.ndjson")})
    loaders: list[Loader] = []

    def deliver(messages: Sequence[Message]) -> None:
        loaders[0].deliver(messages)

    def refuse(message: Message, error: DecodeError, table: str | None) -> None:
        loaders[0].refuse(message, error, table)

    class Writer:
        async def append(self, rows: Sequence[bytes]) -> dict[int, str]:
            return await loaders[0].append(rows)

    async with pubsub_channel(place.settings) as channel:

        def subscribe(flow: FlowControl, deliver: Deliver) -> PubSubTransport:
            name = subscription_path(place.settings, TOPIC)
            return PubSubTransport(name, TOPIC, PubSub(channel), context, flow=flow, deliver=deliver)

        writer: TableWriter = Writer()  # type: ignore[assignment]
        store = GcsStore(gcs_client(place.settings), "member-files", "in")
        transport = FilesTransport(
            files,
            contracts,
            context,
            flow,
            source=Notified(files.uri, subscribe, context),
            store=store,
            deliver={"members": deliver},
            refuse=refuse,
            records=writer,
            dumps=DumpFiles(store, lambda _: {}, 0.0),
        )
        loader = Loader(transport, context, flow, answers)
        loaders.append(loader)
        await transport.check()
        pulling = asyncio.create_task(transport.pull_forever())
        try:
            yield loader
        finally:
            pulling.cancel()
            await asyncio.wait({pulling})
            await transport.drain()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110 - what is waited for happens in other threads and processes
            await asyncio.sleep(0.01)


def rows(count: int) -> bytes:
    return b"".join(b'{"member_id": %d}\n' % number for number in range(count))


async def test_a_finalized_object_is_loaded_and_only_then_its_notification_acknowledged(place: Place) -> None:
    generation = await asyncio.to_thread(place.put, "members/a.ndjson", rows(3))
    async with loading(place, answers=False) as loader:
        await until(lambda: len(loader.messages) == 3)
        loader.ack(loader.messages[:2])
        await loader.transport.drain()
        assert await asyncio.to_thread(lambda: place.backlog) == 1
        loader.ack(loader.messages[2:])
        await until(lambda: loader.transport.is_idle)
        assert await asyncio.to_thread(lambda: place.backlog) == 0
    assert [message.event_id for message in loader.messages] == [
        f"member-files/in/members/a.ndjson#{generation}:{number}" for number in (1, 2, 3)
    ]
    assert loader.messages[0].attributes["bucketId"] == "member-files"
    assert loader.records == [("a.ndjson", "loaded", 3)]


async def test_a_run_that_ends_in_the_middle_leaves_the_notification_to_the_next(place: Place) -> None:
    await asyncio.to_thread(place.put, "members/a.ndjson", rows(2_000))
    async with loading(place, answers=False) as loader:
        await until(lambda: len(loader.messages) == 2_000)
        loader.transport.nack([message.ack_id for message in loader.messages])
    assert loader.records == []
    async with loading(place) as heir:
        await until(lambda: heir.records == [("a.ndjson", "loaded", 2_000)])
        await until(lambda: heir.transport.is_idle)
    assert [message.event_id for message in heir.messages] == [message.event_id for message in loader.messages]


async def test_overwritten_objects_deletes_and_strangers(place: Place) -> None:
    def publish_strangers() -> None:
        publisher = publisher_client(place.settings)
        topic = topic_path(place.settings, TOPIC)
        publisher.publish(topic, b"hello").result()
        other = {"eventType": "OBJECT_FINALIZE", "bucketId": "other", "objectId": "in/members/a.ndjson"}
        publisher.publish(topic, b"", **other, objectGeneration="1").result()
        publisher.stop()

    def change() -> None:
        place.put("members/a.ndjson", rows(5))  # superseded before anybody reads it
        place.put("members/a.ndjson", rows(2))
        place.put("members/gone.ndjson", rows(1))
        place.bucket.blob("in/members/gone.ndjson").delete()
        place.put("members/_SUCCESS", b"")
        place.put("elsewhere/a.ndjson", rows(1))
        publish_strangers()

    await asyncio.to_thread(change)
    async with loading(place) as loader:
        await until(lambda: len(loader.records) == 6)
        await until(lambda: loader.transport.is_idle)
        assert await asyncio.to_thread(lambda: place.backlog) == 0
    assert len(loader.messages) == 2
    by_state = {(name, state) for name, state, _ in loader.records}
    assert by_state == {
        ("a.ndjson", "superseded"),
        ("a.ndjson", "loaded"),
        ("gone.ndjson", "unreadable"),
        ("a.ndjson", "unreadable"),
        (TOPIC, "unreadable"),
    }
    assert sorted(reason for _, reason in loader.refused) == [
        "invalid_notification",
        "object_missing",
        "unknown_object",
        "unknown_object",
    ]
    # Two deletes (one of them by overwriting), the marker and the superseded version are no data.
    assert loader.context.progress.control == 4
