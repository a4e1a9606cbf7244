"""A table in Avro, from Pub/Sub into its raw table, with a schema registry that is away when the messages come."""

import asyncio
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest
import yaml
from ingest_river import River, new_river
from schema_registry_server import Registry, serving

from core.contracts import load_contracts
from core.errors import DecodeError, UnavailableError
from core.settings import Settings
from ingest.decode.avro.registry import SchemaRegistry
from ingest.decode.avro.schemas import AvroSchema

EMAILS = Path("dbt_project/models/raw/member/member_emails.yml")
SCHEMA = {"type": "record", "name": "Value", "fields": [
    {"name": "email_id", "type": "long"}, {"name": "email", "type": "string"},
    {"name": "__op", "type": "string"}, {"name": "__lsn", "type": "long"},
]}  # fmt: skip


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as running:
        yield running


@pytest.fixture
def river(stand_ins: Settings, tmp_path: Path) -> Iterator[River]:
    document = yaml.safe_load(EMAILS.read_text())
    meta = document["sources"][0]["tables"][0]["config"]["meta"]
    meta |= {"wire_format": "debezium_flat", "encoding": "avro", "drift": "ignore"}
    (tmp_path / "member_emails.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    river = new_river(stand_ins.model_copy(update={"contracts_path": tmp_path}), load_contracts(tmp_path))
    yield river
    river.close()


def written(number: int, row: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), row)
    return struct.pack(">bI", 0, number) + stream.getvalue()


async def test_messages_wait_for_the_registry_and_only_an_unknown_schema_is_given_up(
    river: River, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", registry.url)
    registry.add("/schemas/ids/8", b"", 503)
    rows = [{"email_id": n, "email": f"{n}@example.org", "__op": "c", "__lsn": n} for n in range(20)]
    messages = [{"data": written(8, row), "ordering_key": json.dumps({"email_id": row["email_id"]})} for row in rows]
    river.publish("loyalty.member.member_emails", messages)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        run = river.begin(group, until_idle_s=0.5)
        while not registry.asked:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.01)
        # Away: all are held, none is landed, refused or acknowledged.
        assert (run.progress.tables.total(), run.progress.reasons.total()) == (0, 0)
        registry.add_schema(8, SCHEMA)
        river.publish("loyalty.member.member_emails", [{"data": written(9, rows[0]), "ordering_key": "x"}])
    assert run.progress.tables.total() == 20
    assert dict(run.progress.reasons) == {"unknown_schema": 1}
    landed = {row["_source_position"]: row["payload"] for row in river.rows("member_emails")}
    assert landed == {f"{row['__lsn']:020d}": json.dumps(row, separators=(",", ":")) for row in rows}
    river.assert_nothing_lost()


async def test_the_control_that_takes_silence_for_an_answer_gives_good_messages_up(
    river: River, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    schema_of = SchemaRegistry.schema

    def impatient(self: SchemaRegistry, number: int) -> AvroSchema:
        try:
            return schema_of(self, number)
        except UnavailableError as error:
            raise DecodeError("unknown_schema", str(error)) from error

    monkeypatch.setattr(SchemaRegistry, "schema", impatient)
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", registry.url)
    registry.add("/schemas/ids/8", b"", 503)
    row = {"email_id": 1, "email": "1@example.org", "__op": "c", "__lsn": 1}
    river.publish("loyalty.member.member_emails", [{"data": written(8, row), "ordering_key": "1"}])
    summary = await river.run()
    assert (summary.landed, summary.reasons) == (0, {"unknown_schema": 1})
