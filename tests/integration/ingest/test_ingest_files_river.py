"""Files to BigQuery through the real stages: rows, dead letters, and the record of what was loaded."""

import asyncio
import gzip
import json
import shutil
import signal
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ingest_river import QUICK, River, event

from core.clients import gcs_client, publisher_client, s3_client, subscriber_client
from core.contracts import load_contracts
from core.errors import ConfigurationError
from core.pinned import FileStore
from core.settings import Settings
from devstack.gcs import running_gcs
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS
from ingest.reachable import looks
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.setup import set_up
from ingest.stages import Plan

FILES = {"members": "members/**/*.ndjson*", "member_emails": "emails/*.parquet"}
NOTIFICATIONS = "bucket-events"


@pytest.fixture
def river(stand_ins: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[River]:
    """A river whose contracts say which files are theirs: members as Debezium events, addresses as plain rows."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    for table in ("members", "member_emails", "member_preferences"):
        document = yaml.safe_load((Path("dbt_project/models/raw/member") / f"{table}.yml").read_text())
        meta = document["sources"][0]["tables"][0]["config"]["meta"]
        meta.pop("notification_topic", None)
        meta.pop("api_set_path", None)
        if table in FILES:
            meta["files"] = FILES[table]
        if table == "member_emails":
            meta |= {"wire_format": "plain", "operation_field": "op"}
        (folder / f"{table}.yml").write_text(yaml.safe_dump(document))
    settings = stand_ins.model_copy(
        update={"project": f"river-{uuid.uuid4().hex[:12]}", "contracts_path": folder, "api_base_url": None}
    )
    found = River(settings, load_contracts(folder))
    found.set_up()
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", (tmp_path / "in").as_uri())
    monkeypatch.setenv("MILLRACE_INGEST_FILES_QUIET_S", "0")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_LIST_S", "0.1")
    (tmp_path / "in").mkdir()
    yield found
    found.close()


def begin(river: River, **tunables: object) -> Run:
    settings = IngestSettings.model_validate(QUICK | {"transport": "files"} | tunables)
    return Run(Plan(river.settings, river.contracts), settings)


def members(numbers: range) -> bytes:
    """Debezium events, one a line."""
    return b"\n".join(event("members", 1_000 + n, {"member_id": n, "member_number": f"M{n}"}) for n in numbers)


def emails(numbers: range) -> bytes:
    rows = [{"op": "INSERT", "email_id": n, "member_id": n, "email": f"{n}@example.com"} for n in numbers]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def loaded_files(river: River) -> list[dict[str, Any]]:
    rows = [dict(row) for row in river.bigquery.list_rows(f"{river.settings.project}.audit.loaded_files")]
    return sorted(rows, key=lambda row: (row["uri"], row["loaded_at"]))


async def test_files_of_two_formats_land_and_are_not_loaded_twice(river: River, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "members/2026").mkdir(parents=True)
    (folder / "emails").mkdir()
    (folder / "members/2026/a.ndjson.gz").write_bytes(gzip.compress(members(range(1_500)) + b'\n{"half": '))
    (folder / "emails/a.parquet").write_bytes(emails(range(20)))
    (folder / "emails/cut.parquet").write_bytes(emails(range(20))[:-9])
    (folder / "stray.txt").write_text("?")
    summary = await begin(river).run(0.5)
    assert summary.tables == {"member_emails": 20, "members": 1_500}
    dead = {row["reason"]: row for row in river.dead_letters()}
    assert set(dead) == {"invalid_json", "unreadable_object", "unknown_object"}
    assert summary.dead_lettered == 3
    prefix = f"{folder}/members/2026/a.ndjson.gz#"
    assert dead["invalid_json"]["event_id"].startswith(prefix)
    assert dead["invalid_json"]["event_id"].endswith(":1501")
    assert "cut.parquet" in dead["unreadable_object"]["error"]
    assert dead["unreadable_object"]["table_name"] == "member_emails"
    rows = {row["_event_id"].rpartition(":")[2]: row for row in river.rows("members")}
    assert len(rows) == 1_500
    assert json.loads(rows["7"]["payload"])["member_id"] == 6
    assert all(row["_event_id"].startswith(prefix) for row in rows.values())
    email = next(row for row in river.rows("member_emails") if row["_key"] == '{"email_id":3}')
    assert (email["_op"], json.loads(email["payload"])["email"]) == ("INSERT", "3@example.com")
    states = {row["uri"].rpartition("/")[2]: (row["state"], row["row_count"]) for row in loaded_files(river)}
    assert states == {
        "a.ndjson.gz": ("loaded", 1_501),
        "a.parquet": ("loaded", 20),
        "cut.parquet": ("unreadable", 0),
        "stray.txt": ("unreadable", 0),
    }
    (folder / "emails/cut.parquet").write_bytes(emails(range(20, 25)))
    again = await begin(river).run(0.5)
    assert (again.received, again.tables) == (5, {"member_emails": 5}), "only what was mended is new"


async def test_objects_of_s3_land(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_s3() as address:
        river = River(river.settings.model_copy(update={"s3_endpoint_url": address.url}), river.contracts)
        client = s3_client(river.settings)
        client.create_bucket(Bucket="exports")
        client.put_object(Bucket="exports", Key="loyalty/members/a.ndjson", Body=members(range(30)))
        monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "s3://exports/loyalty")
        [look] = looks("files", river.settings, river.contracts)
        assert look.look() == "s3://exports/loyalty answers, with 1 folders; 2 tables have files, listed"
        summary = await begin(river).run(0.5)
        etag = client.head_object(Bucket="exports", Key="loyalty/members/a.ndjson")["ETag"].strip('"')
        monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "s3://nothing")
        with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_FILES_URI names the place"):
            await begin(river).run(0.5)
    assert summary.tables == {"members": 30}
    assert f"exports/loyalty/members/a.ndjson#{etag}:30" in river.landed_ids()


async def test_objects_that_cloud_storage_tells_of_land(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, subscriber = publisher_client(river.settings), subscriber_client(river.settings)
    topic = f"projects/{river.settings.project}/topics/{NOTIFICATIONS}"
    publisher.create_topic(request={"name": topic})
    name = f"projects/{river.settings.project}/subscriptions/{NOTIFICATIONS}-ingest"
    subscriber.create_subscription(request={"name": name, "topic": topic, "ack_deadline_seconds": 10})
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "gs://exports/loyalty")
    monkeypatch.setenv("MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC", NOTIFICATIONS)
    with running_gcs(river.settings) as url:
        settings = river.settings.model_copy(update={"gcs_emulator_host": url})
        river = River(settings, river.contracts)

        def upload() -> None:
            bucket = gcs_client(settings).create_bucket("exports")
            bucket.notification(topic_name=NOTIFICATIONS, topic_project=settings.project).create()
            bucket.blob("loyalty/members/a.ndjson").upload_from_string(members(range(40)))
            bucket.blob("loyalty/members/gone.ndjson").upload_from_string(members(range(40)))
            bucket.blob("loyalty/members/gone.ndjson").delete()

        await asyncio.to_thread(upload)
        summary = await begin(river).run(0.5)
        again = await begin(river).run(0.3)
    assert (summary.tables, summary.control, summary.reasons) == ({"members": 40}, 1, {"object_missing": 1})
    assert again.received == 0, "the notifications are acknowledged"
    publisher.stop()
    subscriber.close()


def crash(river: River, tmp_path: Path, boundary: str) -> set[str]:
    """Have a run killed in the middle of a file; return the event ids that the file holds."""
    file = tmp_path / "in/members/a.ndjson"
    file.parent.mkdir(parents=True)
    file.write_bytes(members(range(2_000)))
    variables = {"MILLRACE_INGEST_TRANSPORT": "files", "MILLRACE_INGEST_BATCH_ROWS": "100"}
    with river.start("run", MILLRACE_FAILPOINT=f"{boundary}:crash_after=900", **variables) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert loaded_files(river) == []
    version = FileStore(tmp_path / "in").look_up("members/a.ndjson").etag
    return {f"{file}#{version}:{number}" for number in range(1, 2_001)}


@pytest.mark.parametrize("boundary", ["after_append", "before_ack"])
async def test_a_kill_in_the_middle_of_a_file_loses_no_row(river: River, tmp_path: Path, boundary: str) -> None:
    sent = crash(river, tmp_path, boundary)
    await begin(river).run(0.5)
    landed = river.landed_ids()
    assert set(landed) == sent
    assert len(landed) <= 2 * len(sent)
    assert [(row["state"], row["row_count"]) for row in loaded_files(river)] == [("loaded", 2_000)]


async def test_the_control_recording_a_file_before_its_rows_does_lose_them(river: River, tmp_path: Path) -> None:
    """Were the record written when a file is found, the next run would pass over what the crash left."""
    sent = crash(river, tmp_path, "before_append")
    file = tmp_path / "in/members/a.ndjson"
    version = FileStore(file.parent).look_up("a.ndjson").etag
    now = datetime.now(UTC).isoformat()
    record = {
        "uri": file.as_uri(),
        "version": version,
        "state": "loaded",
        "row_count": 0,
        "loaded_at": now,
        "load_id": "x",
    }
    assert river.bigquery.insert_rows_json(f"{river.settings.project}.audit.loaded_files", [record]) == []
    await begin(river).run(0.5)
    assert sent - set(river.landed_ids())


def test_the_record_table_is_made_by_setup(river: River) -> None:
    set_up(river.settings, river.contracts)
    assert loaded_files(river) == []


async def test_without_the_record_table_a_run_stops_and_says_how_to_make_it(river: River, tmp_path: Path) -> None:
    river.bigquery.delete_table(f"{river.settings.project}.audit.loaded_files")
    (tmp_path / "in/members").mkdir()
    (tmp_path / "in/members/a.ndjson").write_bytes(members(range(3)))
    with pytest.raises(ConfigurationError, match=r"which files were loaded.*ingest setup"):
        await begin(river).run(0.5)


async def test_tables_must_say_which_files_are_theirs(river: River, stand_ins: Settings, tmp_path: Path) -> None:
    shutil.rmtree(river.settings.contracts_path)
    contracts = load_contracts(stand_ins.contracts_path)
    settings = IngestSettings.model_validate(QUICK | {"transport": "files"})
    with pytest.raises(ConfigurationError, match="no contract says which files are its own"):
        await Run(Plan(river.settings, contracts), settings).run(0.3)
