"""`ingest dead-letters` over the production protocols: looked at masked, sent again once, exported whole."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from ingest_river import River, event, topic_of
from typer.testing import CliRunner

from core.errors import ConfigurationError, MillraceError
from core.objects import make_place, open_objects
from core.settings import Settings
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS
from ingest.cli import app
from ingest.dead_letters.archive import open_archive

SECRET = "eva.canary@example.com"


@pytest.fixture
def call(river: River, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `ingest dead-letters` on the river, and returns what it printed, as JSON when it is."""
    for name, value in river.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, code: int = 0) -> Any:
        # A thread of its own, since the command runs an event loop of its own.
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(CliRunner().invoke, app, ["dead-letters", *arguments]).result()
        structlog.reset_defaults()  # the stream it logs to is closed by now
        if isinstance(result.exception, MillraceError):
            assert code == 1, result.exception
            return str(result.exception)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return run


async def poisoned(river: River) -> list[str]:
    """Send poison of two kinds, one of them twice, and have it dead-lettered."""
    ids = river.publish(
        topic_of("members"),
        [
            {"data": b'{"email": "' + SECRET.encode(), "ordering_key": "k1", "attributes": {"origin": SECRET}},
            {"data": event("member_emails", 5, {"email_id": 1, "email": SECRET}), "ordering_key": '{"email_id":1}'},
            {"data": b"\xff\xfe\x00"},
        ],
    )
    await river.run()
    return ids


async def test_letters_are_counted_by_reason_and_table(river: River, call: Callable[..., Any]) -> None:
    assert call("list") == "no dead letters\n"
    first, wrong, binary = await poisoned(river)
    groups = {group["reason"]: group for group in call("list", "--json")}
    assert {reason: group["letters"] for reason, group in groups.items()} == {"invalid_json": 2, "wrong_table": 1}
    assert groups["invalid_json"]["example_event_id"] in (first, binary)
    assert (groups["wrong_table"]["table"], groups["wrong_table"]["topic"]) == ("members", topic_of("members"))
    assert [g["letters"] for g in call("list", "--json", "--reason", "wrong_table", "--table", "members")] == [1]
    assert [g["letters"] for g in call("list", "--json", "--event-id", first, "--event-id", wrong)] == [1, 1]
    assert len(call("list", "--json", "--limit", "1")) == 1
    assert len(call("list", "--json", "--since", "1h", "--topic", topic_of("members"))) == 2
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert call("list", "--json", "--since", later) == []
    assert call("list", "--json", "--until", "2020-01-01") == []
    # What comes from outside is bound, never part of the statement.
    assert call("list", "--json", "--event-id", "' or true --") == []
    assert "no reason" in call("list", "--json", "--reason", "' or true --", code=1)
    text = call("list")
    assert "2  invalid_json  members" in text
    assert SECRET not in text


async def test_a_letter_is_shown_masked_unless_it_is_to_be_revealed(river: River, call: Callable[..., Any]) -> None:
    first, wrong, binary = await poisoned(river)
    for event_id in (first, wrong):
        assert SECRET not in call("show", event_id)
        assert SECRET in call("show", event_id, "--reveal")
    shape = call("show", first, "--json")
    assert shape["data"] == '{"xxxxx": "xxx.xxxxxx@xxxxxxx.xxx'
    assert shape["attributes"] == {"origin": "xxx.xxxxxx@xxxxxxx.xxx"}
    assert (shape["ordering_key"], shape["data_bytes"]) == ("x0", 33)
    assert json.loads(call("show", wrong, "--json")["data"])["after"] == {
        "email_id": "<int>", "email": "xxx.xxxxxx@xxxxxxx.xxx"
    }  # fmt: skip
    assert call("show", binary, "--json")["data"] == "<3 bytes that are no text>"
    assert call("show", binary, "--reveal", "--json")["data"].startswith("00000000  ff fe 00 ")
    assert call("show", first, "--reveal", "--json", "--max-bytes", "5")["data"] == '{"ema'
    assert "there is no dead letter 'none'" in call("show", "none", code=1)


async def test_a_letter_lands_once_its_cause_is_mended(river: River, call: Callable[..., Any]) -> None:
    data = event("members", 7, {"member_id": 7})
    _insert(
        river, event_id="1", reason="missing_key", ordering_key='{"member_id":7}', data=data, attributes='{"a":"b"}'
    )
    [plan] = call("replay", "--reason", "missing_key", "--dry-run", "--json")
    assert plan["letters"] == 1
    assert not river.ledger()
    result = call("replay", "--reason", "missing_key", "--json")
    assert (result["replayed"], result["unreadable"], result["refused"]) == (1, {}, {})
    [entry] = river.ledger()
    assert (entry["event_id"], entry["topic"], entry["replay_id"]) == ("1", topic_of("members"), result["replay_id"])
    summary = await river.run()
    assert (summary.landed, summary.dead_lettered) == (1, 0)
    [row] = river.rows("members")
    assert (row["_key"], row["_event_id"]) == ('{"member_id":7}', entry["replay_event_id"])
    assert call("replay", "--all", "--json")["replayed"] == 0


async def test_what_still_is_poison_becomes_a_letter_of_its_own(river: River, call: Callable[..., Any]) -> None:
    [poison] = river.publish(topic_of("members"), [{"data": b"{", "ordering_key": "k"}])
    await river.run()
    assert "1 published again" in call("replay", "--reason", "invalid_json")
    [entry] = river.ledger()
    river.sent.add(entry["replay_event_id"])
    await river.run()
    river.assert_nothing_lost()
    again = {row["event_id"]: row for row in river.dead_letters()}[entry["replay_event_id"]]
    attributes = json.loads(again["attributes"])
    assert (again["data"], attributes["millrace_replay_of"]) == (b"{", poison)
    assert attributes["millrace_first_message_id"] == poison
    assert [(group["letters"], group["replayed"]) for group in call("list", "--json")] == [(2, 1)]
    assert "1 published again" in call("replay", "--event-id", entry["replay_event_id"])


async def test_a_crash_between_publishing_and_the_ledger_costs_a_repetition_that_the_merge_absorbs(
    river: River, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = event("members", 7, {"member_id": 7})
    _insert(river, event_id="1", reason="missing_key", ordering_key='{"member_id":7}', data=data)
    assert _interrupted(call, monkeypatch) == ["1"]
    assert not river.ledger()
    assert call("replay", "--all", "--json")["replayed"] == 1
    summary = await river.run()
    assert summary.landed == 2
    # By these structure orders and merges, so the two are one change.
    same = ("_key", "_source_position", "_source_sequence", "_source_ts", "_op", "payload")
    assert len({tuple(row[name] for name in same) for row in river.rows("members")}) == 1


def _interrupted(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replay with a ledger that cannot be reached, once Pub/Sub has the messages."""
    from ingest.dead_letters.replay import Replay

    sent: list[str] = []
    publish = Replay._publish

    async def then_die(self: Any, pubsub: Any, messages: Any) -> Any:
        sent.extend(letter.event_id for letter, _ in await publish(self, pubsub, messages))
        raise ConfigurationError("the process ends here")

    with monkeypatch.context() as broken:
        broken.setattr(Replay, "_publish", then_die)
        assert call("replay", "--all", code=1) == "the process ends here"
    return sent


async def test_what_was_cut_is_not_sent_again_as_if_it_were_whole(
    river: River, call: Callable[..., Any], tmp_path: Path
) -> None:
    data = b"[" + b"7" * 8_000_000
    [large] = river.publish(topic_of("members"), [{"data": data}])
    [small] = river.publish(topic_of("members"), [{"data": b"{"}])
    await river.run()
    error = call("replay", "--all", "--json", code=1)
    assert re.search(rf"1 letters could not be published again, such as {large}: .*was cut", error)
    assert [row["event_id"] for row in river.ledger()] == [small]
    assert "was cut" in call("export", str(tmp_path / "letters.ndjson"), code=1)
    assert "was cut" in call("show", large)


async def test_a_body_that_fits_no_row_is_kept_whole_beside_the_table(
    river: River, call: Callable[..., Any], tmp_path: Path
) -> None:
    data = b"[" + b"7" * 8_000_000
    name = hashlib.sha256(data).hexdigest()
    store = open_objects(tmp_path.as_uri(), river.settings)
    uri = store.put(f"dead-letters/{topic_of('members')}/{name}", data)
    _insert(river, event_id="1", data_uri=uri, data_bytes=len(data))
    assert open_archive(river.settings).body(_only(river)) == data
    assert call("show", "1", "--json")["data_bytes"] == len(data)
    assert call("replay", "--event-id", "1", "--json")["replayed"] == 1
    target = tmp_path / "letters.ndjson"
    call("export", str(target))
    [line] = target.read_text().splitlines()
    assert base64.b64decode(json.loads(line)["data"]) == data


def _insert(river: River, **values: Any) -> None:
    now = datetime.now(UTC).isoformat()
    row = {"reason": "row_too_large", "topic": topic_of("members"), "dead_lettered_at": now, "publish_ts": now} | values
    if "data" in row:
        row["data"] = base64.b64encode(row["data"]).decode()
    assert not river.bigquery.insert_rows_json(f"{river.settings.project}.audit.dead_letters", [row])


def _only(river: River) -> Any:
    from ingest.dead_letters.show import find

    [row] = river.dead_letters()
    return find(open_archive(river.settings), row["event_id"])


async def test_an_export_is_whole_private_and_goes_on_where_it_stopped(
    river: River, call: Callable[..., Any], tmp_path: Path
) -> None:
    ids = await poisoned(river)
    target = tmp_path / "letters.ndjson"
    assert "3 letters would be written" in call("export", str(target), "--dry-run")
    assert not target.exists()
    result = call("export", str(target), "--json")
    assert (result["letters"], result["resumed"], result["bytes"]) == (3, 0, target.stat().st_size)
    assert target.stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["event_id"] for line in lines] == ids
    kept = {row["event_id"]: row["data"] for row in river.dead_letters()}
    assert {line["event_id"]: base64.b64decode(line["data"]) for line in lines} == kept
    assert lines[0]["attributes"] == {"origin": SECRET}
    assert "is there already" in call("export", str(target), code=1)
    # A crash in the middle of the second line.
    whole = target.read_bytes()
    first_line = whole.index(b"\n") + 1
    target.rename(tmp_path / "letters.ndjson.part").write_bytes(whole[: first_line + 40])
    result = call("export", target.as_uri(), "--json")
    assert (result["letters"], result["resumed"]) == (3, 1)
    assert target.read_bytes() == whole
    assert not target.with_name("letters.ndjson.part").exists()


async def test_what_pubsub_refuses_is_named_and_holds_up_nothing_else(river: River, call: Callable[..., Any]) -> None:
    full = {f"name{number}": "value" for number in range(100)}  # as many as a message may have; one more is refused
    for event_id, attributes in (("1", {}), ("2", full), ("3", {})):
        _insert(river, event_id=event_id, data=b"{", attributes=json.dumps(attributes))
    error = call("replay", "--all", "--json", code=1)
    assert re.search("1 letters could not be published again, such as 2: .*attributes", error)
    assert {row["event_id"] for row in river.ledger()} == {"1", "3"}


async def test_an_export_to_object_storage_is_one_object(
    river: River, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await poisoned(river)
    with running_s3() as address:
        for name, value in {**DUMMY_CREDENTIALS, "AWS_ENDPOINT_URL_S3": address.url}.items():
            monkeypatch.setenv(name, value)
        make_place("s3://letters", Settings(s3_endpoint_url=address.url))
        result = call("export", "s3://letters/today/all.ndjson", "--json")
        text = open_objects("s3://letters/today", Settings(s3_endpoint_url=address.url)).get("all.ndjson")
    assert (result["target"], result["letters"], result["bytes"]) == ("s3://letters/today/all.ndjson", 3, len(text))
    assert [json.loads(line)["event_id"] for line in text.splitlines()] == ids


def test_an_export_to_a_place_that_cannot_be_written_is_told(
    river: River, call: Callable[..., Any], tmp_path: Path
) -> None:
    assert "cannot be used: No such file or directory" in call("export", str(tmp_path / "no" / "where"), code=1)
    (tmp_path / "mine.part").write_text("something else\n")
    assert "is no export that broke off" in call("export", str(tmp_path / "mine"), code=1)
    assert (tmp_path / "mine.part").read_text() == "something else\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "--limit", "5"],
        ["replay", "--all", "--since", "yesterday"],
        ["list", "--since", "1h", "--until", "2h"],
        ["list", "--until", "2026-13-01"],
        ["list", "--limit", "0"],
        ["show"],
        ["export"],
    ],
)
def test_wrong_use_is_told_apart_from_failure(call: Callable[..., Any], arguments: list[str]) -> None:
    call(*arguments, code=2)


def test_tables_that_are_not_there_are_named_with_their_fix(river: River, call: Callable[..., Any]) -> None:
    river.bigquery.delete_table(f"{river.settings.project}.audit.dead_letter_replays")
    assert re.search("dead_letter_replays.*ingest setup", call("list", code=1), re.DOTALL)


def test_setting_up_again_adds_the_columns_that_an_older_table_lacks(river: River) -> None:
    name = f"{river.settings.project}.audit.dead_letters"
    table = river.bigquery.get_table(name)
    river.bigquery.delete_table(name)
    table.schema = [field for field in table.schema if not field.name.startswith("data_")]
    river.bigquery.create_table(table)
    river.set_up()
    assert {"data_bytes", "data_uri"} < {field.name for field in river.bigquery.get_table(name).schema}
