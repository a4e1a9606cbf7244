"""Where a comparison is made: a connection to the engine, and views of both sides that show what is wanted of them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from reconcile.compare.documents import register
from reconcile.compare.ranges import EVERYTHING, KeyRange
from reconcile.compare.statements import Side, Source, Statements
from reconcile.plans import ComparisonPlan
from reconcile.read.direct import Direct


@dataclass(frozen=True)
class Workspace:
    """Both sides of a comparison, in the engine.

    Attributes:
        connection: the engine.
        statements: the comparison's statements.
        warehouse: the warehouse's rows.
        snapshot: the snapshot's rows.
        condition: SQL over the views' columns that narrows what is compared; empty when everything is.
    """

    connection: duckdb.DuckDBPyConnection
    statements: Statements
    warehouse: Source
    snapshot: Source
    condition: str = ""

    @property
    def plan(self) -> ComparisonPlan:
        """The comparison."""
        return self.statements.plan

    def narrowed(self, condition: str) -> "Workspace":
        """Return the workspace in which only rows that meet a condition are compared."""
        return replace(self, condition=condition)

    def show(self, part: KeyRange = EVERYTHING) -> None:
        """Have the views of both sides show a range of keys."""
        self.show_side("warehouse", part)
        self.show_side("snapshot", part)

    def show_side(self, side: Side, part: KeyRange = EVERYTHING) -> None:
        """Have the view of one side show a range of keys."""
        other = self.snapshot if side == "warehouse" else self.warehouse
        self.connection.execute(self.statements.side(side, self.source(side), other, part, self.condition))

    def rows(self, side: Side) -> int:
        """Return how many rows a side has to compare."""
        source = self.source(side)
        if isinstance(source, Direct) and not source.where and not self.condition:
            return source.rows
        self.show_side(side)
        return int(self.one(f"select count(*) from {side}")[0])  # noqa: S608 - one of two names of our own

    def source(self, side: Side) -> Source:
        """Return the rows of a side."""
        return self.warehouse if side == "warehouse" else self.snapshot

    def one(self, statement: str) -> tuple[Any, ...]:
        """Return the row of a query that has one, such as an aggregate without groups."""
        return tuple(self.connection.execute(statement).fetchone() or ())


def connected(scratch: Path, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Start an engine.

    Args:
        scratch: an existing folder for what exceeds memory.
        memory_mb: memory it may use, in MiB.
        threads: threads it may use.

    Returns:
        A connection; a context manager.
    """
    config: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MiB",
        "threads": threads,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": False,
        # Every page is read once or twice: kept in memory, they would only push out what the join needs.
        "enable_external_file_cache": False,
        # Nothing is fetched from anywhere: what the engine needs is built in.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(str(scratch / "compare.duckdb"), config=config)
    # Footers are needed again for every range of keys; whoever replaces a file meanwhile is found out afterwards.
    connection.execute("set parquet_metadata_cache = true")
    # It would be drawn on standard output, into the JSON.
    connection.execute("set enable_progress_bar = false")
    # Instants are shown in it; ours are all in UTC.
    connection.execute("set timezone = 'UTC'")
    register(connection)
    return connection
