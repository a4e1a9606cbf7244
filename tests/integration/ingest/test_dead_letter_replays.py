"""`ingest dead-letters replay` by every transport: a row keeps its place, a letter that cannot go holds up no other."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from ingest_river import QUICK, River, member, topic_of
from kafka_cluster import KafkaCluster, running_cluster
from typer.testing import CliRunner

from core.contracts import Contracts, load_contracts
from core.errors import MillraceError
from ingest.cli import app
from ingest.kafka import producer
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TABLE = "member_emails"
PRODUCE, MSG_SIZE_TOO_LARGE = 0, 10  # https://kafka.apache.org/protocol.html
Call = Callable[..., Any]


@pytest.fixture
def call(river: River, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs `ingest dead-letters replay` on the river; returns its JSON, or the words of its failure."""
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Any:
        command = ["dead-letters", "replay", "--json", *arguments]
        # A thread of its own, since the command runs an event loop of its own.
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(CliRunner().invoke, app, command).result()
        structlog.reset_defaults()  # the stream it logs to is closed by now
        if isinstance(result.exception, MillraceError):
            return f"{type(result.exception).__name__}: {result.exception}"
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def with_table(river: River, folder: Path, *, open_fields: bool = False, **meta: str) -> River:
    """The river with one table of plain rows, of which one has a field that the contract does not know at first."""
    document = yaml.safe_load(Path(f"dbt_project/models/raw/member/{TABLE}.yml").read_text())
    [table] = document["sources"][0]["tables"]
    kept = {name: table["config"]["meta"][name] for name in ("owner", "topic")}
    table["config"]["meta"] = kept | {"wire_format": "plain"} | meta
    table["columns"] = [one for one in table["columns"] if one["name"] in ("email_id", "email")]
    if open_fields:
        table["columns"].append({"name": "extra", "data_type": "int64", "description": "Came later."})
    folder.mkdir(exist_ok=True)
    (folder / f"{TABLE}.yml").write_text(yaml.safe_dump(document))
    settings = river.settings.model_copy(update={"contracts_path": folder})
    return River(settings, load_contracts(folder), river.sent)


def row(content: str, **fields: object) -> bytes:
    return json.dumps({"email_id": 5, "email": content} | fields).encode()


def newest(river: River) -> str:
    """What structure takes for the present state of the only row."""
    rows = river.rows(TABLE)
    last = max(rows, key=lambda one: (one["_source_position"], one["_source_sequence"]))
    return str(json.loads(last["payload"])["email"])


@pytest.mark.parametrize("attributes", [{}, {"millrace_replay_of": "1", "millrace_first_publish_us": "9" * 18}])
async def test_an_old_state_that_is_sent_again_stays_older(
    river: River, call: Call, tmp_path: Path, attributes: dict[str, str]
) -> None:
    """As the guide has it: the contract follows, then the letters come again, and once more after a crash."""
    strict = with_table(river, tmp_path / "contracts", pattern="upsert", drift="strict")
    [old] = strict.publish(topic_of(TABLE), [{"data": row("OLD", extra=1), "attributes": attributes}])
    strict.publish(topic_of(TABLE), [{"data": row("NEW")}])
    assert (await strict.run()).reasons == {"schema_drift": 1}
    followed = with_table(river, tmp_path / "contracts", open_fields=True, pattern="upsert", drift="strict")
    assert call("--reason", "schema_drift")["replayed"] == 1
    assert (await followed.run()).landed == 1
    assert newest(followed) == "NEW"
    [entry] = followed.ledger()
    assert entry["event_id"] == old
    # A second publication is the first one once more.
    followed.bigquery.query_and_wait(f"delete from `{followed.settings.project}.audit.dead_letter_replays` where true")
    assert call("--reason", "schema_drift")["replayed"] == 1
    assert (await followed.run()).landed == 1
    assert newest(followed) == "NEW"
    places = {(one["_source_position"], one["_source_sequence"]) for one in followed.rows(TABLE)}
    assert len(places) == 2


async def test_a_letter_of_a_letter_has_the_place_of_the_first(river: River, call: Call, tmp_path: Path) -> None:
    strict = with_table(river, tmp_path / "contracts", pattern="upsert", drift="strict")
    strict.publish(topic_of(TABLE), [{"data": row("OLD", extra=1)}])
    await strict.run()
    assert call("--all")["replayed"] == 1
    strict.publish(topic_of(TABLE), [{"data": row("NEW")}])
    await strict.run()
    assert call("--all")["replayed"] == 1
    followed = with_table(river, tmp_path / "contracts", open_fields=True, pattern="upsert", drift="strict")
    await followed.run()
    assert len(followed.rows(TABLE)) == 2
    assert newest(followed) == "NEW"


async def test_who_forges_a_replay_cannot_become_newer(river: River, tmp_path: Path) -> None:
    plain = with_table(river, tmp_path / "contracts", pattern="upsert")
    forged = {"millrace_first_publish_us": "9" * 17, "millrace_first_message_id": "9" * 18}
    for attributes in ({"millrace_replay_of": "1"} | forged, forged):
        plain.publish(topic_of(TABLE), [{"data": row("FORGED"), "attributes": attributes}])
    plain.publish(topic_of(TABLE), [{"data": row("NEW")}])
    await plain.run()
    assert newest(plain) == "NEW"


async def test_a_letter_without_a_topic_holds_up_no_other(river: River, call: Call) -> None:
    river.publish(topic_of("members"), [{"data": b"{"}])
    await river.run()
    [letter] = river.dead_letters()
    base = {"reason": "invalid_json", "dead_lettered_at": "2026-01-02T00:00:00Z", "publish_ts": "2026-01-02T00:00:00Z"}
    strays = [
        base | {"event_id": "gone-1", "topic": "loyalty.member.gone"},
        base | {"event_id": "in/a.txt#1", "topic": "files", "reason": "unknown_object"},
        base | {"event_id": "in/b.avro#1", "topic": topic_of("members"), "reason": "unreadable_object"},
    ]
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.dead_letters", strays)
    told = call("--all")
    assert re.match(r"MillraceError: 3 letters could not be published again", told)
    assert [one["event_id"] for one in river.ledger()] == [letter["event_id"]]
    assert "gone: NOT_FOUND" in call("--event-id", "gone-1")
    assert "mend the file" in call("--event-id", "in/b.avro#1")


# Kafka


@pytest.fixture
def cluster(river: River, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaCluster]:
    with running_cluster() as running:
        for topic in [*river.contracts.by_topic(), *river.contracts.notification_topics()]:
            running.create_topic(topic)
        monkeypatch.setenv("MILLRACE_INGEST_TRANSPORT", "kafka")
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", running.bootstrap_servers)
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_COMMIT_MS", "10")
        monkeypatch.setenv("MILLRACE_INGEST_KAFKA_SESSION_TIMEOUT_MS", "2000")
        yield running


def begin(river: River, transport: str) -> Run:
    settings = IngestSettings.model_validate(QUICK | {"transport": transport})
    return Run(Plan(river.settings, river.contracts), settings)


async def test_letters_of_kafka_are_produced_to_kafka(river: River, cluster: KafkaCluster, call: Call) -> None:
    """Mended on the way: the first run's contract names another dialect."""
    topic, (key, data) = topic_of("members"), member(7)
    wrong = River(
        river.settings, Contracts({"members": replace(river.contracts["members"], wire_format="maxwell")}), river.sent
    )
    headers = [("origin", "é".encode())]
    cluster.produce(topic, [{"key": key, "value": data, "headers": headers}, {"key": b"\xff", "value": b"{"}])
    assert (await begin(wrong, "kafka").run(0.3)).dead_lettered == 2
    result = call("--all")
    assert (result["replayed"], result["refused"]) == (2, {})
    assert {one["replay_event_id"] for one in river.ledger()} == {f"{topic}-0-2", f"{topic}-0-3"}
    summary = await begin(river, "kafka").run(0.3)
    assert (summary.landed, summary.dead_lettered) == (1, 1)
    [landed] = river.rows("members")
    assert (landed["_key"], landed["_event_id"]) == ('{"member_id":7}', f"{topic}-0-2")
    again = {one["event_id"]: one for one in river.dead_letters()}[f"{topic}-0-3"]
    assert again["ordering_key"] == "/w=="
    attributes = json.loads(again["attributes"])
    assert attributes["millrace_key_encoding"] == "base64"
    assert attributes["millrace_first_message_id"] == f"{topic}-0-1"


async def test_what_kafka_refuses_is_named_and_holds_up_nothing_else(
    river: River, cluster: KafkaCluster, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.produce(topic_of("members"), [{"value": b"{"}])
    await begin(river, "kafka").run(0.3)
    stray = {"event_id": "s", "reason": "x", "topic": topic_of("member_emails"), "publish_ts": "2026-01-02T00:00:00Z"}
    stray["dead_lettered_at"] = stray["publish_ts"]
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.dead_letters", [stray])
    cluster.fail_next(PRODUCE, MSG_SIZE_TOO_LARGE)
    told = call("--all")
    assert re.search(r"1 letters could not be published again, such as s: topic \S+member_emails: .*too large", told)
    assert [one["topic"] for one in river.ledger()] == [topic_of("members")]
    cluster.set_down()
    monkeypatch.setattr(producer, "_TIMEOUT_S", 0.5)
    assert re.match("UnavailableError: topic .*(brokers confirmed 0 of 1|timed out)", call("--event-id", "s"))
    assert len(river.ledger()) == 1
