"""Drift over the production protocols: told in the audit, landed all the same, and taken up by `ingest drift`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from google.cloud import bigquery
from ingest_river import NOTIFICATIONS, River, event, new_river, topic_of
from pydantic import SecretStr
from typer.testing import CliRunner

from core.contracts import load_contracts
from core.errors import UsageError
from core.settings import Settings
from devstack.member_api.app import ApiOptions, create_app
from devstack.member_api.server import running_member_api
from devstack.member_api.store import StoredRow, StoreReader, write_store
from ingest.cli import app


@pytest.fixture
def own_river(stand_ins: Settings, tmp_path: Path) -> Iterator[River]:
    """A river whose contracts the test may change."""
    folder = shutil.copytree(stand_ins.contracts_path, tmp_path / "raw")
    river = new_river(stand_ins.model_copy(update={"contracts_path": folder}), load_contracts(folder))
    yield river
    river.close()


def declare_strict(river: River, table: str) -> River:
    """Return the same river with a table that refuses what drifted."""
    path = river.settings.contracts_path / f"{table}.yml"
    path.write_text(path.read_text().replace("            owner:", "            drift: strict\n            owner:", 1))
    return River(river.settings, load_contracts(river.settings.contracts_path), river.sent)


def image(river: River, number: int, **fields: object) -> dict[str, object]:
    """A member of whom every column is told; none but the key and the given fields has a value."""
    nothing: dict[str, object] = {column.name: None for column in river.contracts["members"].columns}
    return nothing | {"member_id": number} | fields


def publish(river: River, *rows: dict[str, object]) -> list[str]:
    return river.publish(
        topic_of("members"),
        [
            {"data": event("members", 1_000 + place, row), "ordering_key": json.dumps({"member_id": row["member_id"]})}
            for place, row in enumerate(rows)
        ],
    )


def audit(river: River) -> list[dict[str, Any]]:
    return sorted(river._table("audit", "schema_drift"), key=lambda row: (row["field"], row["first_seen"]))


def drift(river: River, *arguments: str) -> Any:
    result = CliRunner(env=river.environment()).invoke(app, ["drift", *arguments], catch_exceptions=True)
    structlog.reset_defaults()
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout) if "--json" in arguments else result.output


async def test_drift_is_landed_and_written_down_once(own_river: River) -> None:
    river = own_river
    known, drifted, retyped, _ = publish(
        river,
        image(river, 1),
        image(river, 2, shoe_size=43),
        image(river, 3, first_name=["Ana"], home_store_id="n/a"),
        image(river, 4, shoe_size=44),
    )
    summary = await river.run()
    assert (summary.landed, summary.dead_lettered) == (4, 0)
    payloads = {row["_event_id"]: json.loads(row["payload"]) for row in river.rows("members")}
    assert payloads[drifted]["shoe_size"] == 43
    told = [
        (row["field"], row["change"], row["expected_type"], row["seen_type"], row["sample"], row["event_id"])
        for row in audit(river)
    ]
    assert told == [
        ("first_name", "type_changed", "string", "array<string>", "array(1)", retyped),
        ("home_store_id", "type_changed", "int64", "string", '"n/a"', retyped),
        ("shoe_size", "new_field", None, "int64", "number", drifted),
    ]
    fingerprints = {row["_event_id"]: row["_schema_fingerprint"] for row in river.rows("members")}
    assert [row["schema_fingerprint"] for row in audit(river)] == [fingerprints[known]] * 2 + [fingerprints[drifted]]
    assert {(row["table_name"], row["load_id"]) for row in audit(river)} == {("members", summary.load_id)}
    river.assert_nothing_lost()


async def test_rows_land_though_the_audit_table_is_gone(own_river: River) -> None:
    own_river.bigquery.delete_table(f"{own_river.settings.project}.audit.schema_drift")
    publish(own_river, image(own_river, 1, shoe_size=43), image(own_river, 2))
    with structlog.testing.capture_logs() as logs:
        summary = await own_river.run(append_attempts=2)
    assert (summary.landed, summary.acked) == (2, 2)
    assert "schema drift was not written down" in [line["event"] for line in logs]
    own_river.assert_nothing_lost()


async def test_a_strict_table_refuses_and_keeps_what_drifted(own_river: River) -> None:
    river = declare_strict(own_river, "members")
    good, bad = publish(river, image(river, 1), image(river, 2, shoe_size=43))
    summary = await river.run()
    assert (summary.landed, summary.reasons) == (1, {"schema_drift": 1})
    assert river.landed_ids() == [good]
    [letter] = river.dead_letters()
    assert (letter["event_id"], letter["reason"]) == (bad, "schema_drift")
    assert json.loads(letter["data"])["after"]["shoe_size"] == 43
    assert [row["field"] for row in audit(river)] == ["shoe_size"]
    river.assert_nothing_lost()


@pytest.mark.parametrize("mode", ["allow_new", "strict"])
async def test_what_the_api_answers_is_watched_too(own_river: River, mode: str, tmp_path: Path) -> None:
    river = own_river if mode == "allow_new" else declare_strict(own_river, "member_emails")
    row = dict.fromkeys((column.name for column in river.contracts["member_emails"].columns), None)
    path = tmp_path / "store.sqlite"
    rows = [row | {"email_id": 1, "is_primary": True}, row | {"email_id": 2, "domain": "example.org"}]
    write_store(
        path,
        [
            StoredRow("member_emails", f'{{"email_id":{one["email_id"]}}}', 10, json.dumps(one), "2026-01-02T03:04:05Z")
            for one in rows
        ],
    )
    store = StoreReader(path)
    with running_member_api(create_app(ApiOptions(store, "token", river.contracts))) as url:
        update = {"api_base_url": url, "api_token": SecretStr("token")}
        connected = River(river.settings.model_copy(update=update), river.contracts, river.sent)
        body = {"table": "member_emails", "event": "changed", "version": 10}
        keys = [{"email_id": number} for number in (1, 2)]
        fits, drifted = connected.publish(
            NOTIFICATIONS,
            [{"data": json.dumps(body | {"key": key}).encode(), "ordering_key": json.dumps(key)} for key in keys],
        )
        await connected.run()
    store.close()
    [told] = audit(river)
    assert (told["table_name"], told["field"], told["sample"]) == ("member_emails", "domain", "string(11)")
    assert told["event_id"] == drifted
    refused = {(letter["event_id"], letter["reason"]) for letter in river.dead_letters()}
    assert refused == ({(drifted, "schema_drift")} if mode == "strict" else set())
    assert fits in river.landed_ids()
    river.assert_nothing_lost()


async def test_new_fields_are_taken_up_and_then_stand_no_more(own_river: River) -> None:
    river, settings = own_river, own_river.settings
    publish(river, image(river, 1, shoe_size=43, note=None), image(river, 2, shoe_size=43.5, note=None))
    await river.run()
    river.bigquery.create_dataset(f"{settings.project}.structure")
    structure = f"{settings.project}.structure.members"
    river.bigquery.create_table(bigquery.Table(structure, [bigquery.SchemaField("member_id", "INT64")]))
    path = settings.contracts_path / "members.yml"
    before = path.read_text()

    shown = drift(river, "--table", "members", "--json")
    assert [(one["field"], one["seen_types"]) for one in shown["findings"]] == [
        ("note", ["null"]), ("shoe_size", ["float64", "int64"])
    ]  # fmt: skip
    assert shown["applied"] == []
    [adoption] = shown["adoptions"]
    assert [*adoption["left_out"]] == ["note"]
    assert "alter table" in drift(river)
    assert path.read_text() == before

    told = drift(river, "--apply", "--json")
    assert (told["applied"], told["altered"]) == (["members"], ["members"])
    assert path.read_text().replace(adoption["yaml"], "", 1) == before
    assert load_contracts(settings.contracts_path)["members"].column("shoe_size").data_type == "float64"
    [row] = river.bigquery.query_and_wait(f"select count(shoe_size) as shoes from `{structure}`")
    assert row["shoes"] == 0
    assert [one["field"] for one in drift(river, "--json")["findings"]] == ["note"]


async def test_without_a_structure_table_nothing_is_said_to_have_run(own_river: River) -> None:
    river = own_river
    publish(river, image(river, 1, shoe_size=43, **{"\x1b[2Jgone\n-- fine": 1}))
    await river.run()
    told = drift(river, "--apply")
    assert "-- not run: the structure table is not there" in told
    assert "-- run\n" not in told
    assert "\x1b" not in told
    assert "\\x1b[2Jgone\\n-- fine: new_field" in told
    assert load_contracts(river.settings.contracts_path)["members"].column("shoe_size").data_type == "int64"


def test_a_table_that_nobody_declared_is_named(own_river: River) -> None:
    with pytest.raises(UsageError, match=r"no contract declares memberz; the tables are"):
        drift(own_river, "--table", "memberz")
    assert drift(own_river) == "no schema drift\n"
