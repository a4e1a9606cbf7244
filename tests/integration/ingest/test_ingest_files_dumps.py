"""Full dumps that come as files: absent keys are deleted once a marker says that all is there, and it is."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ingest_river import QUICK, River

from core.clients import s3_client
from core.contracts import load_contracts
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS
from ingest.files.records import LoadedRows
from ingest.progress import Summary
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TABLE = "member_emails"
Dumped = Callable[..., River]


@pytest.fixture
def dumped(river: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dumped:
    """The river with one table of plain rows that comes as full dumps, below the folder `in`."""

    def make(files: str) -> River:
        document = yaml.safe_load((river.settings.contracts_path / f"{TABLE}.yml").read_text())
        [table] = document["sources"][0]["tables"]
        kept = {name: table["config"]["meta"][name] for name in ("owner", "topic")}
        table["config"]["meta"] = kept | {"wire_format": "plain", "pattern": "full_dump", "files": files}
        folder = tmp_path / "contracts"
        folder.mkdir()
        (folder / f"{TABLE}.yml").write_text(yaml.safe_dump(document))
        settings = river.settings.model_copy(update={"contracts_path": folder})
        return River(settings, load_contracts(folder), river.sent)

    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", (tmp_path / "in").as_uri())
    monkeypatch.setenv("MILLRACE_INGEST_FILES_QUIET_S", "0")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_LIST_S", "0.1")
    (tmp_path / "in").mkdir()
    return make


async def load(river: River, *, patience_s: float = 10.0) -> Summary:
    tunables = QUICK | {"transport": "files", "dump_patience_s": patience_s}
    return await Run(Plan(river.settings, river.contracts), IngestSettings.model_validate(tunables)).run(0.5)


def write(place: Path, data: bytes | str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data.encode() if isinstance(data, str) else data)


def parquet(rows: Mapping[int, str]) -> bytes:
    sink = pa.BufferOutputStream()
    schema = pa.schema({"email_id": pa.int64(), "email": pa.string()})
    pq.write_table(pa.Table.from_pylist([{"email_id": key, "email": one} for key, one in rows.items()], schema), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def ndjson(rows: Mapping[int, str]) -> bytes:
    return b"".join(json.dumps({"email_id": key, "email": one}).encode() + b"\n" for key, one in rows.items())


def manifest(parts: Mapping[str, int | None], total: int | None = None) -> str:
    """As Redshift's UNLOAD writes it."""
    entries = [{"url": url, "meta": {"content_length": 1, "record_count": rows}} for url, rows in parts.items()]
    return json.dumps({"entries": entries} | ({} if total is None else {"meta": {"record_count": total}}))


def state(river: River) -> dict[int, str]:
    """The table as the merge leaves it: of each key the newest change."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in sorted(river.rows(TABLE), key=lambda one: (one["_source_position"], one["_op"] == "DELETE")):
        newest[row["_key"]] = row
    alive = {key: row for key, row in newest.items() if row["_op"] != "DELETE"}
    return {json.loads(key)["email_id"]: json.loads(row["payload"])["email"] for key, row in alive.items()}


async def random_dumps(river: River, place: Path) -> tuple[dict[int, str], dict[int, str], Summary]:
    """Dumps in parts, some without a marker or with a part that cannot be read; returns what must be left."""
    rng = random.Random(5)
    truth: dict[int, str] = {}
    summary = None
    for number in range(1, 6):
        rows = {key: rng.choice("ab") for key in rng.sample(range(20), rng.randrange(6, 14))}
        folder, keys = place / f"emails/dt={number}", list(rows)
        write(folder / "region=eu/part-0.parquet", parquet({key: rows[key] for key in keys[:3]}))
        last = parquet({key: rows[key] for key in keys[3:]})
        fault = {2: "cut", 3: "unmarked"}.get(number)
        write(folder / "region=us/part-1.parquet", last[:-9] if fault == "cut" else last)
        write(folder / "_temporary/0/part-9.parquet", parquet({99: "draft"}))
        if fault != "unmarked":
            write(folder / "_SUCCESS", b"")
        seen = {key: rows[key] for key in keys[:3]} if fault == "cut" else rows
        truth = truth | seen if fault else rows
        summary = await load(river)
        if state(river) != truth:
            break
    assert summary is not None
    return truth, state(river), summary


async def test_after_complete_dumps_the_table_is_the_last_one(dumped: Dumped, tmp_path: Path) -> None:
    river = dumped("emails/dt={dump_id}/**/*.parquet")
    truth, found, summary = await random_dumps(river, tmp_path / "in")
    assert found == truth
    assert summary.control == 1
    letters = {row["reason"]: row for row in river.dead_letters()}
    assert set(letters) == {"unreadable_object", "dump_incomplete"}
    assert "part-1.parquet was not loaded: it is unreadable; nothing was deleted" in letters["dump_incomplete"]["error"]
    assert {row["_source_position"] for row in river.rows(TABLE)} == {f"{number:020d}" for number in range(1, 6)}
    deleted = [row["_event_id"] for row in river.rows(TABLE) if row["_op"] == "DELETE"]
    assert deleted
    assert all("/_SUCCESS#" in one for one in deleted)
    assert (await load(river)).received == 0, "markers are loaded once too"


async def test_who_trusts_a_marker_without_counting_is_found_out(
    dumped: Dumped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a mutant that takes what could be read of a file for all of it."""

    def trust(_: object, loaded: LoadedRows) -> int:
        return loaded.row_count

    monkeypatch.setattr("ingest.files.dumps._checked", trust)
    river = dumped("emails/dt={dump_id}/**/*.parquet")
    truth, found, _ = await random_dumps(river, tmp_path / "in")
    assert found != truth


async def test_a_row_that_is_a_dead_letter_keeps_the_dump_from_deleting(dumped: Dumped, tmp_path: Path) -> None:
    """Until the file is mended: its rows and the marker come again."""
    river = dumped("emails/{dump_id}.ndjson")
    write(tmp_path / "in/emails/2026-01-01.ndjson", ndjson({1: "a", 2: "a", 3: "a"}))
    write(tmp_path / "in/emails/2026-01-02.ndjson", ndjson({1: "b"}) + b'{"email_id": 2, "ema\n')
    write(tmp_path / "in/emails/2026-01-02.ndjson._SUCCESS", b"")
    summary = await load(river, patience_s=0)
    assert summary.reasons == {"invalid_json": 1, "dump_incomplete": 1}
    assert state(river) == {1: "b", 2: "a", 3: "a"}
    write(tmp_path / "in/emails/2026-01-02.ndjson", ndjson({1: "b", 2: "b"}))
    write(tmp_path / "in/emails/2026-01-02.ndjson._SUCCESS", b"\n")
    await load(river)
    assert state(river) == {1: "b", 2: "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (manifest({"b.ndjson": 2, "a.ndjson": 1}), None),
        (manifest({"b.ndjson": 2, "a.ndjson": None}, total=3), None),
        (manifest({"b.ndjson": 2, "a.ndjson": 2}), "a.ndjson has 1 rows, and not 2"),
        (manifest({"b.ndjson": None, "a.ndjson": None}, total=4), "has 3 rows, and not 4"),
        (manifest({"b.ndjson": 2}), "does not name"),
        (manifest({"b.ndjson": 2, "a.ndjson": 1, "c.ndjson": 1}), "names c.ndjson, which is not there"),
        ('{"entries": 1}', "is no manifest"),
    ],
)
async def test_a_manifest_says_what_belongs_to_a_dump(
    dumped: Dumped, tmp_path: Path, text: str, words: str | None
) -> None:
    """Beside it the marker without counts says nothing."""
    river = dumped("emails/{dump_id}/*.ndjson")
    folder = tmp_path / "in/emails/2"
    write(tmp_path / "in/emails/1/a.ndjson", ndjson({7: "a"}))
    write(folder / "a.ndjson", ndjson({1: "a"}))
    write(folder / "b.ndjson", ndjson({2: "a", 3: "a"}))
    write(folder / "_SUCCESS", b"")
    write(folder / "manifest", text)
    summary = await load(river)
    kept = {1: "a", 2: "a", 3: "a"}
    assert state(river) == (kept if words is None else kept | {7: "a"})
    errors = [row["error"] for row in river.dead_letters()]
    assert len(errors) == (words is not None)
    assert all(words in error for error in errors if words)
    assert summary.control == (2 if words is None else 1)


async def test_only_a_manifest_can_say_that_everything_is_gone(dumped: Dumped, tmp_path: Path) -> None:
    """An empty folder may be a writer that failed, or a pattern that fits nothing."""
    river = dumped("emails/{dump_id}/*.ndjson")
    write(tmp_path / "in/emails/1/a.ndjson", ndjson({1: "a", 2: "a"}))
    write(tmp_path / "in/emails/2/_SUCCESS", b"")
    write(tmp_path / "in/emails/3/empty.ndjson", b"")
    write(tmp_path / "in/emails/3/_SUCCESS", b"")
    summary = await load(river)
    assert summary.reasons == {"dump_incomplete": 2}
    assert len(state(river)) == 2
    write(tmp_path / "in/emails/4/_manifest.json", manifest({}, total=0))
    await load(river)
    assert state(river) == {}


async def test_a_marker_on_s3_that_is_written_anew_is_looked_at_anew(
    dumped: Dumped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content, and so its ETag, is what it was."""
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    river = dumped("{dump_id}/*.ndjson")
    with running_s3() as address:
        river = River(river.settings.model_copy(update={"s3_endpoint_url": address.url}), river.contracts)
        client = s3_client(river.settings)
        client.create_bucket(Bucket="exports")
        monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "s3://exports/dumps")
        for key, data in {"1/a.ndjson": ndjson({1: "a", 2: "a"}), "2/_SUCCESS": b""}.items():
            client.put_object(Bucket="exports", Key=f"dumps/{key}", Body=data)
        first = client.head_object(Bucket="exports", Key="dumps/2/_SUCCESS")["LastModified"]
        assert (await load(river)).reasons == {"dump_incomplete": 1}
        client.put_object(Bucket="exports", Key="dumps/2/a.ndjson", Body=ndjson({2: "b"}))
        while client.head_object(Bucket="exports", Key="dumps/2/_SUCCESS")["LastModified"] == first:
            client.put_object(Bucket="exports", Key="dumps/2/_SUCCESS", Body=b"")
        summary = await load(river)
    assert (summary.control, state(river)) == (1, {2: "b"})
    assert Counter(row["_op"] for row in river.rows(TABLE)) == {"INSERT": 2, "UPDATE": 1, "DELETE": 1}
