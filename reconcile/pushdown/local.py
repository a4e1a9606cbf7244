"""The part of a side that computes nothing itself: the same aggregates and checksums, computed here by DuckDB."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconcile.compare.engine import EngineLimits, explained
from reconcile.compare.statements import Source, Statements
from reconcile.compare.workspace import Workspace, connected
from reconcile.plans import ComparisonPlan
from reconcile.read.spill import Spill

NOTHING = Spill((), 0)
"""A side's rows, none of which was read yet."""


@contextmanager
def one_side(plan: ComparisonPlan, rows: Source, scratch: Path, limits: EngineLimits) -> Iterator[Workspace]:
    """Start an engine that sees one side only, whichever that is.

    Args:
        plan: the comparison.
        rows: the side's rows.
        scratch: an existing folder for what exceeds memory.
        limits: what the engine may use.

    Yields:
        The workspace; its view `snapshot` shows the rows.

    Raises:
        DirectReadError: when a file could not be scanned as it is.
        UnreadableError: when memory or scratch space ran out.
    """
    with (
        explained(plan, (rows,)),
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        connected(Path(folder), limits.memory_mb, limits.fitting_threads) as connection,
    ):
        yield Workspace(connection, Statements(plan), NOTHING, rows)


def bounds(space: Workspace) -> tuple[Any, Any]:
    """Return the least and the greatest value of the first key column; nulls when there is none.

    Args:
        space: one side.
    """
    space.show_side("snapshot")
    low, high = space.one("select min(c0), max(c0) from snapshot")
    return low, high


def aggregated(space: Workspace, aggregates: list[str]) -> tuple[int, tuple[Any, ...]]:
    """Return the number of rows of a side, and aggregates of them.

    Args:
        space: one side.
        aggregates: DuckDB's SQL over `c0`, `c1`, ...
    """
    space.show_side("snapshot")
    rows, *found = space.one(f"select count(*), {', '.join(aggregates)} from snapshot")  # noqa: S608 - our own names
    return int(rows), tuple(found)
