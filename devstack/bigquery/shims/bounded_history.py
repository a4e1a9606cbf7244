"""Forgets old results, so that memory follows the data and not the number of queries ever run.

The emulator keeps every job, the rows of every query and of every read session for good. BigQuery forgets them too,
after some days or hours; here the oldest go when there are too many, or when they are too large together. Jobs
are not written to disk either, which took longer than a small query itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import bqemulator.api.routes.jobs as job_routes
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.jobs import executor
from bqemulator.streaming import read_session

_JOBS = 1_000
_SESSIONS = 200
_SESSIONS_IN_USE = 4
_BYTES = 256 * 1024 * 1024


class Recent(dict[str, Any]):
    """A dictionary that drops its oldest entries once it exceeds a number or a size; safe to use from several threads.

    The newest entries always stay, however large: `least` of them.
    """

    def __init__(self, limit: int, limit_bytes: int, size_of: Callable[[Any], int], least: int = 1) -> None:
        super().__init__()
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._size_of = size_of
        self._least = least
        self._held_bytes = 0
        self._lock = threading.RLock()

    def __setitem__(self, key: str, value: Any) -> None:
        with self._lock:
            self.pop(key, None)
            super().__setitem__(key, value)
            self._held_bytes += self._size_of(value)
            while len(self) > self._least and (len(self) > self._limit or self._held_bytes > self._limit_bytes):
                self.pop(next(iter(self)))

    def pop(self, key: str, *default: Any) -> Any:
        """Remove an entry.

        Args:
            key: which.
            *default: what to return when there is none.

        Returns:
            The entry.
        """
        with self._lock:
            if key in self:
                self._held_bytes -= self._size_of(self[key])
            return super().pop(key, *default)


def apply() -> None:
    """Replace the stores, in every module that holds them."""
    results = Recent(_JOBS, _BYTES, lambda table: int(table.nbytes))
    schemas = Recent(_JOBS, _BYTES, lambda _: 0)
    for module in (executor, job_routes):
        module.JOB_RESULTS = results
        module.JOB_SCHEMAS = schemas
    remember = MemoryCatalogRepository.upsert_job

    def remember_lately(catalog: MemoryCatalogRepository, job: Any) -> Any:
        while len(catalog._jobs) >= _JOBS:  # noqa: SLF001
            del catalog._jobs[next(iter(catalog._jobs))]  # noqa: SLF001
        return remember(catalog, job)

    MemoryCatalogRepository.upsert_job = remember_lately
    DuckDBCatalogRepository.upsert_job = lambda catalog, job: catalog._cache.upsert_job(job)  # noqa: SLF001
    # A comparison reads two tables at once, and opens a stream of the first after it has opened the second.
    read_session._SESSIONS = Recent(  # noqa: SLF001
        _SESSIONS, _BYTES, lambda session: int(session.table.nbytes), _SESSIONS_IN_USE
    )
