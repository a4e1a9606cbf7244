"""A run reads only the partitions that its changes touch, and structure is as if it had read all of them."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import pytest
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from structure_events import Event, Row
from structure_histories import Plan, deliver, histories
from structure_models import with_nodes_of_its_own
from structure_oracle import differences, state
from structure_warehouse import Warehouse, comparable, options

TABLE: Final = "member_interactions"
MODEL: Final = f"str_{TABLE}"
KEYS: Final = 90
LOW: Final = 20
ALWAYS: Final = {"prune_from_rows": 0}
_INTERVAL: Final = 10


@dataclass
class Sent:
    """What dbt sent of the model.

    Attributes:
        statements: in order.
        in_between: rows that land once the model has looked at what this run touches.
    """

    statements: list[str]
    in_between: list[Event]

    def merge(self) -> str:
        """Return the merge."""
        (found,) = [sql for sql in self.statements if "merge into" in sql]
        return found

    def select(self) -> str:
        """Return what makes the table that is merged."""
        (found,) = [sql for sql in self.statements if "create or replace table" in sql]
        return found


@pytest.fixture(scope="module")
def project(structure_warehouse: Warehouse) -> Any:
    """The project with partitions of few keys, so that a small table has many."""
    found = with_nodes_of_its_own(structure_warehouse.manifest)
    config = found.nodes[f"model.millrace.{MODEL}"].config
    assert config["partition_by"]["range"]["interval"] > KEYS
    ranges = {"start": 0, "end": 100 * _INTERVAL, "interval": _INTERVAL}
    config["partition_by"] = copy.deepcopy(config["partition_by"]) | {"range": ranges}
    return found


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse, project: Any) -> Iterator[tuple[list[Event], list[Sent]]]:
    """Histories in four builds: the first half; then of few keys, and truncates; then of the rest; then nothing."""
    warehouse = structure_warehouse
    warehouse.empty(TABLE)
    source = histories(warehouse.contracts[TABLE], 5, Plan(number=KEYS // 3, truncates=3))
    first, second = deliver(source, 5, 2)
    low = [event for event in second if _is_low(event)]
    truncates = [event for event in second if event.key is None]
    rest = [event for event in second if not _is_low(event) and event.key is not None]
    in_between, rest = rest[: len(rest) // 4], rest[len(rest) // 4 :]
    # What a run reads again, the newest ten minutes it has applied, is of few keys, too.
    first += _later([next(event for event in first if _is_low(event))], 1)
    low = _later(truncates, 2) + _later(low, 3)
    in_between, rest = _later(in_between, 4), _later(rest, 5)
    sent = []
    for landing, meanwhile in ((first, []), (low, in_between), (rest, []), ([], [])):
        warehouse.land(landing)
        sent.append(_build(warehouse, project, meanwhile, ALWAYS))
    yield [*first, *low, *in_between, *rest], sent
    warehouse.empty(TABLE)


def _is_low(event: Event) -> bool:
    return event.key is not None and event.key[0] <= LOW


def _later(events: list[Event], days: int) -> list[Event]:
    return [replace(event, landed_at=event.landed_at + timedelta(days=days)) for event in events]


def _build(warehouse: Warehouse, project: Any, in_between: list[Event], variables: dict[str, int]) -> Sent:
    sent = Sent([], list(in_between))

    def listen(event: Any) -> None:
        name = event.info.name
        if name == "SQLQuery" and event.data.node_info.unique_id.endswith(MODEL):
            sent.statements.append(event.data.sql)
        elif name == "SQLQueryStatus" and sent.statements and "names_no_key" in sent.statements[-1]:
            landing, sent.in_between = sent.in_between, []
            warehouse.land(landing)

    command = ["run", "--select", "str_truncates", MODEL, "--vars", json.dumps(variables)]
    fresh = with_nodes_of_its_own(project)
    outcome = dbtRunner(manifest=fresh, callbacks=[listen]).invoke([*command, *options(warehouse.folder)])
    assert outcome.success, outcome.exception or [result.message for result in outcome.result]
    return sent


def test_structure_is_as_if_all_had_been_read(
    structure_warehouse: Warehouse, course: tuple[list[Event], list[Sent]]
) -> None:
    events, _ = course
    contract = structure_warehouse.contracts[TABLE]
    expected: dict[Any, Row] = {key: comparable(contract, row) for key, row in state(contract, events).items()}
    assert not differences(expected, structure_warehouse.structure(TABLE))


def test_only_ranges_that_are_touched_are_named(course: tuple[list[Event], list[Sent]]) -> None:
    _, (_, low, rest, _) = course
    assert _upper_bounds(low.merge()) <= set(range(LOW + 1))
    assert _upper_bounds(low.merge())
    assert _upper_bounds(low.select())
    assert max(_upper_bounds(rest.merge())) > LOW
    # a truncate may delete any row
    assert low.select().count("as held") == rest.select().count("as held") + 1


def test_what_landed_in_between_waits_for_the_next_run(course: tuple[list[Event], list[Sent]]) -> None:
    _, (_, low, _, _) = course
    assert low.in_between == []
    assert max(_upper_bounds(low.merge())) <= LOW


def test_a_merge_of_few_keys_reads_less(structure_warehouse: Warehouse, course: tuple[list[Event], list[Sent]]) -> None:
    _, (_, low, *_) = course
    client = structure_warehouse.client
    client.query_and_wait(f"create or replace table structure.batch as select * from structure.{TABLE} limit 1")
    pruned = re.sub(r"from `[^`]+`\.`structure`\.`\w+__dbt_tmp\w*`", "from structure.batch", low.merge())
    whole = re.sub(r"\(\(?DBT_INTERNAL_DEST\.\w+ between [^)]*\)\)?", "(true)", pruned)
    assert whole != pruned
    assert _bytes(client, pruned) * 3 < _bytes(client, whole)
    client.delete_table("structure.batch")


def test_a_small_table_is_asked_nothing_more_of(structure_warehouse: Warehouse, project: Any) -> None:
    structure_warehouse.empty(TABLE)
    source = histories(structure_warehouse.contracts[TABLE], 6, Plan(number=2))
    for part in deliver(source, 6, 2):
        structure_warehouse.land(part)
        sent = _build(structure_warehouse, project, [], {})
    assert not _upper_bounds(sent.merge())
    assert not _upper_bounds(sent.select())
    structure_warehouse.empty(TABLE)


def _upper_bounds(sql: str) -> set[int]:
    return {int(last) for last in re.findall(r"interaction_id between \d+ and (\d+)", sql)}


def _bytes(client: bigquery.Client, sql: str) -> int:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
    return int(job.total_bytes_processed or 0)
