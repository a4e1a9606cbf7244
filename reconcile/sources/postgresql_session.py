"""Transactions of PostgreSQL and Redshift that pin what is read in them.

In PostgreSQL the transaction is repeatable read, its snapshot is exported, and every further connection joins it, so
that parts of a table, and two tables of one database, are read at once and agree ("Snapshot Synchronization Functions"
in its manual). Redshift exports none and is read by one connection, serializable.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from core.errors import UnreadableError
from reconcile.plans import DatabaseSpec
from reconcile.sources.adbc import connection_uri, told
from reconcile.sources.extras import imported
from reconcile.sources.sql import Bound, identifier

_MODULE: Final = "adbc_driver_postgresql.dbapi"
_FETCH_ROWS: Final = 20_000
_KIND_SQL: Final = """
select c.relkind::text
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
where n.nspname = $1 and c.relname = $2
"""
_LOCKABLE: Final = frozenset("rpv")
"""Kinds of relations that can be locked: tables, partitioned tables, views."""
_READ_ONLY: Final = "begin transaction isolation level repeatable read read only"
_VERSION_SQL: Final = "current_setting('server_version_num')::bigint"


@dataclass(frozen=True)
class Session:
    """A transaction, and further connections that join it.

    Attributes:
        table: the table that is read in it.
        module: the driver's DBAPI.
        uri: the connection.
        cursor: what is asked for small results; one at a time.
        snapshot: name of the exported snapshot; None in Redshift.
        version: the server's, such as 140005; 0 in Redshift.
    """

    table: DatabaseSpec
    module: Any
    uri: str = field(repr=False)
    cursor: Any
    snapshot: str | None
    version: int

    def all(self, statement: Bound) -> list[tuple[Any, ...]]:
        """Return all rows of a small result.

        Args:
            statement: the query.

        Raises:
            UnreadableError: when the database refuses.
        """
        with told(self.table, self.module, self.uri):
            self.cursor.execute(statement.sql, statement.values or None)
            return list(self.cursor.fetchall())

    def batches(self, statement: Bound) -> Iterator[pa.RecordBatch]:
        """Yield the result of a query; at no time more than some rows of it are held.

        Args:
            statement: the query.

        Raises:
            UnreadableError: when the database refuses.
        """
        with told(self.table, self.module, self.uri), self._joined() as cursor:
            # The driver holds the whole result of a query that binds values, but not of a cursor that was declared so.
            cursor.execute(f"declare millrace_rows cursor for {statement.sql}", statement.values or None)
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            while True:
                cursor.execute(f"fetch forward {_FETCH_ROWS} from millrace_rows")
                found = cursor.fetch_arrow_table()
                yield from found.to_batches()
                if found.num_rows < _FETCH_ROWS:
                    break

    @contextmanager
    def _joined(self) -> Iterator[Any]:
        if self.snapshot is None:
            yield self.cursor
            self.cursor.execute("close millrace_rows")
            return
        with self.module.connect(self.uri, autocommit=True) as connection, connection.cursor() as cursor:
            _join(cursor, self.snapshot)
            yield cursor
            cursor.execute("rollback")


@contextmanager
def open_session(
    table: DatabaseSpec, *, beside: DatabaseSpec | None = None, joining: str | None = None
) -> Iterator[Session]:
    """Begin a transaction that pins a table.

    Args:
        table: the table.
        beside: a table of the same database that another transaction reads in this one's snapshot; None for none.
        joining: the snapshot to join, of a transaction that knew of the table and stays open; None to take a new one.

    Yields:
        The transaction, for as long as it is open.

    Raises:
        UnreadableError: when the connection cannot be made, or a table is not there.
        ConfigurationError: when the driver is not installed.
    """
    module, uri = imported(_MODULE, "postgresql"), connection_uri(table)
    with ExitStack() as stack:
        # Around the connecting alone: what goes wrong while the source is open has its own words.
        with told(table, module, uri):
            connection = stack.enter_context(module.connect(uri, autocommit=True))
            cursor = stack.enter_context(connection.cursor())
            if table.kind == "redshift":
                snapshot, version = _begin_redshift(cursor)
            elif joining is not None:
                snapshot, version = joining, _join(cursor, joining)
            else:
                snapshot, version = _begin([table] if beside is None else [table, beside], cursor)
        yield Session(table, module, uri, cursor, snapshot, version)


def are_together(one: DatabaseSpec, other: DatabaseSpec) -> bool:
    """Return whether two tables are of one PostgreSQL database, and can be read in one snapshot.

    Args:
        one: a table.
        other: another one, or the same.

    Raises:
        UnreadableError: when the variable that holds a connection is not set.
    """
    is_able = one.kind == other.kind == "postgresql"
    return is_able and connection_uri(one) == connection_uri(other)


def _begin_redshift(cursor: Any) -> tuple[None, int]:
    cursor.execute("begin transaction isolation level serializable read only")
    return None, 0


def _begin(tables: Sequence[DatabaseSpec], cursor: Any) -> tuple[str, int]:
    """Begin the transaction; return its snapshot's name and the server's version."""
    lockable = [table for table in tables if _kind(table, cursor) in _LOCKABLE]
    cursor.execute(_READ_ONLY)
    for table in lockable:
        # Without a lock that is older than the snapshot, a truncated table would seem empty; see "MVCC Caveats".
        cursor.execute(f"lock table {'.'.join(map(identifier, table.parts))} in access share mode")
    cursor.execute(f"select pg_export_snapshot(), {_VERSION_SQL}")
    [(snapshot, version)] = cursor.fetchall()
    return snapshot, version


def _join(cursor: Any, snapshot: str) -> int:
    """Begin a transaction in a snapshot that another one holds; return the server's version."""
    cursor.execute(_READ_ONLY)
    cursor.execute(f"set transaction snapshot '{snapshot}'")
    cursor.execute(f"select {_VERSION_SQL}")
    [(version,)] = cursor.fetchall()
    return int(version)


def _kind(table: DatabaseSpec, cursor: Any) -> str:
    cursor.execute(_KIND_SQL, (table.schema, table.table))
    kinds = [kind for (kind,) in cursor.fetchall()]
    if not kinds:
        raise UnreadableError(f"{table}: is not there, or not ours to see")
    return str(kinds[0])
