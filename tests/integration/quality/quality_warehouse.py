"""A local BigQuery whose every zone is built and clean, and every rule of the project as SQL that can be run alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bigquery_json import json_value, schema_field
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from parsed_project import for_one_command, options

from core.clients import bigquery_client
from core.contracts import Contracts, TableContract
from core.settings import Settings
from devstack.world import Key, World
from devstack.world.shares import Shares
from ingest.setup import raw_table

ROOT: Final = Path(__file__).parents[3]
_METADATA: Final = {
    "is_deleted": "bool",
    "_op": "string",
    "_key": "string",
    "_source_system": "string",
    "_source_ts": "timestamp",
    "_source_position": "string",
    "_source_sequence": "int64",
    "_event_id": "string",
    "_ingestion_ts": "timestamp",
    "_carried": "string",
}
_AT_ONCE: Final = 10
# Neither edge values nor emptied columns: what is clean must pass every rule.
_PLAIN: Final = Shares(edge_rows=0, null_rows=0)


@dataclass(frozen=True, eq=False)
class Rule:
    """A data test of the project, compiled.

    Attributes:
        name: its name.
        kind: the generic test it is.
        model: the model, snapshot, seed or source it is declared on.
        arguments: what it was given.
        relation: the tested table, as the SQL names it.
        sql: one statement that measures.
        config: its configuration.
    """

    name: str
    kind: str
    model: str
    arguments: Mapping[str, Any]
    relation: str
    sql: str
    config: Any


@dataclass(frozen=True)
class Warehouse:
    """The warehouse and its rules.

    Attributes:
        client: talks to it.
        rules: every generic data test.
        columns: GoogleSQL type by column, by relation.
        dbt: runs dbt on it.
    """

    client: bigquery.Client
    rules: tuple[Rule, ...]
    columns: Mapping[str, Mapping[str, str]]
    dbt: "Dbt"

    def violations(self, asked: Sequence[tuple[Rule, str | None]]) -> list[int]:
        """Measure rules.

        Args:
            asked: rules, each with a query to read instead of the tested table, if any.

        Returns:
            How many rows violate each.
        """
        return [int(value) for value in self._measured("violations", asked)]

    def keys_named(self, asked: Sequence[tuple[Rule, str | None]]) -> list[int]:
        """Count the failing keys that rules name; a key that is null counts for none.

        Args:
            asked: as of `violations`.

        Returns:
            How many keys each names.
        """
        counted = "if((select logical_or(key is null) from unnest(failing_keys) as key), 0, array_length(failing_keys))"
        return [int(value) for value in self._measured(counted, asked)]

    def _measured(self, expression: str, asked: Sequence[tuple[Rule, str | None]]) -> list[Any]:
        found: dict[int, Any] = {}
        for first in range(0, len(asked), _AT_ONCE):
            parts = [
                f"select {number} as number, {expression} as measure from ({_sql(*asked[number])})"
                for number in range(first, min(first + _AT_ONCE, len(asked)))
            ]
            rows = self.client.query_and_wait(" union all ".join(parts))
            found |= {row["number"]: row["measure"] for row in rows}
        return [found[number] for number in range(len(asked))]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        return [dict(row.items()) for row in self.client.query_and_wait(sql)]


def _sql(rule: Rule, source: str | None) -> str:
    return rule.sql if source is None else rule.sql.replace(rule.relation, f"({source})")


class Dbt:
    """dbt in this process.

    Args:
        folder: scratch space.
        as_of: the instant to build for.
        manifest: the project, as dbt parsed it.
    """

    def __init__(self, folder: Path, as_of: datetime, manifest: Any) -> None:
        self._options = [
            *(*options(folder), "--no-write-json", "--log-level-file", "warn", "--threads", "4"),
            *("--vars", json.dumps({"as_of": as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})),
        ]
        self._manifest = manifest

    def __call__(self, *arguments: str) -> Any:
        """Run a command and return what dbt returns, successful or not."""
        return dbtRunner(manifest=for_one_command(self._manifest)).invoke([*arguments, *self._options])

    def rules(self) -> Iterator[Rule]:
        """Compile every data test as it would run now."""
        outcome = self("compile", "--select", "test_type:generic")
        assert outcome.success, outcome.exception
        for result in outcome.result.results:
            node = result.node
            attached = self._manifest.nodes.get(node.attached_node) or self._manifest.sources[node.depends_on.nodes[0]]
            yield Rule(
                name=node.name,
                kind=node.test_metadata.name,
                model=attached.name,
                arguments=node.test_metadata.kwargs,
                relation=attached.relation_name,
                sql=node.compiled_code,
                config=node.config,
            )


def load(client: bigquery.Client, settings: Settings, contracts: Contracts, world: World) -> None:
    """Put the truth of a world into the structure tables, beside raw tables that hold nothing.

    Args:
        client: a local BigQuery.
        settings: names of its datasets.
        contracts: the tables.
        world: the rows.
    """
    for dataset in ("raw", "structure"):
        client.create_dataset(dataset)
    truth = world.truth()
    for contract in contracts.values():
        client.create_table(raw_table(settings, contract))
        columns = {column.name: str(column.data_type) for column in contract.columns} | _METADATA
        schema = [schema_field(*item) for item in columns.items()]
        made = client.create_table(bigquery.Table(f"{settings.project}.structure.{contract.name}", schema=schema))
        # of a member who was erased the truth knows nothing, while structure would keep the row as deleted
        known = [{**row, **_known_referrer(row, truth["members"])} for row in truth[contract.name].values()]
        rows = [_structure_row(contract, number, row, world) for number, row in enumerate(known)]
        assert client.insert_rows_json(made, rows) == []


@contextmanager
def make(settings: Settings, contracts: Contracts, folder: Path, manifest: Any) -> Iterator[Warehouse]:
    """Build every zone, test it once, and compile the rules, which then know what they found.

    Args:
        settings: where an empty local BigQuery is.
        contracts: the tables.
        folder: scratch space.
        manifest: the project, as dbt parsed it.

    Yields:
        The warehouse.
    """
    world = World(20260301, 180, contracts, shares=_PLAIN)
    world.evolve(3_200, span=timedelta(days=1))
    with bigquery_client(settings) as client:
        load(client, settings, contracts, world)
        dbt = Dbt(folder, world.now, manifest)
        selected = ("--exclude-resource-type", "test", "unit_test", "--exclude", *map("str_{}".format, contracts))
        built = dbt(
            "build", *selected, "--select", "resource_type:model", "resource_type:snapshot", "resource_type:seed"
        )
        assert built.success, built.exception or [f"{r.node.name}: {r.message}" for r in built.result]
        # the rules that compare with their own past need one
        tested = dbt("test", "--select", *("test_name:row_count_steady", "test_name:has_no_overlap"))
        assert tested.success, tested.exception or [f"{r.node.name}: {r.message}" for r in tested.result if r.message]
        rules = tuple(dbt.rules())
        yield Warehouse(client, rules, {rule.relation: _columns(client, rule.relation) for rule in rules}, dbt)


def _known_referrer(row: Mapping[str, Any], members: Mapping[Key, Any]) -> dict[str, Any]:
    known = "referrer_member_id" not in row or (row["referrer_member_id"],) in members
    return {} if known else {"referrer_member_id": None}


def _columns(client: bigquery.Client, relation: str) -> Mapping[str, str]:
    table = client.get_table(relation.replace("`", ""))
    return {
        field.name: f"array<{field.field_type}>" if field.mode == "REPEATED" else field.field_type
        for field in table.schema
    }


def _structure_row(contract: TableContract, number: int, row: Mapping[str, Any], world: World) -> dict[str, Any]:
    metadata = {
        "is_deleted": False,
        "_op": "INSERT",
        "_key": str(number),
        "_source_system": "loyalty",
        "_source_ts": world.now,
        "_source_position": f"{number:020d}",
        "_source_sequence": 0,
        "_event_id": f"{contract.name}-{number}",
        "_ingestion_ts": world.now,
        "_carried": None,
    }
    return {name: json_value(value) for name, value in {**row, **metadata}.items()}
