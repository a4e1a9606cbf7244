"""The source's tables, created in PostgreSQL from the same contracts that everything else reads."""

from typing import Any

import psycopg
from psycopg import sql

from core.contracts import Contracts, DataType, TableContract

SCHEMA = "member"

FULL_IDENTITY = frozenset({"member_cases"})
"""Tables whose events carry the whole row before; those of the others carry its key alone, and markers instead of
unchanged long texts, so that both are shown."""

POSTGRES_TYPES: dict[DataType, str] = {
    "int64": "bigint",
    "numeric": "numeric(38, 9)",
    "bignumeric": "numeric",
    "float64": "double precision",
    "bool": "boolean",
    "string": "text",
    "bytes": "bytea",
    "date": "date",
    "datetime": "timestamp",
    "time": "time",
    "timestamp": "timestamptz",
    "json": "jsonb",
    "array<string>": "text[]",
    "array<int64>": "bigint[]",
}
"""PostgreSQL type that holds every value of a GoogleSQL type."""


def create_tables(connection: "psycopg.Connection[Any]", contracts: Contracts) -> None:
    """Create the schema and every contract's table in it.

    Args:
        connection: a connection that may create schemas; committed at the end.
        contracts: the tables to create.
    """
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(SCHEMA)))
    for contract in contracts.values():
        connection.execute(_create_table(contract))
        if contract.name in FULL_IDENTITY:
            connection.execute(sql.SQL("alter table {} replica identity full").format(table(contract)))
    connection.commit()


def table(contract: TableContract) -> sql.Identifier:
    """Return the qualified name of a contract's table, quoted."""
    return sql.Identifier(SCHEMA, contract.name)


def _create_table(contract: TableContract) -> sql.Composed:
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(POSTGRES_TYPES[column.data_type]),
            sql.SQL("" if column.is_nullable else " not null"),
        )
        for column in contract.columns
    ]
    key = sql.SQL("primary key ({})").format(_names([column.name for column in contract.key]))
    return sql.SQL("create table {} ({})").format(table(contract), sql.SQL(", ").join([*columns, key]))


def _names(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
