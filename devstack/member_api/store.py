"""The API's store: a SQLite file that the world writes between rounds and the API reads live."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from core.contracts import TableContract
from core.errors import ConfigurationError

_SCHEMA: Final = """
create table if not exists stored_rows (
    table_name text not null,
    row_key text not null,
    version integer not null,
    data text,
    changed_at text not null,
    primary key (table_name, row_key)
) without rowid
"""
_WRITE: Final = """
insert into stored_rows (table_name, row_key, version, data, changed_at)
values (?, ?, ?, ?, ?)
on conflict (table_name, row_key) do update
set version = excluded.version, data = excluded.data, changed_at = excluded.changed_at
"""
_READ_SET: Final = """
select row_key, version, data, changed_at
from stored_rows
where table_name = :table and data is not null and row_key > :after {shared}
order by row_key
limit :limit
"""
_COUNT_SET: Final = """
select count(*)
from stored_rows
where table_name = :table and data is not null {shared}
"""
_VERSION: Final = "select ifnull(max(version), 0) from stored_rows"
_READ: Final = "select version, data, changed_at from stored_rows where table_name = ? and row_key = ?"
_MOST_CACHED: Final = 200_000


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row the API knows of.

    Attributes:
        table: its table.
        key: canonical JSON of its primary key.
        version: the version of its last change.
        data: the row as JSON text; None when it is gone.
        changed_at: when it last changed, as ISO 8601 in UTC.
    """

    table: str
    key: str
    version: int
    data: str | None
    changed_at: str


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A page of the rows that have some values in common.

    Attributes:
        rows: the rows of the page that exist, in the order of their keys.
        total: rows of the whole set.
        version: the version of the last change of any row; all changes up to it are in the page.
        has_more: whether there are rows after those of the page.
    """

    rows: tuple[StoredRow, ...]
    total: int
    version: int
    has_more: bool


def canonical_key(contract: TableContract, key: Iterable[int | str]) -> str:
    """Return a primary key as canonical JSON: compact, in the contract's order.

    Args:
        contract: the table.
        key: the values of the key columns, in the contract's order.

    Returns:
        JSON text.
    """
    names = (column.name for column in contract.key)
    return msgspec.json.encode(dict(zip(names, key, strict=True))).decode()


def write_store(path: Path, rows: Iterable[StoredRow]) -> None:
    """Write rows, all of them at once: a reader sees none or all.

    Args:
        path: the store; it is made when it is not there.
        rows: what to insert or replace.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # With a write-ahead log, readers go on while we write.
        connection.execute("pragma journal_mode = wal")
        connection.execute("begin immediate")
        connection.execute(_SCHEMA)
        connection.executemany(_WRITE, [(row.table, row.key, row.version, row.data, row.changed_at) for row in rows])
        connection.execute("commit")


@dataclass
class StoreReader:
    """Reads the store, and keeps what it read until somebody else commits.

    Attributes:
        path: the store; it must exist.
    """

    path: Path
    _connection: sqlite3.Connection = field(init=False, repr=False)
    _cache: dict[tuple[str, str], StoredRow | None] = field(init=False, repr=False, default_factory=dict)
    _data_version: int = field(init=False, repr=False, default=-1)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ConfigurationError(f"{self.path}: no such store; write one first, or check --store")
        # The server opens the store in one thread and reads it in another, never in both at once.
        self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)

    def get(self, table: str, key: str) -> StoredRow | None:
        """Return what the store knows of a row.

        Args:
            table: the row's table.
            key: canonical JSON of its key.

        Returns:
            The row, gone or not; None when the store never heard of it.
        """
        # SQLite counts the commits of others in data_version: the cheapest way to notice one.
        (data_version,) = self._connection.execute("pragma data_version").fetchone()
        if data_version != self._data_version or len(self._cache) > _MOST_CACHED:
            self._cache.clear()
            self._data_version = data_version
        place = (table, key)
        if place not in self._cache:
            found = self._connection.execute(_READ, place).fetchone()
            self._cache[place] = StoredRow(table, key, *found) if found else None
        return self._cache[place]

    def get_set(self, table: str, shared: Mapping[str, int | str], after: str, limit: int) -> StoredSet:
        """Return a page of the rows whose columns have some values.

        Args:
            table: the rows' table.
            shared: values by name of column; the names must come from a contract.
            after: canonical key of the last row of the page before; empty for the first page.
            limit: rows of the page at most.

        Returns:
            The page, as of one instant.
        """
        clauses = "".join(f" and json_extract(data, '$.{name}') = :{name}" for name in shared)
        values = {"table": table, "after": after, "limit": limit + 1, **shared}
        read = self._connection.execute
        read("begin")
        try:
            found = read(_READ_SET.format(shared=clauses), values).fetchall()
            (total,) = read(_COUNT_SET.format(shared=clauses), values).fetchone()
            (version,) = read(_VERSION).fetchone()
        finally:
            read("commit")
        rows = tuple(StoredRow(table, *row) for row in found[:limit])
        return StoredSet(rows, total, version, has_more=len(found) > limit)

    def close(self) -> None:
        """Close the store."""
        self._connection.close()
