"""Reads tables as of an instant that a client was told, without copies of them.

The emulator travels in time by copying a table after every change, which `no_snapshots` stops. DuckDB needs no copy: a
transaction sees what was there when it began (Neumann, Mühlbauer, Kemper, "Fast Serializable Multi-Version Concurrency
Control", SIGMOD 2015). So `select current_timestamp()` begins some, and whoever names the instant it returned, in
`for system_time as of` or as `snapshot_time` of a read session, is answered by one of them.

A statement that names such an instant for one table reads all its tables as of it. Any other instant reads the present,
as does one that is older than `HELD_FOR` or has `_MOST_HELD` newer ones: what changed since must be kept for as long.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

import duckdb
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.versioning.snapshots import SnapshotManager
from google.cloud.bigquery_storage_v1.types import CreateReadSessionRequest

from devstack.bigquery.shims.statements import Mend, Scope

HELD_FOR: Final = timedelta(minutes=15)
_MOST_HELD: Final = 8
# A statement that fails ends the transaction it ran in, so there are spare ones.
_TRANSACTIONS: Final = 8
_ASKS_TIME = re.compile(r"\s*select\s+current_timestamp\(\)(?:\s+as\s+(?P<name>\w+))?\s*;?\s*", re.IGNORECASE)
_ENGINES: WeakKeyDictionary[DuckDBEngine, deque[Held]] = WeakKeyDictionary()
_ASKED: ContextVar[Held | None] = ContextVar("_ASKED", default=None)
_READING: ContextVar[Any] = ContextVar("_READING", default=None)


class Held:
    """What a database held at one instant.

    Args:
        engine: the emulator's database.
    """

    def __init__(self, engine: DuckDBEngine) -> None:
        self._free: deque[Any] = deque()
        for _ in range(_TRANSACTIONS):
            cursor = engine.connection.cursor()
            cursor.execute("set TimeZone = 'UTC'")
            cursor.execute("begin transaction read only")
            # It begins to see with the first look.
            cursor.execute("select 1 from duckdb_tables() limit 0").fetchall()
            self._free.append(cursor)
        self.at = datetime.now(UTC)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Let what this thread or task reads of the engine be of that instant.

        Raises:
            TransactionException: when as many statements have failed as there were transactions.
        """
        try:
            cursor = self._free.popleft()
        except IndexError:
            raise duckdb.TransactionException(
                f"too many statements have failed, or run at once, as of {self.at.isoformat()}; ask for another instant"
            ) from None
        before = _READING.set(cursor)
        try:
            yield
        except BaseException:
            cursor.close()
            raise
        else:
            self._free.append(cursor)
        finally:
            _READING.reset(before)

    def close(self) -> None:
        """Let go of it."""
        while self._free:
            self._free.popleft().close()


def _ask_time(sql: str, scope: Scope) -> str | None:
    found = _ASKS_TIME.fullmatch(sql)
    if found is None:
        return None
    engine = scope.context.engine
    held = _ENGINES.setdefault(engine, deque())
    held.append(Held(engine))
    _let_go(held)
    return f"select timestamp '{held[-1].at:%Y-%m-%d %H:%M:%S.%f}+00:00' as {found['name'] or 'f0_'}"


MEND = Mend(("select current_timestamp()",), _ask_time)


def _let_go(held: deque[Held]) -> None:
    while held and (len(held) > _MOST_HELD or held[0].at + HELD_FOR < datetime.now(UTC)):
        held.popleft().close()


def _held_at(engine: DuckDBEngine, instant: datetime) -> Held | None:
    return next((held for held in _ENGINES.get(engine, ()) if held.at == instant), None)


def apply() -> None:
    """Let the emulator's database, its statements and its read sessions know of the instants that are held."""
    _read_where_asked()
    _resolve_held()
    _open_sessions_as_of()


def _read_where_asked() -> None:
    connection, fetch, stop = DuckDBEngine.connection, DuckDBEngine.fetch_arrow, DuckDBEngine.stop

    def read_from(engine: DuckDBEngine) -> Any:
        reading = _READING.get()
        return connection.__get__(engine) if reading is None else reading

    @functools.wraps(fetch)
    def fetch_as_of(engine: DuckDBEngine, sql: str, parameters: list[Any] | None = None) -> Any:
        _let_go(_ENGINES.get(engine, deque()))
        asked = _ASKED.get()
        if asked is None:
            return fetch(engine, sql, parameters)
        _ASKED.set(None)
        with asked.reading():
            return fetch(engine, sql, parameters)

    @functools.wraps(stop)
    async def stop_and_let_go(engine: DuckDBEngine) -> None:
        for held in _ENGINES.pop(engine, ()):
            held.close()
        await stop(engine)

    DuckDBEngine.connection = property(read_from)
    DuckDBEngine.fetch_arrow = fetch_as_of
    DuckDBEngine.stop = stop_and_let_go


def _resolve_held() -> None:
    resolve = SnapshotManager.resolve_time_travel

    @functools.wraps(resolve)
    def resolve_held(manager: SnapshotManager, project: str, dataset: str, table: str, target: datetime) -> Any:
        held = _held_at(manager._engine, target)  # noqa: SLF001 - where its tables are
        if held is None:
            return resolve(manager, project, dataset, table, target)
        _ASKED.set(held)  # for the statement that this one is turned into, which comes next
        return None

    SnapshotManager.resolve_time_travel = resolve_held


def _open_sessions_as_of() -> None:
    create = BigQueryReadHandler._handle_create_read_session  # noqa: SLF001

    @functools.wraps(create)
    def create_as_of(handler: BigQueryReadHandler, request: bytes, context: Any) -> Any:
        modifiers = CreateReadSessionRequest.pb(CreateReadSessionRequest.deserialize(request)).read_session
        instant = modifiers.table_modifiers.snapshot_time.ToDatetime(tzinfo=UTC)
        before = _ASKED.set(_held_at(handler._ctx.engine, instant))  # noqa: SLF001 - where its tables are
        try:
            return create(handler, request, context)
        finally:
            _ASKED.reset(before)

    BigQueryReadHandler._handle_create_read_session = create_as_of  # noqa: SLF001
