"""Files as messages: which table, which ids, when an object is over, and what becomes of one that cannot be read."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from core.contracts import Contracts, load_contracts
from core.errors import ConfigurationError, DecodeError
from core.pinned import FileStore, ObjectRef, UnreachableError
from ingest.append import TableWriter
from ingest.context import RunContext
from ingest.files.dumps import DumpFiles
from ingest.files.listing import Listing
from ingest.files.settings import FilesSettings
from ingest.files.table import LOADED_FILE_TYPE
from ingest.files.transport import FilesTransport
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings

ALL = load_contracts(Path("dbt_project/models/raw"))
CONTRACTS = Contracts(
    {
        "members": replace(ALL["members"], files="members/*.ndjson*"),
        "member_emails": replace(ALL["member_emails"], files="emails/**/*.ndjson"),
        "member_tiers": ALL["member_tiers"],
    }
)


class Records:
    """Stands in for the writer of `audit.loaded_files`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, int]] = []

    async def append(self, rows: Sequence[bytes]) -> dict[int, str]:
        for row in rows:
            told = LOADED_FILE_TYPE.message_class.FromString(row)
            self.rows.append((told.uri.rpartition("/")[2], told.state, told.row_count))
        return {}


@dataclass
class Loader:
    """The transport over a folder, with stages that the test plays itself."""

    folder: Path
    transport: FilesTransport
    context: RunContext
    flow: FlowControl
    records: Records
    answers: bool = True
    messages: list[Message] = field(default_factory=list)
    refused: list[tuple[Message, str, str | None]] = field(default_factory=list)
    failure: BaseException | None = None

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

    def refuse(self, message: Message, error: DecodeError, table: str | None) -> None:
        self.refused.append((message, error.reason, table))
        if self.answers:
            self.transport.ack([message.ack_id])

    @property
    def rows(self) -> list[str]:
        return [message.event_id.rpartition("/")[2] for message in self.messages]


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110 - files are read in threads
            await asyncio.sleep(0.005)


@asynccontextmanager
async def loading(
    folder: Path,
    *,
    loaded: Callable[[Sequence[str]], set[tuple[str, str]]] = lambda _: set(),
    store: FileStore | None = None,
    answers: bool = True,
    files: dict[str, object] | None = None,
    **tunables: object,
) -> AsyncIterator[Loader]:
    settings = IngestSettings.model_validate(
        {"batch_wait_ms": 1, "retry_first_wait_s": 0.01, "retry_longest_wait_s": 0.02, **tunables}
    )
    context = RunContext(settings, Progress("load"), fail=lambda _: None)
    flow = FlowControl(settings.outstanding_messages, settings.outstanding_bytes)
    chosen = FilesSettings.model_validate({"uri": folder.as_uri(), "list_s": 0.01, "quiet_s": 0, **(files or {})})
    store = store or FileStore(folder)
    records = Records()
    loaders: list[Loader] = []

    def deliver(messages: Sequence[Message]) -> None:
        loaders[0].deliver(messages)

    def refuse(message: Message, error: DecodeError, table: str | None) -> None:
        loaders[0].refuse(message, error, table)

    writer: TableWriter = records  # type: ignore[assignment]
    transport = FilesTransport(
        chosen,
        CONTRACTS,
        context,
        flow,
        source=Listing(chosen, store, loaded, context),
        store=store,
        deliver=dict.fromkeys(CONTRACTS, deliver),
        refuse=refuse,
        records=writer,
        dumps=DumpFiles(store, lambda _: {}, 0.0),
    )
    loader = Loader(folder, transport, context, flow, records, answers)
    loaders.append(loader)
    await transport.check()
    pulling = asyncio.create_task(transport.pull_forever())
    try:
        yield loader
    finally:
        pulling.cancel()
        await asyncio.wait({pulling})
        if not pulling.cancelled():
            loader.failure = pulling.exception()
        await transport.drain()


def write(folder: Path, path: str, rows: int | bytes) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = b"".join(b'{"member_id": %d}\n' % number for number in range(rows)) if isinstance(rows, int) else rows
    # As a writer should: whole under another name first.
    draft = file.with_name(f".{file.name}")
    draft.write_bytes(gzip.compress(lines) if path.endswith(".gz") and isinstance(rows, int) else lines)
    draft.replace(file)


def ids(version: str, path: str, rows: int) -> list[str]:
    return [f"{path}#{version}:{number}" for number in range(1, rows + 1)]


async def test_each_row_is_a_message_with_a_lasting_id(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 3)
    write(tmp_path, "members/b.ndjson.gz", 2)
    write(tmp_path, "members/_SUCCESS", 1)
    write(tmp_path, "_temporary/members/c.ndjson", 1)
    versions = {ref.path: ref.etag for ref in FileStore(tmp_path).listing("")}
    async with loading(tmp_path) as loader:
        await until(lambda: loader.transport.is_connected and loader.transport.is_idle)
        assert loader.rows == [
            *ids(versions["members/a.ndjson"], "a.ndjson", 3),
            *ids(versions["members/b.ndjson.gz"], "b.ndjson.gz", 2),
        ]
        first = loader.messages[0]
        assert first.event_id.startswith(f"{tmp_path}/members/a.ndjson#")
        assert (first.subscription, first.topic) == ("files", ALL["members"].topic)
        assert json.loads(first.data) == {"member_id": 0}
        assert first.attributes["objectId"] == "members/a.ndjson"
        assert first.publish_ts == (tmp_path / "members/a.ndjson").stat().st_mtime_ns // 1_000
        assert sorted(loader.records.rows) == [("a.ndjson", "loaded", 3), ("b.ndjson.gz", "loaded", 2)]
        write(tmp_path, "members/c.ndjson", 1)
        await until(lambda: len(loader.messages) == 6 and loader.transport.is_idle)
    assert loader.context.progress.acked == 6


async def test_an_object_is_over_only_when_every_row_is_answered(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 2_500)
    async with loading(tmp_path, answers=False) as loader:
        await until(lambda: len(loader.messages) == 2_500)
        loader.ack(loader.messages[1:])
        await loader.transport.drain()
        assert loader.records.rows == []
        assert not loader.transport.is_idle
        loader.ack(loader.messages[:1])
        await until(lambda: loader.transport.is_idle)
    assert loader.records.rows == [("a.ndjson", "loaded", 2_500)]


async def test_a_run_that_ends_in_the_middle_leaves_the_object_to_the_next(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 3_000)
    async with loading(tmp_path, answers=False, outstanding_messages=1_000) as loader:
        await until(lambda: len(loader.messages) == 1_000)
        loader.ack(loader.messages[:400])
    assert loader.records.rows == []
    async with loading(tmp_path) as heir:
        await until(lambda: heir.records.rows == [("a.ndjson", "loaded", 3_000)])
    assert heir.rows[:1_000] == loader.rows[:1_000], "the same rows have the same ids"


async def test_no_more_is_read_than_there_is_room_for(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 5_000)
    async with loading(tmp_path, answers=False, outstanding_messages=700) as loader:
        while loader.context.progress.acked < 5_000:
            await until(lambda: loader.flow.messages > 0 or loader.context.progress.acked == 5_000)
            loader.ack(loader.messages[-loader.flow.messages :] if loader.flow.messages else [])
    assert loader.flow.peak_messages <= 700
    assert loader.rows == ids(FileStore(tmp_path).look_up("members/a.ndjson").etag, "a.ndjson", 5_000)


async def test_what_earlier_runs_loaded_is_not_loaded_again(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, f"members/{name}.ndjson", 1)
    known = FileStore(tmp_path).look_up("members/b.ndjson")
    asked: list[list[str]] = []

    def loaded(uris: Sequence[str]) -> set[tuple[str, str]]:
        asked.append(list(uris))
        return {(known.uri, known.etag), ((tmp_path / "members/c.ndjson").as_uri(), "an older version")}

    async with loading(tmp_path, loaded=loaded) as loader:
        await until(lambda: len(loader.records.rows) == 2)
        await until(lambda: loader.transport.is_idle)
    assert [row.partition("#")[0] for row in loader.rows] == ["a.ndjson", "c.ndjson"]
    assert len(asked) == 1, "what is known is not asked again with each listing"


async def test_a_damaged_object_is_dead_lettered_after_its_good_rows(tmp_path: Path) -> None:
    whole = gzip.compress(
        b"".join(b'{"member_id": %d, "x": "%s"}\n' % (n, os.urandom(8).hex().encode()) for n in range(4_000))
    )
    write(tmp_path, "members/cut.ndjson.gz", whole[: len(whole) // 2])
    write(tmp_path, "members/good.ndjson", 3)
    write(tmp_path, "elsewhere/a.ndjson", 1)
    async with loading(tmp_path) as loader:
        await until(lambda: len(loader.records.rows) == 3)
    by_reason = {reason: (message, table) for message, reason, table in loader.refused}
    message, table = by_reason["unreadable_object"]
    assert table == "members"
    assert "cut.ndjson.gz" in message.event_id
    assert ":" not in message.event_id.rpartition("#")[2]
    assert by_reason["unknown_object"][1] is None
    cut = next(row for row in loader.records.rows if row[0] == "cut.ndjson.gz")
    assert cut[1] == "unreadable"
    assert 0 < cut[2] < 4_000
    assert ("good.ndjson", "loaded", 3) in loader.records.rows


class Replacing(FileStore):
    """A store in which an object is replaced once, in the middle of being read."""

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        if ref.path == "members/a.ndjson" and start > 0 and not (self.root / "done").exists():
            (self.root / "done").touch()
            write(self.root, ref.path, 2)
        return super().read(ref, start, length)


async def test_an_object_replaced_in_mid_read_is_noticed_and_its_new_version_loaded(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 100_000)
    store = Replacing(tmp_path)
    async with loading(tmp_path, store=store) as loader:
        await until(lambda: ("a.ndjson", "loaded", 2) in loader.records.rows)
    reasons = {(message.event_id.rpartition("/")[2].partition("#")[0], reason) for message, reason, _ in loader.refused}
    assert ("a.ndjson", "object_replaced") in reasons
    assert loader.rows[-2:] == ids(store.look_up("members/a.ndjson").etag, "a.ndjson", 2)


@dataclass(frozen=True)
class Late(FileStore):
    """A store whose listings are older than its objects."""

    listed: tuple[ObjectRef, ...] = ()

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        return tuple(ref for ref in self.listed if ref.path.startswith(prefix))


async def test_a_version_that_was_replaced_or_removed_before_it_was_read(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 5)
    write(tmp_path, "members/b.ndjson", 5)
    listed = FileStore(tmp_path).listing("")
    write(tmp_path, "members/a.ndjson", 6)
    (tmp_path / "members/b.ndjson").unlink()
    async with loading(tmp_path, store=Late(tmp_path, listed)) as loader:
        await until(lambda: len(loader.records.rows) == 2)
    assert sorted(loader.records.rows) == [("a.ndjson", "superseded", 0), ("b.ndjson", "unreadable", 0)]
    assert [reason for _, reason, _ in loader.refused] == ["object_missing"]
    assert loader.messages == []
    assert loader.context.progress.control == 1


class Failing(FileStore):
    """A store that does not answer the first times."""

    def look_up(self, path: str) -> ObjectRef:
        tries = self.root / ".tries"
        with tries.open("ab") as file:
            file.write(b"x")
        if tries.stat().st_size < 4:
            raise UnreachableError("the store is away")
        return super().look_up(path)


async def test_a_store_that_is_away_is_tried_again(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 5)
    async with loading(tmp_path, store=Failing(tmp_path)) as loader:
        await until(lambda: loader.records.rows == [("a.ndjson", "loaded", 5)])
    assert loader.refused == []
    assert len(loader.messages) == 5


async def test_an_object_of_which_a_row_was_given_back_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 5)
    async with loading(tmp_path, answers=False) as loader:
        await until(lambda: len(loader.messages) == 5)
        loader.transport.nack([loader.messages[2].ack_id])
        loader.ack([*loader.messages[:2], *loader.messages[3:]])
        await until(lambda: len(loader.messages) == 10)
        assert loader.records.rows == []
        loader.transport.ack([message.ack_id for message in loader.messages[:5]])  # late, of the first attempt
        loader.ack(loader.messages[5:])
        await until(lambda: loader.records.rows == [("a.ndjson", "loaded", 5)])
    assert loader.rows[:5] == loader.rows[5:]


async def test_a_file_that_is_still_being_written_waits(tmp_path: Path) -> None:
    write(tmp_path, "members/a.ndjson", 1)
    file = tmp_path / "members/a.ndjson"
    async with loading(tmp_path, files={"quiet_s": 30}) as loader:
        await until(lambda: loader.transport.is_connected)
        assert loader.messages == []
        assert not loader.transport.is_idle, "a run until idle must not end before it"
    old = file.stat().st_mtime - 60
    os.utime(file, (old, old))
    async with loading(tmp_path, files={"quiet_s": 30}) as loader:
        await until(lambda: len(loader.messages) == 1)


async def test_a_place_that_is_not_there_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_FILES_URI"):
        async with loading(tmp_path / "nothing"):
            pass
