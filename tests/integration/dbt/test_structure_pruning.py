"""A run reads only what its changes touch, and structure is as if it had read all of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Any, Final

import pytest
from dbt.cli.main import dbtRunner
from structure_events import Event, Row
from structure_histories import Plan, deliver, histories
from structure_models import with_nodes_of_its_own, with_small_partitions
from structure_oracle import differences, state
from structure_warehouse import Warehouse, comparable, options

INTERVALS: Final = {"member_interactions": 30, "member_preferences": 10}
"""Keys of a partition: of a table with a key of one column, and one that is partitioned by the first of several."""
LOW: Final = {"member_interactions": 20, "member_preferences": 7}
"""The greatest key, or part of it, that one of the builds is about."""
ALWAYS: Final = {"prune_from_rows": 0}
FEW: Final = 20


@dataclass
class Sent:
    """What dbt sent of some models.

    Attributes:
        in_between: rows that land once a model has looked at what this run touches, by table.
        statements: in order, by table.
    """

    in_between: dict[str, list[Event]]
    statements: dict[str, list[str]] = field(default_factory=dict)

    def merge(self, table: str) -> str:
        """Return the merge."""
        (found,) = [sql for sql in self.statements[table] if "merge into" in sql]
        return found

    def select(self, table: str) -> str:
        """Return what makes the table that is merged."""
        (found,) = [sql for sql in self.statements[table] if "create or replace table" in sql]
        return found


@pytest.fixture(scope="module")
def project(structure_warehouse: Warehouse) -> Any:
    return with_small_partitions(structure_warehouse.manifest, INTERVALS)


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse, project: Any) -> Iterator[tuple[dict[str, list[Event]], list[Sent]]]:
    """Histories in four builds: the first half; then of few keys, and truncates; then of the rest; then nothing."""
    warehouse = structure_warehouse
    landings: dict[str, list[list[Event]]] = {}
    for table in INTERVALS:
        warehouse.empty(table)
        landings[table] = _landings(warehouse, table)
    sent = []
    for first, meanwhile in ((0, None), (1, 2), (3, None), (None, None)):
        for landing in landings.values():
            warehouse.land(landing[first] if first is not None else [])
        in_between = {table: landing[meanwhile] if meanwhile else [] for table, landing in landings.items()}
        sent.append(_build(warehouse, project, in_between, ALWAYS))
    yield {table: [*chain(*landing)] for table, landing in landings.items()}, sent
    for table in INTERVALS:
        warehouse.empty(table)


def _landings(warehouse: Warehouse, table: str) -> list[list[Event]]:
    """Return what lands first, then of few keys, then between two looks of that run, then of the rest."""
    source = histories(warehouse.contracts[table], 5, Plan(number=30, truncates=3))
    first, second = deliver(source, 5, 2)
    low = [event for event in second if _is_low(event)]
    truncates = [event for event in second if event.key is None]
    rest = [event for event in second if not _is_low(event) and event.key is not None]
    # What a run reads again, the newest ten minutes it has applied, is of few keys, too.
    first += _later([next(event for event in first if _is_low(event))], 1)
    quarter = len(rest) // 4
    return [first, _later(truncates, 2) + _later(low, 3), _later(rest[:quarter], 4), _later(rest[quarter:], 5)]


def _is_low(event: Event) -> bool:
    return event.key is not None and event.key[0] <= LOW[event.table]


def _later(events: list[Event], days: int) -> list[Event]:
    return [replace(event, landed_at=event.landed_at + timedelta(days=days)) for event in events]


def _build(warehouse: Warehouse, project: Any, in_between: dict[str, list[Event]], variables: dict[str, int]) -> Sent:
    sent = Sent(dict(in_between))

    def listen(event: Any) -> None:
        name = event.info.name
        if name not in {"SQLQuery", "SQLQueryStatus"}:
            return
        table = event.data.node_info.unique_id.removeprefix("model.millrace.str_")
        if table in in_between and name == "SQLQuery":
            sent.statements.setdefault(table, []).append(event.data.sql)
        elif "names_no_key" in sent.statements.get(table, [""])[-1]:
            warehouse.land(sent.in_between.pop(table, []))

    models = ["str_truncates", *(f"str_{table}" for table in in_between)]
    command = ["run", "--select", *models, "--vars", json.dumps(variables)]
    fresh = with_nodes_of_its_own(project)
    outcome = dbtRunner(manifest=fresh, callbacks=[listen]).invoke([*command, *options(warehouse.folder)])
    assert outcome.success, outcome.exception or [result.message for result in outcome.result]
    return sent


@pytest.mark.parametrize("table", INTERVALS)
def test_structure_is_as_if_all_had_been_read(
    structure_warehouse: Warehouse, course: tuple[dict[str, list[Event]], list[Sent]], table: str
) -> None:
    events, _ = course
    contract = structure_warehouse.contracts[table]
    expected: dict[Any, Row] = {key: comparable(contract, row) for key, row in state(contract, events[table]).items()}
    assert not differences(expected, structure_warehouse.structure(table))


@pytest.mark.parametrize("table", INTERVALS)
def test_only_what_is_touched_is_named(course: tuple[dict[str, list[Event]], list[Sent]], table: str) -> None:
    _, (_, low, rest, _) = course
    assert low.in_between == {}  # it has landed, and waits for the next run
    assert 0 < max(_named(low.merge(table))) <= LOW[table]
    assert 0 < max(_named(low.select(table))) <= LOW[table]
    assert max(_named(rest.merge(table))) > LOW[table]
    # a truncate may delete any row
    assert low.select(table).count("as held") == rest.select(table).count("as held") + 1


def test_what_is_touched_is_asked_once(course: tuple[dict[str, list[Event]], list[Sent]]) -> None:
    _, (_, low, rest, _) = course
    for table in INTERVALS:
        assert sum("as partition_number" in sql for sql in rest.statements[table]) == 1
        # a truncate adds rows to what is merged, of any key
        assert sum("as partition_number" in sql for sql in low.statements[table]) == 2


def test_many_keys_of_a_partition_are_named_by_their_range(
    course: tuple[dict[str, list[Event]], list[Sent]],
) -> None:
    _, (_, low, rest, _) = course
    few, many = (sent.merge("member_interactions") for sent in (low, rest))
    assert re.search(r"interaction_id in \(\d", few)
    assert not re.search(r"interaction_id between", few)
    assert re.search(r"interaction_id between \d+ and \d+", many)


def test_a_small_table_is_asked_nothing_more_of(structure_warehouse: Warehouse, project: Any) -> None:
    table = "member_interactions"
    structure_warehouse.empty(table)
    source = histories(structure_warehouse.contracts[table], 6, Plan(number=2))
    for part in deliver(source, 6, 2):
        structure_warehouse.land(part)
        sent = _build(structure_warehouse, project, {table: []}, {})
    assert not _named(sent.merge(table))
    assert not _named(sent.select(table))
    structure_warehouse.empty(table)


def test_a_table_that_stands_without_partitions_gets_them_by_a_full_refresh(
    structure_warehouse: Warehouse, project: Any
) -> None:
    warehouse, table = structure_warehouse, "member_preferences"
    warehouse.empty(table)
    former = with_nodes_of_its_own(project)
    former.nodes[f"model.millrace.str_{table}"].config["partition_by"] = None
    contract = warehouse.contracts[table]
    source = histories(contract, 7, Plan(number=2))
    for part, manifest in zip(deliver(source, 7, 2), (former, project), strict=True):
        warehouse.land(part)
        sent = _build(warehouse, manifest, {table: []}, ALWAYS)
    assert _named(sent.merge(table))
    held = warehouse.structure(table)
    assert warehouse.client.get_table(f"structure.{table}").range_partitioning is None
    warehouse.build(["str_truncates", f"str_{table}"], "--full-refresh", manifest=project)
    ranges = warehouse.client.get_table(f"structure.{table}").range_partitioning
    assert (ranges.field, ranges.range_.interval) == ("member_id", INTERVALS[table])
    assert not differences(held, warehouse.structure(table))
    warehouse.empty(table)


def _named(sql: str) -> set[int]:
    """Return the keys that a statement names: those in a list, and the last of each range."""
    column = r"(?:interaction|member)_id"
    lists = re.findall(rf"{column} in \(([-\d, ]+)\)", sql)
    ranges = re.findall(rf"{column} between -?\d+ and (-?\d+)", sql)
    return {int(key) for key in [*ranges, *(key for keys in lists for key in keys.split(","))]}


def _touched(keys: list[int], interval: int) -> list[dict[str, Any]]:
    """Return what BigQuery says of these keys: JSON is how dbt hands arrays on."""
    parts: dict[int, list[int]] = {}
    for key in sorted(set(keys)):
        parts.setdefault(key // interval, []).append(key)
    return [{"partition_number": None, "first_key": None, "last_key": None, "some_keys": "[0]"}] + [
        {"partition_number": n, "first_key": part[0], "last_key": part[-1], "some_keys": json.dumps(part[: FEW + 1])}
        for n, part in parts.items()
    ]


def test_what_is_touched_becomes_a_condition(structure_warehouse: Warehouse) -> None:
    most = [3_000_000_000 + part * 1_000_000 + n for part in range(500) for n in range(FEW)]
    cases: dict[str, list[int]] = {
        "None": [],
        "(k in (5, 7000000, 99000003))": [5, 99_000_003, 7_000_000],
        f"(k in ({', '.join(map(str, range(FEW)))}))": list(range(FEW)),
        f"(k between 0 and {FEW})": list(range(FEW + 1)),
        "(k between 0 and 87 or k in (4000002))": [*range(0, 90, 3), 4_000_002],
        f"(k in ({', '.join(map(str, most))}))": most,
        "k between 0 and 500000000": [n * 1_000_000 for n in range(501)],
    }
    touched = json.dumps([_touched(keys, 1_000_000) for keys in cases.values()]).replace("null", "none")
    sql = f"""
        {{%- for rows in {touched} -%}}
        {{{{ partition_condition({{'field': 'k', 'interval': 1000000}}, rows) }}}}{{{{ '\n' if not loop.last }}}}
        {{%- endfor -%}}
    """
    assert structure_warehouse.compiled(sql).strip().splitlines() == list(cases)
    assert 3 * max(map(len, cases)) < 500_000  # three times in a statement, of which BigQuery takes a million
