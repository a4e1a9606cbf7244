"""Keeps what was worked out for a statement in a file, for the next process.

Every test and every demo starts a local BigQuery of its own and sends it the same statements, which would each time be
translated anew. What is kept is text that follows from a statement, from the code of this folder and from the packages
it mends; both are part of the file's name, so that no other version ever reads it. To lose the file costs time only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sqlite3
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("bqemulator", "sqlglot", "duckdb")
_PREFIX: Final = "statements-"
_KEPT_ROWS: Final = 20_000
# Working out a shorter text anew costs less than a file that is full of them.
_SHORTEST_TEXT: Final = 300
_BUSY_S: Final = 2.0


class KeptStore:
    """Values in a file, by what they were worked out from. Without a file it keeps nothing.

    A file that cannot be read or written, or a full disk, ends the keeping, never the work.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def open(self, folder: Path) -> None:
        """Use the file of this version in a folder, and remove those of other versions.

        Args:
            folder: where; made when it is not there.
        """
        path = folder / f"{_PREFIX}{_version()}.sqlite"
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(parents=True, exist_ok=True)
            for other in folder.glob(f"{_PREFIX}*"):
                if not other.name.startswith(path.name):
                    other.unlink(missing_ok=True)
            self._file = _opened(path)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._drop()

    def get(self, name: str, key: Any) -> Any:
        """Return what was kept.

        Args:
            name: who worked it out.
            key: from what; its `repr` tells it apart.

        Returns:
            What `keep` was given, as JSON has it; None when there is nothing.
        """
        with self._lock:
            if self._file is None:
                return None
            try:
                found = self._file.execute("select value from kept where key = ?", (_digest(name, key),)).fetchone()
                return json.loads(found[0]) if found else None
            except (sqlite3.Error, ValueError):
                self._drop()
                return None

    def keep(self, name: str, key: Any, value: Any, *, worked_out_from: str) -> None:
        """Keep a value.

        Args:
            name: who worked it out.
            key: from what; its `repr` tells it apart.
            value: anything JSON can hold, but None.
            worked_out_from: the text; nothing is kept of a short one.
        """
        if len(worked_out_from) < _SHORTEST_TEXT:
            return
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.execute("insert or replace into kept values (?, ?)", (_digest(name, key), json.dumps(value)))
            except sqlite3.Error:
                self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error):
                self._file.close()
            self._file = None


@functools.cache
def kept_store() -> KeptStore:
    """Return the store of this process; it keeps nothing until it is opened."""
    return KeptStore()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _prepared(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)  # no database, or half of one: nothing that cannot be worked out again
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = off")
        file.execute("create table if not exists kept (key blob primary key, value text not null)")
        file.execute("delete from kept where rowid <= (select max(rowid) from kept) - ?", (_KEPT_ROWS,))
    except sqlite3.Error:
        file.close()
        raise
    return file


def _digest(name: str, key: Any) -> bytes:
    return hashlib.sha256(repr((name, key)).encode("utf-8", "surrogatepass")).digest()


def _version() -> str:
    digest = hashlib.sha256(repr([version(package) for package in _PACKAGES]).encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]
