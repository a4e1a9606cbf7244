"""The source's own rows, in the value kinds that snapshots are written from."""

from typing import Any

import psycopg
from psycopg import sql

from core.contracts import Contracts, TableContract
from devstack.live.schema import table
from devstack.world import Row, Truth


def read_truth(connection: "psycopg.Connection[Any]", contracts: Contracts) -> Truth:
    """Return `select * from` every table, all of them as of one moment.

    Args:
        connection: a connection to the source that has no transaction open.
        contracts: the tables.

    Returns:
        Row by primary key, by table.
    """
    connection.execute("set transaction isolation level repeatable read, read only")
    return {name: _rows(connection, contract) for name, contract in contracts.items()}


def _rows(connection: "psycopg.Connection[Any]", contract: TableContract) -> dict[Any, Row]:
    # JSON is asked for as text: psycopg would parse it, and numbers would lose their digits.
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(column.name))
        if column.data_type == "json"
        else sql.Identifier(column.name)
        for column in contract.columns
    )
    names = [column.name for column in contract.columns]
    keys = [column.name for column in contract.key]
    rows: dict[Any, Row] = {}
    for values in connection.execute(sql.SQL("select {} from {}").format(columns, table(contract))):
        row = dict(zip(names, map(_plain, values), strict=True))
        rows[tuple(row[name] for name in keys)] = row
    return rows


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
