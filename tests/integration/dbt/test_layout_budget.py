"""What an incremental run of each structure model reads, by dry run, fits the budget: partitions are pruned."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from layout_budget import budget_of, bytes_of, measured, over_budget, too_wide
from structure_models import with_small_partitions
from structure_warehouse import Warehouse, options

from core.contracts import TableContract

DAYS, ROWS_A_DAY, HELD, KEYS_OF_A_PARTITION = 30, 20, 4_000, 100
_METADATA: Final = (
    "is_deleted bool, _op string, _key string, _source_system string, _source_ts timestamp, _source_position string, "
    "_source_sequence int64, _event_id string, _ingestion_ts timestamp, _carried string"
)
_BOUND: Final = re.compile(
    r"(?:\w+\.)?_ingestion_ts\s*>=\s*(?:timestamp_sub\(\s*)?timestamp '[^']+'(?:,\s*interval \d+ minute\s*\))?"
)
_KEYS: Final = r"(?:\w+\.)?\w+ (?:in \([\d, ]+\)|between \d+ and \d+)"
_KEPT: Final = re.compile(rf"\({_KEYS}(?: or {_KEYS})*\)")


@dataclass(frozen=True)
class Increment:
    """What an incremental run of structure has sent.

    Attributes:
        compiled: the query of each model, by model.
        merges: the merges of tables of the contracts, by model.
    """

    compiled: Mapping[str, str]
    merges: Mapping[str, str]


@pytest.fixture(scope="module")
def increment(structure_warehouse: Warehouse) -> Iterator[Increment]:
    """An increment of one day into tables large enough to be pruned."""
    partitions = dict.fromkeys(structure_warehouse.contracts, KEYS_OF_A_PARTITION)
    manifest = with_small_partitions(structure_warehouse.manifest, partitions)
    for contract in structure_warehouse.contracts.values():
        structure_warehouse.empty(contract.name)
        _hold(structure_warehouse.client, contract, manifest.nodes[f"model.millrace.str_{contract.name}"])
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
    yield _sent(structure_warehouse, manifest)
    for contract in structure_warehouse.contracts.values():
        structure_warehouse.empty(contract.name)
    structure_warehouse.client.delete_table("structure.truncates", not_found_ok=True)


def _sent(warehouse: Warehouse, manifest: Any) -> Increment:
    merges: dict[str, str] = {}

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery" and "merge into" in event.data.sql:
            merges[event.data.node_info.node_name] = event.data.sql

    models = "path:dbt_project/models/structure,config.materialized:incremental"
    command = ["run", "--no-write-json", "--select", models, "--vars", '{"prune_from_rows": 0}']
    outcome = dbtRunner(manifest=manifest, callbacks=[listen]).invoke([*command, *options(warehouse.folder)])
    assert outcome.success, outcome.exception or [result.message for result in outcome.result]
    nodes = [result.node for result in outcome.result if result.node.resource_type == "model"]
    of_contracts = {f"str_{table}" for table in warehouse.contracts}
    return Increment(
        {node.name: node.compiled_code for node in nodes},
        {model: sql for model, sql in merges.items() if model in of_contracts},
    )


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


def _hold(client: bigquery.Client, contract: TableContract, model: Any) -> None:
    """Make a structure table, laid out as its model is, of rows that tell no more than their key."""
    columns = ", ".join(f"{column.name} {column.data_type}" for column in contract.columns)
    key = ", ".join(column.name for column in contract.key)
    field, of = model.config["partition_by"]["field"], model.config["partition_by"]["range"]
    ranges = f"range_bucket({field}, generate_array({of['start']}, {of['end']}, {of['interval']}))"
    client.query_and_wait(
        f"create table structure.{contract.name} ({columns}, {_METADATA}) partition by {ranges} cluster by {key}"
    )
    values = ", ".join("n" for _ in contract.key)
    client.query_and_wait(
        f"insert into structure.{contract.name} ({key}, is_deleted) "
        f"select {values}, false from unnest(generate_array(1, {HELD})) as n"
    )


@pytest.fixture(scope="module")
def budget() -> dict[str, int]:
    return budget_of("structure")


@pytest.fixture(scope="module")
def read(structure_warehouse: Warehouse, increment: Increment) -> dict[str, int]:
    return {model: bytes_of(structure_warehouse.client, sql) for model, sql in increment.compiled.items()}


def test_every_model_keeps_to_its_budget(read: dict[str, int], budget: dict[str, int]) -> None:
    assert (over_budget(read, budget), set(read)) == ([], set(budget)), measured(read)


def test_the_budget_is_no_wider_than_need_be(read: dict[str, int], budget: dict[str, int]) -> None:
    assert too_wide(read, budget) == {}


def test_a_model_that_drops_its_partition_filter_fails(
    structure_warehouse: Warehouse, increment: Increment, budget: dict[str, int]
) -> None:
    """The control."""
    readers = {model: sql for model, sql in increment.compiled.items() if _BOUND.search(sql)}
    assert {"str_truncates", *(f"str_{table}" for table in structure_warehouse.contracts)} <= set(readers)
    unfiltered: dict[str, Any] = {
        model: bytes_of(structure_warehouse.client, _BOUND.sub("true", sql)) for model, sql in readers.items()
    }
    assert len(over_budget(unfiltered, budget)) == len(readers)


def test_a_model_that_names_no_keys_fails(
    structure_warehouse: Warehouse, increment: Increment, budget: dict[str, int]
) -> None:
    """The control: each then reads all partitions of its own table."""
    whole = {
        model: bytes_of(structure_warehouse.client, _KEPT.sub("true", sql))
        for model, sql in increment.compiled.items()
        if model in increment.merges
    }
    assert (len(over_budget(whole, budget)), set(whole)) == (len(whole), _of_contracts(structure_warehouse))


def test_every_merge_reads_only_what_it_touches(structure_warehouse: Warehouse, increment: Increment) -> None:
    client = structure_warehouse.client
    assert set(increment.merges) == _of_contracts(structure_warehouse)
    for model, merge in increment.merges.items():
        table = model.removeprefix("str_")
        client.query_and_wait(f"create or replace table structure.batch as select * from structure.{table} where false")
        pruned = re.sub(r"from `[^`]+`\.`structure`\.`\w+__dbt_tmp\w*`", "from structure.batch", merge)
        whole = _KEPT.sub("(true)", pruned)
        assert len({merge, pruned, whole}) == 3
        assert 0 < _bytes(client, pruned) * 20 < _bytes(client, whole), model
    client.delete_table("structure.batch")


def _of_contracts(warehouse: Warehouse) -> set[str]:
    return {f"str_{table}" for table in warehouse.contracts}


def _bytes(client: bigquery.Client, sql: str) -> int:
    return int(client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True)).total_bytes_processed or 0)
