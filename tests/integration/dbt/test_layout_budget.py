"""What an incremental run of each structure model reads, by dry run, fits the budget: partitions are pruned."""

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from layout_budget import budget_of, bytes_of, measured, over_budget, too_wide
from structure_warehouse import Warehouse, options

from core.contracts import TableContract

DAYS, ROWS_A_DAY, HELD = 30, 20, 400
_METADATA: Final = (
    "is_deleted bool, _op string, _key string, _source_system string, _source_ts timestamp, _source_position string, "
    "_source_sequence int64, _event_id string, _ingestion_ts timestamp, _carried string"
)
_BOUND: Final = re.compile(
    r"(?:\w+\.)?_ingestion_ts\s*>=\s*(?:timestamp_sub\(\s*)?timestamp '[^']+'(?:,\s*interval \d+ minute\s*\))?"
)


@pytest.fixture(scope="module")
def compiled(structure_warehouse: Warehouse) -> Iterator[Mapping[str, str]]:
    """SQL of every structure model as its next incremental run would send it, by model."""
    for contract in structure_warehouse.contracts.values():
        structure_warehouse.empty(contract.name)
        _hold(structure_warehouse.client, contract)
        _land(structure_warehouse.client, contract, range(1, DAYS))
    structure_warehouse.build(["str_truncates"], "--full-refresh")
    others = _others(structure_warehouse)
    if others:
        structure_warehouse.build(others, "--full-refresh")
    structure_warehouse.client.query_and_wait(
        "update structure.truncates set applied_count = found_count, applied_micros = found_micros where true"
    )
    structure_warehouse.build(["str_quarantined_values"], "--full-refresh")
    for contract in structure_warehouse.contracts.values():
        _land(structure_warehouse.client, contract, range(1))
    structure_warehouse.build(["str_truncates"])
    manifest = dataclasses.replace(
        structure_warehouse.manifest, nodes=copy.deepcopy(structure_warehouse.manifest.nodes)
    )
    command = [
        "compile",
        "--select",
        "path:dbt_project/models/structure,config.materialized:incremental",
    ]
    outcome = dbtRunner(manifest=manifest).invoke([*command, *options(structure_warehouse.folder)])
    assert outcome.success, outcome.exception
    nodes = [result.node for result in outcome.result.results]
    yield {node.name: node.compiled_code for node in nodes if node.resource_type == "model"}
    for contract in structure_warehouse.contracts.values():
        structure_warehouse.empty(contract.name)
    structure_warehouse.client.delete_table("structure.truncates", not_found_ok=True)


def _others(warehouse: Warehouse) -> list[str]:
    """Name the incremental models of structure that have a table of their own beside those of the contracts."""
    known = {"str_truncates", "str_erasures", *(f"str_{table}" for table in warehouse.contracts)}
    return [
        node.name
        for node in warehouse.manifest.nodes.values()
        if node.config.materialized == "incremental" and node.schema == "structure" and node.name not in known
    ]


def _land(client: bigquery.Client, contract: TableContract, days: range) -> None:
    """Append rows to a raw table; days count back from today."""
    image = "{" + ", ".join(f'\\"{column.name}\\":%d' for column in contract.key) + "}"
    key = f'format("{image}", {", ".join("n" for _ in contract.key)})'
    client.query_and_wait(f"""
        insert into raw.{contract.name} (
            payload, _op, _op_inferred, _key, _source_system, _source_table, _source_ts, _source_position,
            _source_sequence, _event_id, _ingestion_ts
        )
        select
            concat({key}, repeat(' ', 500)), 'INSERT', false, {key},
            'loyalty', '{contract.name}', current_timestamp(), format('%020d', n), 0, format('%d-%d', day, n),
            timestamp_sub(current_timestamp(), interval 24 * day hour)
        from unnest(generate_array({days.start}, {days.stop - 1})) as day
        cross join unnest(generate_array(1, {ROWS_A_DAY})) as n
    """)


def _hold(client: bigquery.Client, contract: TableContract) -> None:
    """Make a structure table of rows that tell no more than their key."""
    columns = ", ".join(f"{column.name} {column.data_type}" for column in contract.columns)
    key = ", ".join(column.name for column in contract.key)
    client.query_and_wait(f"create table structure.{contract.name} ({columns}, {_METADATA})")
    values = ", ".join("n" for _ in contract.key)
    client.query_and_wait(
        f"insert into structure.{contract.name} ({key}, is_deleted) "
        f"select {values}, false from unnest(generate_array(1, {HELD})) as n"
    )


@pytest.fixture(scope="module")
def budget() -> dict[str, int]:
    return budget_of("structure")


@pytest.fixture(scope="module")
def read(structure_warehouse: Warehouse, compiled: Mapping[str, str]) -> dict[str, int]:
    return {model: bytes_of(structure_warehouse.client, sql) for model, sql in compiled.items()}


def test_every_model_keeps_to_its_budget(read: dict[str, int], budget: dict[str, int]) -> None:
    assert (over_budget(read, budget), set(read)) == ([], set(budget)), measured(read)


def test_the_budget_is_no_wider_than_need_be(read: dict[str, int], budget: dict[str, int]) -> None:
    assert too_wide(read, budget) == {}


def test_a_model_that_drops_its_partition_filter_fails(
    structure_warehouse: Warehouse, compiled: Mapping[str, str], budget: dict[str, int]
) -> None:
    """The control."""
    readers = {model: sql for model, sql in compiled.items() if _BOUND.search(sql)}
    assert {"str_truncates", *(f"str_{table}" for table in structure_warehouse.contracts)} <= set(readers)
    unfiltered: dict[str, Any] = {
        model: bytes_of(structure_warehouse.client, _BOUND.sub("true", sql)) for model, sql in readers.items()
    }
    assert len(over_budget(unfiltered, budget)) == len(readers)
