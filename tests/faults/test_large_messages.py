"""Rows around the limit of an append, and the store that takes the larger ones: up, down, full, and missing."""

import asyncio
import hashlib
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from crashing import context, run_in_child
from faulty_write import FaultyWrite, OpenRiver, Row
from ingest_river import River, event, topic_of

from core.clients import s3_client
from core.contracts import load_contracts
from core.errors import ConfigurationError, UnreadableError
from core.objects import FileObjects, open_objects, read_content
from core.settings import Settings
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS
from ingest import oversize
from ingest.append import MAX_ROW_BYTES
from ingest.oversize import POINTER
from ingest.progress import Progress
from ingest.row import RAW_ROW_TYPE

TOPIC = topic_of("members")
KEY = '{"member_id":1}'


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_s3() as address:
        s3_client(Settings(s3_endpoint_url=address.url)).create_bucket(Bucket="large")
        yield address.url


def with_s3(river: River, url: str) -> River:
    settings = river.settings.model_copy(update={"s3_endpoint_url": url})
    return River(settings, river.contracts, river.sent)


def member(size: int, **fields: object) -> dict[str, Any]:
    """A message whose row image has so many bytes of text."""
    data = event("members", 7, {"member_id": 1, "member_number": "M1", "note": "x" * size}, **fields)
    return {"data": data, "ordering_key": KEY}


def rows(faulty: FaultyWrite, river: River) -> list[Row]:
    return faulty.rows[f"projects/{river.settings.project}/datasets/raw/tables/members"]


def whole(faulty: FaultyWrite, river: River) -> bool:
    """Whether the equation holds: sent = distinct(landed) + distinct(dead-lettered)."""
    landed, dead = set(faulty.landed_ids(river.settings.project)), set(faulty.dead_ids(river.settings.project))
    return river.sent == landed | dead and not landed & dead


async def test_a_row_just_under_the_limit_lands_and_one_just_over_goes_to_the_store(
    faulty_river: OpenRiver, s3: str
) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, s3)
        river.publish(TOPIC, [member(1_000)])
        await river.run()
        [small] = rows(faulty, river)
        # A length of millions takes two bytes more than one of a thousand.
        room = 1_000 + MAX_ROW_BYTES - size_of(small) - 2
        [under] = river.publish(TOPIC, [member(room - 8)])  # a row costs up to eight bytes more within a request
        [over] = river.publish(TOPIC, [member(room + 1)])
        river.publish(TOPIC, [member(10)])
        summary = await river.run(oversize_uri="s3://large/pre")
        assert (summary.landed, summary.dead_lettered, summary.acked) == (3, 0, 3)
        found = {row["_event_id"]: row for row in rows(faulty, river)}
        assert size_of(found[under]) == MAX_ROW_BYTES - 8
        assert POINTER not in found[under]["payload"][:30]
        told = json.loads(found[over]["payload"])[POINTER]
        image = open_objects("s3://large/pre/rows/members", river.settings).get(told["sha256"])
        assert told == {
            "uri": f"s3://large/pre/rows/members/{told['sha256']}",
            "bytes": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
        }
        assert json.loads(image)["note"] == "x" * (room + 1)
        assert (found[over]["_key"], found[over]["_op"]) == (KEY, "INSERT")
        assert whole(faulty, river)


def size_of(row: Row) -> int:
    """The bytes of a row on the wire."""
    return len(RAW_ROW_TYPE.message_class(**row).SerializeToString())


async def test_both_images_go_to_the_store_when_one_does_not_do(faulty_river: OpenRiver, s3: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, s3)
        images = [{"member_id": 1, "note": letter * 4_900_000} for letter in "ab"]
        river.publish(TOPIC, [{"data": event("members", 7, images[1], op="u", before=images[0])}])
        former = images[0] | {"note": "c" * 9_000_000}
        river.publish(TOPIC, [{"data": event("members", 8, {}, op="d", after=None, before=former)}])
        await river.run(oversize_uri="s3://large")
        update, delete = sorted(rows(faulty, river), key=lambda row: row["_source_position"])
        # The image alone did: the one before stays.
        assert POINTER in update["payload"]
        assert json.loads(update["before"]) == images[0]
        assert "payload" not in delete
        assert json.loads(delete["before"])[POINTER]["bytes"] > 9_000_000
        assert whole(faulty, river)


async def test_while_the_store_is_down_large_rows_are_given_back_and_others_land(
    faulty_river: OpenRiver, s3: str
) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, "http://127.0.0.1:1")
        [large] = river.publish(TOPIC, [member(8_100_000)])
        small = river.publish_members(range(100, 120))
        summary = await river.run_until(
            lambda progress: progress.nacked >= 2, append_attempts=2, oversize_uri="s3://large"
        )
        assert summary.dead_lettered == 0
        assert large not in faulty.landed_ids(river.settings.project)
        river = with_s3(river, s3)
        river.seek_to_beginning()  # what was on its way to the first run when it ended would wait for its lease
        await river.run(oversize_uri="s3://large")
        assert set(faulty.landed_ids(river.settings.project)) == {large, *small}
        assert whole(faulty, river)


async def test_the_control_that_points_to_what_was_never_stored_is_noticed(
    faulty_river: OpenRiver, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a mutant that lands the pointer whether or not the object was written."""

    def careless(self: oversize.Oversize, table: str, image: bytes) -> bytes:
        return oversize.pointer(f"s3://large/rows/{table}/{hashlib.sha256(image).hexdigest()}", image)

    monkeypatch.setattr(oversize.Oversize, "_store_image", careless)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, s3)
        river.publish(TOPIC, [member(8_100_000)])
        await river.run(oversize_uri="s3://large")
        assert whole(faulty, river)
        [row] = rows(faulty, river)
        with pytest.raises(Exception, match="is not there"):
            open_objects("s3://large/rows/members", river.settings).get(json.loads(row["payload"])[POINTER]["sha256"])


async def test_a_bucket_that_is_not_there_stops_the_run_and_keeps_everything(faulty_river: OpenRiver, s3: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, s3)
        river.publish(TOPIC, [member(8_100_000)])
        with pytest.raises(ConfigurationError, match="NoSuchBucket; check the bucket's name"):
            await river.run(oversize_uri="s3://nobody")
        summary = await river.run(oversize_uri="s3://large")
        assert (summary.received, summary.landed) == (1, 1)
        assert whole(faulty, river)


async def test_without_a_store_large_rows_are_dead_lettered(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        [large] = river.publish(TOPIC, [member(8_100_000)])
        river.publish_members(range(100, 120))
        summary = await river.run()
        assert (summary.landed, summary.reasons) == (20, {"row_too_large": 1})
        [letter] = faulty.rows[f"projects/{river.settings.project}/datasets/audit/tables/dead_letters"]
        assert letter["event_id"] == large
        assert len(letter["data"]) < letter["data_bytes"]
        assert whole(faulty, river)


async def test_large_poison_is_kept_whole(faulty_river: OpenRiver, s3: str) -> None:
    poison = member(9_000_000)["data"][:-1]
    faulty = FaultyWrite()
    async with faulty_river(faulty) as opened:
        river = with_s3(opened, "http://127.0.0.1:1")
        river.publish(TOPIC, [{"data": poison, "ordering_key": KEY}])
        await river.run_until(lambda progress: progress.nacked >= 2, append_attempts=2, oversize_uri="s3://large")
        assert not faulty.dead_ids(river.settings.project)
        river = with_s3(river, s3)
        river.seek_to_beginning()  # what was on its way to the first run when it ended would wait for its lease
        await river.run(oversize_uri="s3://large")
        [letter] = faulty.rows[f"projects/{river.settings.project}/datasets/audit/tables/dead_letters"]
        assert "data" not in letter
        folder, _, name = letter["data_uri"].rpartition("/")
        assert open_objects(folder, river.settings).get(name) == poison
        assert letter["data_bytes"] == len(poison)
        [copy] = river.dead_topic(1)
        assert copy.attributes["millrace_data_uri"] == letter["data_uri"]
        assert whole(faulty, river)


def on_a_small_disk(settings: Settings, folder: str, reached: Callable[[Progress], bool]) -> None:
    """Run the ingester, in a process that may write files of 4 MB at most."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
    river = River(settings, load_contracts(settings.contracts_path))
    asyncio.run(river.run_until(reached, append_attempts=2, oversize_uri=folder))


def ingest_on_a_small_disk(settings: Settings, folder: str) -> None:
    """Run the ingester until it has given back two messages."""
    on_a_small_disk(settings, folder, lambda progress: progress.nacked >= 2)


def ingest_carelessly_on_a_small_disk(settings: Settings, folder: str) -> None:
    """Run the mutant: it writes in place, and does not ask whether the disk took it all."""

    def put(self: FileObjects, name: str, data: bytes) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError), path.open("wb", buffering=0) as file:
            file.write(data)
        return path.as_uri()

    FileObjects.put = put  # type: ignore[method-assign]  # the mutation itself
    on_a_small_disk(settings, folder, lambda progress: progress.tables.total() == 1)


async def test_a_full_disk_gives_large_rows_back_until_there_is_room(faulty_river: OpenRiver, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        [large] = river.publish(TOPIC, [member(8_100_000)])
        river.publish_members(range(100, 120))
        code = await run_in_child(context(), ingest_on_a_small_disk, river.settings, folder.as_uri())
        assert code == 0
        assert large not in faulty.landed_ids(river.settings.project)
        assert not [path for path in folder.rglob("*") if path.is_file()]
        river.seek_to_beginning()
        await river.run(oversize_uri=folder.as_uri())
        assert large in faulty.landed_ids(river.settings.project)
        [stored] = [path for path in folder.rglob("*") if path.is_file()]
        assert stored.name == hashlib.sha256(stored.read_bytes()).hexdigest()
        assert whole(faulty, river)


async def test_the_control_that_trusts_the_disk_points_to_half_a_row(faulty_river: OpenRiver, tmp_path: Path) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    folder = tmp_path / "large"
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.publish(TOPIC, [member(8_100_000)])
        code = await run_in_child(context(), ingest_carelessly_on_a_small_disk, river.settings, folder.as_uri())
        assert code == 0
        [row] = rows(faulty, river)
        with pytest.raises(UnreadableError, match="does not hold what its name says"):
            read_content(json.loads(row["payload"])[POINTER]["uri"], river.settings)
