"""Structure equals the source also for histories that nobody has seen before.

The thousand of test_structure_merge are always the same, of four tables. Here a few more come from a seed of the run,
of two tables that it chooses, so that over the runs every table meets other ones. A failure names the seed; with it
in the environment variable MILLRACE_HISTORIES_SEED the same ones come again.
"""

import os
import random
from typing import Final

import pytest
from structure_histories import Plan, deliver, histories
from structure_oracle import differences, state
from structure_warehouse import Warehouse, comparable

SEED: Final = "MILLRACE_HISTORIES_SEED"
HISTORIES: Final = 30
INCREMENTS: Final = 2
TABLES: Final = 2
PLAN: Final = Plan(number=HISTORIES, truncates=1, dumps=1, uncast=0.05)


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get(SEED) or random.SystemRandom().randrange(1_000_000))


def tables_of(seed: int, tables: list[str]) -> list[str]:
    """Return the tables whose turn it is."""
    return random.Random(seed).sample(sorted(tables), TABLES)


def test_structure_equals_the_oracle_for_histories_of_this_run(structure_warehouse: Warehouse, seed: int) -> None:
    warehouse = structure_warehouse
    tables = tables_of(seed, list(warehouse.contracts))
    parts = {
        table: deliver(histories(warehouse.contracts[table], seed, PLAN), seed, INCREMENTS, very_late=0.05)
        for table in tables
    }
    for table in tables:
        warehouse.empty(table)
    try:
        for increment in range(INCREMENTS):
            warehouse.land(event for table in tables for event in parts[table][increment])
            warehouse.build(("str_truncates", *(f"str_{table}" for table in tables)))
            for table in tables:
                contract = warehouse.contracts[table]
                landed = [event for part in parts[table][: increment + 1] for event in part]
                expected = {key: comparable(contract, row) for key, row in state(contract, landed).items()}
                wrong = differences(expected, warehouse.structure(table))
                assert not wrong, f"{table}, increment {increment + 1}; to repeat: {SEED}={seed}"
    finally:
        for table in tables:
            warehouse.empty(table)


def test_every_table_has_its_turn_and_a_seed_its_histories(structure_warehouse: Warehouse) -> None:
    contracts = structure_warehouse.contracts
    assert {table for seed in range(100) for table in tables_of(seed, list(contracts))} == set(contracts)
    for contract in contracts.values():
        one, same, other = (histories(contract, seed, PLAN).log for seed in (1, 1, 2))
        assert one == same != other
