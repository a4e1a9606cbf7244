"""Makes database files that can hold the functions of this folder.

Some of them are declared for several types of their argument, which DuckDB keeps in files of storage version 1.4 and
higher only; unless told otherwise, it makes files that its first release could read.

Source: DuckDB, "CREATE MACRO Statement", typed macros, and "Storage Versions and Format".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
from bqemulator.storage.engine import DuckDBEngine

_VERSION: Final = "v1.4.0"


def apply() -> None:
    """Make the file before the emulator opens it; one that is there already is left as it is."""
    resolve = DuckDBEngine._resolve_path  # noqa: SLF001

    def resolve_and_make(engine: DuckDBEngine) -> str:
        path: str = resolve(engine)
        if path != ":memory:" and not Path(path).exists():
            duckdb.connect(path, config={"storage_compatibility_version": _VERSION}).close()
        return path

    DuckDBEngine._resolve_path = resolve_and_make  # noqa: SLF001
