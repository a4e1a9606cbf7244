"""Gives every thread a cursor of its own on the database.

The emulator shares one connection between its event loop and the threads that serve gRPC. Running a statement
and fetching its result are two calls, so an append that slips in between hands its own result to the query.
With a cursor for each thread they no longer mix, and an append need not wait for a long query either.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

from bqemulator.storage.engine import DuckDBEngine


class _Cursors(threading.local):
    """The cursors of one thread, by the connection they belong to."""

    def __init__(self) -> None:
        self.by_connection: dict[int, Any] = {}


def apply() -> None:
    """Replace the engine's connection by one for each thread; the thread that opened it keeps the original."""
    of_engine: WeakKeyDictionary[DuckDBEngine, tuple[int, _Cursors]] = WeakKeyDictionary()
    original = DuckDBEngine.connection

    def connection(engine: DuckDBEngine) -> Any:
        root = original.__get__(engine)
        opened_by, cursors = of_engine.setdefault(engine, (threading.get_ident(), _Cursors()))
        if opened_by == threading.get_ident():
            return root
        held: Any = cursors.by_connection.get(id(root))
        if held is None:
            held = cursors.by_connection[id(root)] = root.cursor()
            held.execute("set TimeZone = 'UTC'")  # a setting of the connection, which a cursor does not inherit
        return held

    DuckDBEngine.connection = property(connection)
