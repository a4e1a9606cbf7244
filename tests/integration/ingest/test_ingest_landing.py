"""From Pub/Sub to BigQuery over the production protocols: what is sent is landed, or dead-lettered with its reason."""

import json
import signal
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ingest_river import River, event, member, topic_of
from typer.testing import CliRunner

from core.contracts import Contracts
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from ingest.cli import app
from ingest.setup import set_up

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_every_kind_of_change_lands_as_its_row(river: River) -> None:
    before = datetime.now(UTC)
    topic = topic_of("member_preferences")
    key = {"member_id": 7, "channel": "email", "topic": "Angebote für Ämter"}
    text_key = json.dumps(key)
    image = json.dumps(key | {"is_wanted": True, "score": "1.10"})
    source = {"name": "loyalty", "schema": "member", "table": "member_preferences", "ts_us": 1_767_323_045_678_901}

    def change(position: int, **fields: object) -> bytes:
        return json.dumps({"source": source | {"lsn": position}} | fields).encode()

    created = change(1, op="c", before=None, after=0).replace(b'"after": 0', b'"after": ' + image.encode())
    transaction = {"id": "7:9", "total_order": 3, "data_collection_order": 1}
    ids = river.publish(
        topic,
        [
            {
                "data": created,
                "ordering_key": text_key,
                "attributes": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
            },
            {"data": change(2, op="u", before=key, after=key, transaction=transaction), "ordering_key": text_key},
            {"data": change(3, op="d", before=key, after=None), "ordering_key": text_key},
            {"data": b"", "ordering_key": text_key, "attributes": {"kind": "tombstone"}},
            {"data": change(4, op="r", before=None, after=key), "ordering_key": text_key},
            {"data": change(5, op="t", before=None, after=None), "ordering_key": "default"},
        ],
    )
    control = river.publish(topic, [{"data": b'{"ts_ms":1}'}, {"data": b'{"status":"BEGIN","id":"7:9"}'}])
    summary = await river.run()
    assert (summary.received, summary.landed, summary.control, summary.dead_lettered) == (8, 6, 2, 0)
    assert summary.acked == summary.received
    assert summary.tables == {"member_preferences": 6}
    rows = {row["_event_id"]: row for row in river.rows("member_preferences")}
    assert [rows[one]["_op"] for one in ids] == ["INSERT", "UPDATE", "DELETE", "DELETE", "SNAPSHOT", "TRUNCATE"]
    assert [rows[one]["_op_inferred"] for one in ids] == [False, False, False, True, False, False]
    canonical = json.dumps(key, separators=(",", ":"), ensure_ascii=False)
    assert [rows[one]["_key"] for one in ids] == [canonical] * 5 + [None]
    assert [rows[one]["_source_position"] for one in ids] == [
        *(f"{position:020d}" for position in (1, 2, 3)), None, *(f"{position:020d}" for position in (4, 5))
    ]  # fmt: skip
    first, second = rows[ids[0]], rows[ids[1]]
    assert first["payload"] == image
    assert first["_trace_id"] == TRACE
    assert first["_source_ts"] == datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    assert (first["_source_system"], first["_source_table"]) == ("loyalty", "member.member_preferences")
    assert before <= first["_publish_ts"] <= first["_ingestion_ts"] <= datetime.now(UTC)
    assert first["_load_id"] == summary.load_id
    assert len(first["_schema_fingerprint"]) == 16
    assert (first["_source_sequence"], second["_source_sequence"]) == (0, 3)
    assert json.loads(second["before"]) == key
    river.assert_nothing_lost(control)


async def test_poison_is_dead_lettered_whole_and_its_neighbours_land(river: River) -> None:
    attributes = {"origin": "test", "traceparent": "x"}
    [poison, wrong] = river.publish(
        topic_of("members"),
        [
            {"data": b'\xff{"not json', "ordering_key": "k", "attributes": attributes},
            {"data": event("member_emails", 5, {"email_id": 1}), "ordering_key": '{"email_id":1}'},
        ],
    )
    river.publish_members(range(20))
    summary = await river.run()
    assert (summary.landed, summary.dead_lettered) == (20, 2)
    assert summary.reasons == {"invalid_json": 1, "wrong_table": 1}
    letters = {row["event_id"]: row for row in river.dead_letters()}
    letter = letters[poison]
    assert letter["data"] == b'\xff{"not json'
    assert json.loads(letter["attributes"]) == attributes
    assert (letter["reason"], letter["table_name"], letter["ordering_key"]) == ("invalid_json", "members", "k")
    assert (letter["topic"], letter["attempts"]) == (topic_of("members"), 1)
    assert letter["load_id"] == summary.load_id
    copies = {copy.attributes["millrace_event_id"]: copy for copy in river.dead_topic(2)}
    assert copies.keys() == {poison, wrong}
    assert copies[poison].data == letter["data"]
    assert dict(copies[poison].attributes) == attributes | {
        "millrace_reason": "invalid_json",
        "millrace_error": letter["error"],
        "millrace_topic": topic_of("members"),
        "millrace_event_id": poison,
    }
    river.assert_nothing_lost()


async def test_a_row_over_the_limit_is_dead_lettered_and_one_just_under_lands(river: River) -> None:
    key, _ = member(1)
    for size in (7_900_000, 8_100_000):
        _, data = member(1, note="x" * size)
        river.publish(topic_of("members"), [{"data": data, "ordering_key": key}])
    river.publish_members([2])
    summary = await river.run()
    assert (summary.landed, summary.reasons) == (2, {"row_too_large": 1})
    [copy] = river.dead_topic(1)
    assert len(copy.data) > 8_100_000
    river.assert_nothing_lost()


async def test_thousands_land_once_each_within_few_requests(river: River) -> None:
    for start in range(0, 6_000, 1_000):
        river.publish_members(range(start, start + 1_000))
    summary = await river.run(outstanding_messages=500, batch_rows=100)
    assert summary.landed == summary.acked == 6_000
    assert len(river.landed_ids()) == 6_000
    river.assert_nothing_lost()


async def test_setting_up_twice_changes_nothing(river: River) -> None:
    river.publish_members([1])
    river.set_up()
    assert (await river.run()).landed == 1
    table = river.bigquery.get_table(f"{river.settings.project}.raw.members")
    assert table.time_partitioning.field == "_ingestion_ts"
    assert table.clustering_fields == ["_key"]
    assert table.description.startswith("One row per loyalty member")


def test_a_raw_table_is_laid_out_as_its_contract_says(river: River) -> None:
    members = river.contracts["members"]
    contract = replace(members, name="carts", partition_by="hour", cluster_by=("_op", "_key"), retention_days=30)
    set_up(river.settings, Contracts({contract.name: contract}))
    table = river.bigquery.get_table(f"{river.settings.project}.raw.{contract.name}")
    assert (table.time_partitioning.type_, table.clustering_fields) == ("HOUR", ["_op", "_key"])
    assert table.time_partitioning.expiration_ms is None


async def test_a_missing_subscription_is_named_with_its_fix(stand_ins: Settings, river: River) -> None:
    elsewhere = River(stand_ins.model_copy(update={"project": "no-such-project"}), river.contracts)
    with pytest.raises(ConfigurationError, match=r"-ingest: NOT_FOUND.*ingest setup"):
        await elsewhere.run()


async def test_a_service_that_is_not_there_is_unavailable(stand_ins: Settings, river: River) -> None:
    elsewhere = River(stand_ins.model_copy(update={"pubsub_emulator_host": "127.0.0.1:1"}), river.contracts)
    with pytest.raises(UnavailableError, match="UNAVAILABLE"):
        await elsewhere.run()


async def test_a_missing_table_stops_the_run_and_gives_everything_back(river: River) -> None:
    river.bigquery.delete_table(f"{river.settings.project}.raw.members")
    river.publish_members(range(5))
    with pytest.raises(ConfigurationError, match=r"raw/tables/members.*NOT_FOUND"):
        await river.run()
    river.set_up()
    summary = await river.run()
    assert (summary.received, summary.landed) == (5, 5)


def test_the_command_prints_its_summary(river: River) -> None:
    river.publish_members(range(3))
    river.publish(topic_of("member_emails"), [{"data": event("member_emails", 5, {"email_id": 1})}])
    run = river.start("run", "--until-idle", "0.3", "--table", "members", "--json")
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert summary["tables"] == {"members": 3}
    assert summary["received"] == summary["acked"] == 3


def test_doctor_names_each_fault_with_its_fix(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    healthy = runner.invoke(app, ["doctor"])
    lines = healthy.stdout.splitlines()
    [red] = [line for line in lines if not line.startswith("ok")]
    assert red.startswith("RED  API: MillraceError: MILLRACE_API_BASE_URL is not set")
    assert red.endswith("-> set MILLRACE_API_BASE_URL and MILLRACE_API_TOKEN")
    assert (len(lines), healthy.exit_code) == (8, 1)
    river.bigquery.delete_table(f"{river.settings.project}.audit.watermarks")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    sick = runner.invoke(app, ["doctor", "--json"])
    assert sick.exit_code == 1
    checks = {check["name"]: check for check in json.loads(sick.stdout)}
    red = {name for name, check in checks.items() if not check["ok"]}
    assert red >= {"Pub/Sub subscriptions", "dead-letter topic", "BigQuery tables", "API"}
    assert all(checks[name]["fix"] for name in red)
    assert "watermarks" in checks["BigQuery tables"]["detail"]
    assert checks["keys"]["ok"]


def test_a_signal_under_load_lands_or_gives_back_everything(river: River) -> None:
    for start in range(0, 4_000, 1_000):
        river.publish_members(range(start, start + 1_000))
    # Small batches and little in flight, so that the signal finds work half done.
    run = river.start(
        "run", "--json", MILLRACE_INGEST_BATCH_ROWS="20", MILLRACE_INGEST_OUTSTANDING_MESSAGES="200",
        MILLRACE_INGEST_APPEND_CONCURRENCY="1", MILLRACE_INGEST_PROGRESS_S="0.05",
    )  # fmt: skip
    assert run.stderr is not None
    for line in run.stderr:
        if json.loads(line).get("landed", 0) > 0:
            break
    run.send_signal(signal.SIGTERM)
    output, errors = run.communicate()
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert 0 < summary["landed"] < 4_000
    assert summary["acked"] == summary["landed"] == len(river.landed_ids())
