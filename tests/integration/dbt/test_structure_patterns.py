"""Full dumps, incremental extracts and upserts end in the same structure models as events: sent, ingested, built.

Nothing of these tables says what happened to a row; the ingester works it out, and structure must equal what the
source holds after every round, with a tombstone for each key that a complete full dump does not hold any more.
"""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from structure_events import Event, Key, Row
from structure_histories import BEGINNING
from structure_warehouse import ROOT, Warehouse, comparable

from core.contracts import Contracts, TableContract, load_contracts
from core.settings import Settings
from devstack.live.rows import random_row
from devstack.pubsub import stats
from devstack.pubsub.process import running_server
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.setup import set_up
from ingest.stages import Plan

PATTERNS = {
    "member_emails": {"pattern": "full_dump"},
    "member_phones": {"pattern": "incremental", "cursor": "updated_at"},
    "member_cases": {"pattern": "upsert"},
}
MODELS = ("str_truncates", *(f"str_{table}" for table in PATTERNS))
ROUNDS = 3
KEYS = range(1, 16)
SETTINGS = {"ack_deadline_s": 10, "batch_wait_ms": 10, "dump_patience_s": 20}

Tables = dict[str, dict[Key, Row]]


@dataclass(frozen=True)
class Course:
    """What the source held after each round, what structure did, and after a rebuild in the end."""

    truth: list[Tables]
    gone: list[dict[str, set[Key]]]
    held: list[Tables]
    rebuilt: Tables


@dataclass
class Source:
    """Tables of a system that tells no changes.

    Attributes:
        contracts: its tables.
        chooser: what happens.
        rows: what the tables hold.
        known: every key that was ever sent.
        number: the round, from 1.
    """

    contracts: Contracts
    chooser: random.Random
    rows: Tables
    known: dict[str, set[Key]]
    number: int = 0

    def live(self) -> dict[str, list[dict[str, Any]]]:
        """Let every table change, and return the messages of a round, by table."""
        self.number += 1
        return {table: self._round(self.contracts[table]) for table in PATTERNS}

    def _round(self, contract: TableContract) -> list[dict[str, Any]]:
        held = self.rows[contract.name]
        changed = [(key,) for key in self.chooser.sample(KEYS, 8)]
        for key in changed:
            later = BEGINNING + timedelta(hours=self.number, minutes=key[0])
            held[key] = random_row(contract, key, self.chooser) | {"updated_at": later}
        if contract.pattern == "incremental":
            messages = [self._message(contract, key) for key in changed]
        elif contract.pattern == "upsert":
            gone = [key for key in held if key not in changed and self.chooser.random() < 0.3]
            for key in gone:
                del held[key]
            # The row as it is, of some though nothing has changed; and an empty message for what is gone, as in a log.
            same = [key for key in held if key not in changed and self.chooser.random() < 0.5]
            messages = [self._message(contract, key) for key in (*changed, *same, *gone)]
        else:
            for key in [key for key in held if key not in changed and self.chooser.random() < 0.3]:
                del held[key]
            messages = self._dump(contract)
        self.known[contract.name] |= held.keys()
        return messages

    def _dump(self, contract: TableContract) -> list[dict[str, Any]]:
        held, dump = self.rows[contract.name], {"millrace_dump_id": str(self.number)}
        rows = [self._message(contract, key) | {"attributes": dump} for key in held]
        end = {"data": b"", "attributes": dump | {"millrace_dump": "end", "millrace_dump_rows": str(len(rows))}}
        messages = [*rows, *self.chooser.sample(rows, 3), end]
        self.chooser.shuffle(messages)
        return messages

    def _message(self, contract: TableContract, key: Key) -> dict[str, Any]:
        ordering_key = json.dumps(dict(zip((column.name for column in contract.key), key, strict=True)))
        row = self.rows[contract.name].get(key)
        if row is None:
            return {"data": b"", "ordering_key": ordering_key, "attributes": {"op": "delete"}}
        # the forms of the values, but for the cursor's, are those of any event
        event = Event(
            table=contract.name, op="INSERT", event_id=f"{key}{self.number}", landed_at=BEGINNING, key=key, after=row
        )
        payload = json.loads(event.raw(contract)["payload"]) | {"updated_at": row["updated_at"].isoformat()}
        return {"data": json.dumps(payload).encode(), "ordering_key": ordering_key}


def _contracts(folder: Path) -> Contracts:
    """Return the contracts of the tables, of plain rows in the pattern of each."""
    for table, meta in PATTERNS.items():
        document = yaml.safe_load((ROOT / f"dbt_project/models/raw/member/{table}.yml").read_text(encoding="utf-8"))
        [declared] = document["sources"][0]["tables"]
        kept = {name: declared["config"]["meta"][name] for name in ("owner", "topic")}
        declared["config"]["meta"] = kept | {"wire_format": "plain"} | meta
        (folder / f"{table}.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_contracts(folder)


def _publish(publisher: PublisherClient, settings: Settings, contracts: Contracts, messages: Mapping[str, Any]) -> None:
    for table, sent in messages.items():
        topic = f"projects/{settings.project}/topics/{contracts[table].topic}"
        publisher.publish(topic=topic, messages=sent)


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    warehouse = structure_warehouse
    folder = tmp_path_factory.mktemp("contracts")
    contracts = _contracts(folder)
    for table in PATTERNS:
        warehouse.empty(table)
    source = Source(contracts, random.Random(5), {table: {} for table in PATTERNS}, {t: set() for t in PATTERNS})
    truth, gone, held = [], [], []
    with running_server() as address:
        update = {"pubsub_emulator_host": address, "contracts_path": folder}
        settings = warehouse.settings.model_copy(update=update)
        set_up(settings, contracts)
        channel = grpc.insecure_channel(address)
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        for _ in range(ROUNDS):
            _publish(publisher, settings, contracts, source.live())
            # a run that is idle may not have been given everything yet
            while any(each.backlog for name, each in stats.fetch(address).items() if name.endswith("-ingest")):
                asyncio.run(Run(Plan(settings, contracts), IngestSettings.model_validate(SETTINGS)).run(0.3))
            warehouse.build(MODELS)
            truth.append({table: dict(rows) for table, rows in source.rows.items()})
            gone.append({table: source.known[table] - rows.keys() for table, rows in source.rows.items()})
            held.append({table: warehouse.structure(table) for table in PATTERNS})
        channel.close()
    warehouse.build(MODELS, "--full-refresh")
    yield Course(truth, gone, held, {table: warehouse.structure(table) for table in PATTERNS})
    for table in PATTERNS:
        warehouse.empty(table)


@pytest.mark.parametrize("table", PATTERNS)
def test_structure_equals_the_source_after_every_round(
    course: Course, structure_warehouse: Warehouse, table: str
) -> None:
    contract = structure_warehouse.contracts[table]
    names = [column.name for column in contract.columns]
    for truth, held in zip(course.truth, course.held, strict=True):
        live = {key: {name: row[name] for name in names} for key, row in held[table].items() if not row["is_deleted"]}
        assert live == {key: comparable(contract, row) for key, row in truth[table].items()}


@pytest.mark.parametrize("table", PATTERNS)
def test_what_is_gone_is_kept_as_a_tombstone(course: Course, table: str) -> None:
    assert any(gone[table] for gone in course.gone) == (table != "member_phones")  # an extract tells of no deletion
    for gone, held in zip(course.gone, course.held, strict=True):
        deleted = {key: row for key, row in held[table].items() if row["is_deleted"]}
        assert deleted.keys() == gone[table]
        # with what was last known of it
        assert all(row["member_id"] is not None for row in deleted.values())


@pytest.mark.parametrize("table", PATTERNS)
def test_a_rebuild_ends_the_same(course: Course, table: str) -> None:
    assert course.rebuilt[table] == course.held[-1][table]
