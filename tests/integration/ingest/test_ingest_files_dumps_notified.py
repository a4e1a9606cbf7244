"""Full dumps that Cloud Storage tells of through Pub/Sub: rows, markers and deletions through the real stages."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.storage import Bucket
from ingest_river import QUICK, River

from core.clients import gcs_client, publisher_client, subscriber_client
from core.contracts import load_contracts
from devstack.gcs import running_gcs
from devstack.pubsub import stats
from ingest.progress import Summary
from ingest.resources import subscription_path, topic_path
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TABLE = "member_emails"
TOPIC = "export-events"


@dataclass(frozen=True)
class Exports:
    """A bucket that tells a topic of its changes, and a table that comes as full dumps below `in/`."""

    river: River
    bucket: Bucket

    def put(self, path: str, content: bytes | str) -> None:
        self.bucket.blob(f"in/{path}").upload_from_string(content)

    def dump(self, number: int, rows: Mapping[int, str], part: str = "a") -> None:
        self.put(f"emails/{number}/{part}.ndjson", ndjson(rows))

    def load(self, *, patience_s: float = 10.0) -> Summary:
        tunables = QUICK | {"transport": "files", "dump_patience_s": patience_s}

        async def run() -> Summary:
            settings = IngestSettings.model_validate(tunables)
            return await Run(Plan(self.river.settings, self.river.contracts), settings).run(0.5)

        return asyncio.run(run())

    @property
    def waiting(self) -> int:
        """Notifications that are not acknowledged."""
        found = stats.fetch(self.river.settings.pubsub_emulator_host or "")
        return found[subscription_path(self.river.settings, TOPIC)].backlog

    def state(self) -> dict[int, str]:
        """The table as the merge leaves it: of each key the newest change."""
        newest: dict[str, Mapping[str, Any]] = {}
        rows = self.river.rows(TABLE)
        for row in sorted(rows, key=lambda one: (one["_source_position"], one["_op"] == "DELETE")):
            newest[row["_key"]] = row
        alive = {key: row for key, row in newest.items() if row["_op"] != "DELETE"}
        return {json.loads(key)["email_id"]: json.loads(row["payload"])["email"] for key, row in alive.items()}

    def operations(self) -> Counter[str]:
        return Counter(row["_op"] for row in self.river.rows(TABLE))


def ndjson(rows: Mapping[int, str]) -> bytes:
    return b"".join(json.dumps({"email_id": key, "email": one}).encode() + b"\n" for key, one in rows.items())


def contracts_of(river: River, folder: Path) -> River:
    document = yaml.safe_load((river.settings.contracts_path / f"{TABLE}.yml").read_text())
    [table] = document["sources"][0]["tables"]
    kept = {name: table["config"]["meta"][name] for name in ("owner", "topic")}
    files = {"wire_format": "plain", "pattern": "full_dump", "files": "emails/{dump_id}/*.ndjson"}
    table["config"]["meta"] = kept | files
    folder.mkdir()
    (folder / f"{TABLE}.yml").write_text(yaml.safe_dump(document))
    settings = river.settings.model_copy(update={"contracts_path": folder})
    return River(settings, load_contracts(folder), river.sent)


@pytest.fixture
def exports(river: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exports]:
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "gs://exports/in")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC", TOPIC)
    dumped = contracts_of(river, tmp_path / "contracts")
    publisher, subscriber = publisher_client(river.settings), subscriber_client(river.settings)
    topic, name = topic_path(river.settings, TOPIC), subscription_path(river.settings, TOPIC)
    publisher.create_topic(request={"name": topic})
    subscriber.create_subscription(request={"name": name, "topic": topic, "ack_deadline_seconds": 10})
    with running_gcs(river.settings) as url:
        settings = dumped.settings.model_copy(update={"gcs_emulator_host": url})
        bucket = gcs_client(settings).create_bucket("exports")
        told = {"topic_name": TOPIC, "topic_project": settings.project, "payload_format": "JSON_API_V1"}
        bucket.notification(**told).create()
        yield Exports(River(settings, dumped.contracts, river.sent), bucket)
    publisher.stop()
    subscriber.close()


def test_rows_land_and_what_a_complete_dump_did_not_hold_is_deleted(exports: Exports) -> None:
    """The marker is told of before one of its files, so it waits for it."""
    exports.dump(1, {1: "a", 2: "a", 3: "a"})
    exports.put("emails/1/_SUCCESS", "")
    summary = exports.load()
    assert (summary.landed, exports.state()) == (3, {1: "a", 2: "a", 3: "a"})
    exports.dump(2, {1: "b"})
    exports.put("emails/2/_temporary/draft.ndjson", ndjson({9: "draft"}))
    manifest = {"entries": [{"url": "a.ndjson", "meta": {"record_count": 1}}, {"url": "b.ndjson"}]}
    exports.put("emails/2/manifest", json.dumps(manifest | {"meta": {"record_count": 2}}))
    exports.dump(2, {4: "b"}, part="b")
    summary = exports.load()
    assert exports.state() == {1: "b", 4: "b"}
    assert exports.operations() == {"INSERT": 4, "UPDATE": 1, "DELETE": 2}
    deleted = [row for row in exports.river.rows(TABLE) if row["_op"] == "DELETE"]
    assert all("/emails/2/manifest#" in row["_event_id"] and row["_op_inferred"] for row in deleted)
    assert (summary.dead_lettered, exports.river.dead_letters(), exports.waiting) == (0, [], 0)
    assert exports.load().received == 0


def test_an_incomplete_dump_deletes_nothing_until_it_is_whole(exports: Exports) -> None:
    """Without a marker, with one that names what is not there, and with one whose count is not that of the rows."""
    exports.dump(1, {1: "a", 2: "a"})
    exports.put("emails/1/_SUCCESS", "")
    exports.load()
    exports.dump(2, {1: "b"})
    exports.load()
    assert exports.state() == {1: "b", 2: "a"}
    exports.put("emails/2/manifest", json.dumps({"entries": [{"url": "a.ndjson"}, {"url": "late.ndjson"}]}))
    assert exports.load(patience_s=0).reasons == {"dump_incomplete": 1}
    exports.put("emails/2/manifest", json.dumps({"entries": [{"url": "a.ndjson", "meta": {"record_count": 2}}]}))
    assert exports.load(patience_s=0).reasons == {"dump_incomplete": 1}
    assert exports.state() == {1: "b", 2: "a"}
    assert exports.operations()["DELETE"] == 0
    errors = sorted(row["error"] for row in exports.river.dead_letters())
    assert all(error.endswith("nothing was deleted") for error in errors)
    exports.put("emails/2/manifest", json.dumps({"entries": [{"url": "a.ndjson"}]}))
    exports.load()
    assert (exports.state(), exports.waiting) == ({1: "b"}, 0)


def test_who_ends_a_dump_without_its_files_is_found_out(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a mutant that takes whatever is loaded for all of a dump."""

    def trust(*_: object) -> int:
        return 1

    monkeypatch.setattr("ingest.files.dumps._total", trust)
    exports.dump(1, {1: "a", 2: "a"})
    exports.load()
    exports.dump(2, {1: "b"})
    exports.put("emails/2/manifest", json.dumps({"entries": [{"url": "a.ndjson"}], "meta": {"record_count": 2}}))
    exports.load()
    assert exports.state() != {1: "b", 2: "a"}
