"""Structure equals the source, whatever the order, repetition and lateness of delivery; increments equal a rebuild.

Hypothesis writes hundreds of histories; all of them share one run of the river: Pub/Sub, `ingest run`,
`dbt build`, in three increments. A failure names the histories, each of which is a few steps long.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery
from histories import TABLES, TRUNCATED, History, Source, Tables, deliver, histories, live
from hypothesis import HealthCheck, Phase, given, settings

from core.clients import bigquery_client
from core.contracts import Contracts, TableContract, load_contracts
from core.identifiers import qualified
from devstack.commands import run_json, run_text
from devstack.stack import Stack
from devstack.world.publish import publish

# The first test waits for the whole river: three increments and a rebuild.
pytestmark = pytest.mark.timeout(900)

HISTORIES = 300
INCREMENTS = 3
MODELS = [f"str_{table}" for table in TABLES]


def collect() -> list[History]:
    found: list[History] = []

    @settings(
        max_examples=HISTORIES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(histories)
    def remember(history: History) -> None:
        found.append(history)

    remember()
    return found


class River:
    """What the histories ended in, at the source and in the warehouse."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._environment = {**stack.environment(), "MILLRACE_LOG_FORMAT": "json"}
        self._settings = stack.settings()
        self._folder = folder
        self.contracts = load_contracts(self._settings.contracts_path)
        self.stories = collect()
        chooser = random.Random(1)
        self.source: Source = live(self.contracts, self.stories, chooser, truncates=2)
        run_text("ingest", ["setup"], self._environment, folder / "ingest.log")
        self.sent = 0
        self.landed = 0
        for part in deliver(self.contracts, self.source.log, chooser, INCREMENTS):
            self.sent += publish(part, self._settings)
            summary = run_json("ingest", ["run", "--until-idle", "1"], self._environment, folder / "ingest.log")
            self.landed += summary["landed"]
            self.build()
        self.incremental = self.structure()
        self.tombstones = self.structure(deleted=True)
        self.build("--full-refresh")
        self.rebuilt = self.structure()
        self.rebuilt_tombstones = self.structure(deleted=True)

    def build(self, *arguments: str) -> None:
        # Buildable: tests that also need a table of another model are left out.
        command = ["--quiet", "build", "--exclude-resource-type", "unit_test", "--indirect-selection", "buildable"]
        command += ["--select", "str_erasures", "str_truncates", *MODELS]
        run_text("dbt", [*command, *arguments], self._environment, self._folder / "dbt.log")

    def structure(self, *, deleted: bool = False) -> Tables:
        with bigquery_client(self._settings) as client:
            return {table: self._rows(client, self.contracts[table], deleted) for table in TABLES}

    def _rows(self, client: bigquery.Client, contract: TableContract, deleted: bool) -> dict[Any, Any]:
        table = qualified(self._settings.project, "structure", contract.name)
        rows = client.query_and_wait(f"select * from {table} where is_deleted = {deleted}")
        found: dict[Any, Any] = {}
        for row in rows:
            key = tuple(row[column.name] for column in contract.key)
            assert key not in found, f"{contract.name} holds {key} twice"
            found[key] = {column.name: _plain(row[column.name]) for column in contract.columns}
        return found


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _source(contracts: Contracts, tables: Tables) -> Tables:
    return {
        name: {
            key: {
                column.name: _plain(
                    json.loads(str(row[column.name]))
                    if column.data_type == "json" and row[column.name] is not None
                    else row[column.name]
                )
                for column in contracts[name].columns
            }
            for key, row in rows.items()
        }
        for name, rows in tables.items()
    }


@pytest.fixture(scope="module")
def river(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> River:
    return River(stack, tmp_path_factory.mktemp("river"))


def _differences(expected: Tables, found: Tables) -> list[str]:
    return [
        f"{table} {key}: {found[table].get(key)} instead of {expected[table].get(key)}"
        for table in expected
        for key in expected[table].keys() | found[table].keys()
        if expected[table].get(key) != found[table].get(key)
    ]


def test_the_histories_are_many_and_eventful(river: River) -> None:
    ops = {change.op for change in river.source.log}
    assert len(river.stories) >= HISTORIES * 0.9
    assert ops == {"c", "u", "d", "t"}
    assert any(change.table == TRUNCATED and change.op == "t" for change in river.source.log)
    assert all(river.source.tables.values())


def test_everything_sent_has_landed(river: River) -> None:
    assert river.landed == river.sent


def test_structure_equals_the_source(river: River) -> None:
    assert not _differences(_source(river.contracts, river.source.tables), river.incremental)


def test_increments_equal_a_rebuild(river: River) -> None:
    assert not _differences(river.incremental, river.rebuilt)
    assert {t: set(rows) for t, rows in river.tombstones.items()} == {
        t: set(rows) for t, rows in river.rebuilt_tombstones.items()
    }


def test_what_was_deleted_stays_as_a_tombstone(river: River) -> None:
    for table, rows in river.source.tables.items():
        ever = {change.key for change in river.source.log if change.table == table and change.key}
        assert set(river.tombstones[table]) == ever - set(rows)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda log: log[::-1], id="the first change wins"),
        pytest.param(lambda log: [change for change in log if change.op != "d"], id="deletes are lost"),
        pytest.param(lambda log: [change for change in log if change.op != "t"], id="truncates are lost"),
    ],
)
def test_a_wrong_truth_would_be_noticed(river: River, wrong: Callable[[list[Any]], list[Any]]) -> None:
    """The control: were the river to apply changes like this, the comparison above would fail."""
    tables: Tables = {table: {} for table in TABLES}
    for change in wrong(river.source.log):
        if change.op == "t":
            tables[change.table].clear()
        elif change.after is None:
            tables[change.table].pop(change.key, None)
        else:
            tables[change.table][change.key] = change.after
    assert _differences(_source(river.contracts, tables), river.incremental)
