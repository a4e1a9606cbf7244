"""What was run, kept in a small SQLite file beside the locks: for the cadence and for `pipeline status`."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from core.clock import from_micros, to_micros
from core.errors import ConfigurationError
from pipeline.schedule import LastRun

_SCHEMA: Final = """
create table if not exists runs (
    id integer primary key,
    stage text not null,
    run_id text not null,
    status text not null,
    started_at_us integer not null,
    seconds real not null,
    models_built integer not null,
    tests_passed integer not null,
    tests_failed integer not null,
    error text
) strict;
create index if not exists runs_by_stage on runs (stage, id);
"""
_KEEP: Final = 1_000
"""Runs kept per stage: a good half day of one every minute, and a file of well under a megabyte."""


@dataclass(frozen=True)
class Run:
    """A run of a stage: of a zone, or of reconciliation.

    Attributes:
        stage: name of the zone, or `reconciliation`.
        run_id: run of the pipeline it was part of.
        status: how it ended.
        started_at: when it began (UTC).
        seconds: wall time it took.
        models_built: models, snapshots and seeds written.
        tests_passed: tests that held.
        tests_failed: tests that did not.
        error: the first reason when it failed.
    """

    stage: str
    run_id: str
    status: str
    started_at: datetime
    seconds: float
    models_built: int = 0
    tests_passed: int = 0
    tests_failed: int = 0
    error: str | None = None


class History:
    """The runs of this machine. Processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, run: Run) -> None:
        """Keep a run, and forget the oldest ones of its stage."""
        with self._connection() as connection:
            connection.execute(
                "insert into runs (stage, run_id, status, started_at_us, seconds, models_built, tests_passed,"
                " tests_failed, error) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.stage, run.run_id, run.status, to_micros(run.started_at), run.seconds,
                    run.models_built, run.tests_passed, run.tests_failed, run.error,
                ),
            )  # fmt: skip
            connection.execute(
                "delete from runs where stage = ? and id <= (select max(id) from runs where stage = ?) - ?",
                (run.stage, run.stage, _KEEP),
            )

    def last(self) -> dict[str, Run]:
        """Return the most recent run of each stage, by stage."""
        with self._connection() as connection:
            rows = connection.execute("select * from runs where id in (select max(id) from runs group by stage)")
            return {run.stage: run for run in map(_run, rows)}

    def recent(self, limit: int) -> list[Run]:
        """Return the latest runs of all stages, newest first.

        Args:
            limit: how many at most.

        Returns:
            The runs.
        """
        with self._connection() as connection:
            return [_run(row) for row in connection.execute("select * from runs order by id desc limit ?", (limit,))]

    def last_runs(self) -> dict[str, LastRun]:
        """Return what the schedule needs of the last run of each stage."""
        return {stage: LastRun(run.started_at, run.status == "succeeded") for stage, run in self.last().items()}

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=30)) as connection:
                connection.row_factory = sqlite3.Row
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                f"{self._path}: cannot be used: {error}; it holds only the history of runs, so it may be removed"
            ) from error


def _run(row: Any) -> Run:
    return Run(
        stage=row["stage"],
        run_id=row["run_id"],
        status=row["status"],
        started_at=from_micros(row["started_at_us"]),
        seconds=row["seconds"],
        models_built=row["models_built"],
        tests_passed=row["tests_passed"],
        tests_failed=row["tests_failed"],
        error=row["error"],
    )
