"""A workload on the source: transactions out of several connections, all kinds of change among them."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from core.contracts import Contracts, TableContract
from devstack.live.postgres import Postgres
from devstack.live.rows import random_row, random_value
from devstack.live.schema import table

_KEYS = 60
"""Distinct numbers in keys: few, so that inserts, deletes and re-inserts meet on the same rows."""

_NEVER_MOVED = "member_profiles"
"""Its rows keep their keys. Under the replica identity DEFAULT, Debezium does not send an unchanged long text, and
after a change of key nothing else says which row had it; such a table needs REPLICA IDENTITY FULL."""

_MOVED = 1_000_000
"""Added to a key when an update moves the row to another key."""


@dataclass(frozen=True)
class Workload:
    """How much is done to the source.

    Attributes:
        connections: concurrent connections.
        transactions: transactions of each connection.
        statements: most statements in a transaction.
        truncated: table that is truncated once, half way through; None for none.
        seed: seed of the random choices; the interleaving of connections is the database's own.
    """

    connections: int = 4
    transactions: int = 60
    statements: int = 12
    truncated: str | None = None
    seed: int = 7


def fill(postgres: Postgres, contracts: Contracts, rows: int, seed: int) -> int:
    """Insert rows into every table, before the capture starts: what its snapshot will find.

    Args:
        postgres: the source.
        contracts: the tables.
        rows: rows tried per table; keys that collide are passed over.
        seed: seed of the random choices.

    Returns:
        Rows inserted.
    """
    chooser = random.Random(seed)
    with postgres.connect() as connection:
        return sum(_insert(connection, contract, chooser) for contract in contracts.values() for _ in range(rows))


def run_workload(postgres: Postgres, contracts: Contracts, workload: Workload) -> Counter[str]:
    """Run a workload to its end.

    Args:
        postgres: the source.
        contracts: the tables.
        workload: what to do.

    Returns:
        Rows changed by kind of statement: insert, update, delete, move, truncate, rollback.
    """
    half_way = threading.Barrier(workload.connections)

    def work(number: int) -> Counter[str]:
        return _Worker(postgres, contracts, workload, number, half_way).run()

    with ThreadPoolExecutor(workload.connections) as pool:
        return sum(pool.map(work, range(workload.connections)), Counter())


class _Worker:
    """One connection's share of a workload."""

    def __init__(
        self, postgres: Postgres, contracts: Contracts, workload: Workload, number: int, half_way: threading.Barrier
    ) -> None:
        self._postgres = postgres
        self._contracts = contracts
        self._workload = workload
        self._number = number
        self._half_way = half_way
        self._chooser = random.Random(f"{workload.seed}/{number}")
        self._done: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        with self._postgres.connect() as connection:
            for turn in range(self._workload.transactions):
                if turn == self._workload.transactions // 2:
                    self._half_way.wait(60)
                    self._truncate(connection)
                self._transaction(connection)
        return self._done

    def _truncate(self, connection: "psycopg.Connection[Any]") -> None:
        if self._number == 0 and self._workload.truncated:
            connection.execute(sql.SQL("truncate {}").format(table(self._contracts[self._workload.truncated])))
            connection.commit()
            self._done["truncate"] += 1

    def _transaction(self, connection: "psycopg.Connection[Any]") -> None:
        done: Counter[str] = Counter()
        try:
            for _ in range(self._chooser.randint(1, self._workload.statements)):
                kind, rows = self._statement(connection)
                done[kind] += rows
            if self._chooser.random() < 0.1:  # noqa: PLR2004 - one in ten changes its mind
                connection.rollback()
                self._done["rollback"] += 1
                return
            connection.commit()
        except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
            connection.rollback()
            self._done["rollback"] += 1
            return
        self._done += done

    def _statement(self, connection: "psycopg.Connection[Any]") -> tuple[str, int]:
        contract = self._chooser.choice(list(self._contracts.values()))
        moves = 0 if contract.name == _NEVER_MOVED else 5
        kind = self._chooser.choices(("insert", "update", "delete", "move"), (40, 40, 15, moves))[0]
        statement = {"insert": _insert, "update": _update, "delete": _delete, "move": _move}[kind]
        return kind, statement(connection, contract, self._chooser)


def _insert(connection: "psycopg.Connection[Any]", contract: TableContract, chooser: random.Random) -> int:
    row = random_row(contract, _random_key(contract, chooser), chooser)
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(sql.Placeholder() * len(row))
    inserted = connection.execute(
        sql.SQL("insert into {} ({}) values ({}) on conflict do nothing").format(table(contract), names, values),
        [_bound(contract, name, value) for name, value in row.items()],
    )
    return int(inserted.rowcount)


def _update(connection: "psycopg.Connection[Any]", contract: TableContract, chooser: random.Random) -> int:
    others = [column for column in contract.columns if not column.is_key]
    changed = chooser.sample(others, chooser.randint(1, 3))
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column.name)) for column in changed)
    where, key = _where(contract, _random_key(contract, chooser))
    updated = connection.execute(
        sql.SQL("update {} set {} where {}").format(table(contract), assignments, where),
        [*(_bound(contract, column.name, random_value(column, chooser)) for column in changed), *key],
    )
    return int(updated.rowcount)


def _delete(connection: "psycopg.Connection[Any]", contract: TableContract, chooser: random.Random) -> int:
    where, key = _where(contract, _random_key(contract, chooser))
    deleted = connection.execute(sql.SQL("delete from {} where {}").format(table(contract), where), key)
    return int(deleted.rowcount)


def _move(connection: "psycopg.Connection[Any]", contract: TableContract, chooser: random.Random) -> int:
    """Update the primary key itself, which Debezium tells as a delete, a tombstone and a create."""
    number = contract.key[0].name
    where, key = _where(contract, _random_key(contract, chooser))
    taken = sql.SQL("exists (select 1 from {} other where other.{} = {}.{} + %s)").format(
        table(contract), sql.Identifier(number), sql.Identifier(contract.name), sql.Identifier(number)
    )
    moved = connection.execute(
        sql.SQL("update {} set {} = {} + %s where {} and not {}").format(
            table(contract), sql.Identifier(number), sql.Identifier(number), where, taken
        ),
        [_MOVED, *key, _MOVED],
    )
    return int(moved.rowcount)


def _random_key(contract: TableContract, chooser: random.Random) -> tuple[Any, ...]:
    first, *rest = contract.key
    del first
    return (chooser.randrange(1, _KEYS), *(chooser.choice(column.allowed_values) for column in rest))


def _where(contract: TableContract, key: tuple[Any, ...]) -> tuple[sql.Composed, list[Any]]:
    tests = [sql.SQL("{} = %s").format(sql.Identifier(contract.name, column.name)) for column in contract.key]
    return sql.SQL(" and ").join(tests), list(key)


def _bound(contract: TableContract, name: str, value: Any) -> Any:
    is_document = contract.column(name).data_type == "json" and value is not None
    return Jsonb(value) if is_document else value
