"""The snapshot's part: the same counts, aggregates and checksums, computed by DuckDB."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconcile.compare.checksum import Hashing
from reconcile.compare.engine import EngineLimits, explained
from reconcile.compare.narrowing import snapshot_leaves
from reconcile.compare.statements import Source, Statements
from reconcile.compare.tree import Leaves
from reconcile.compare.workspace import Workspace, connected
from reconcile.plans import ComparisonPlan
from reconcile.pushdown.buckets import KeyBuckets, key_buckets
from reconcile.pushdown.forms import row_hash
from reconcile.read.spill import Spill

NOTHING = Spill((), 0)
"""The warehouse's rows, none of which was read yet."""


@contextmanager
def snapshot_space(plan: ComparisonPlan, snapshot: Source, scratch: Path, limits: EngineLimits) -> Iterator[Workspace]:
    """Start an engine that sees the snapshot only.

    Args:
        plan: the comparison.
        snapshot: the snapshot's rows.
        scratch: an existing folder for what exceeds memory.
        limits: what the engine may use.

    Yields:
        The workspace; its view `snapshot` shows the rows.

    Raises:
        DirectReadError: when a file could not be scanned as it is.
        UnreadableError: when memory or scratch space ran out.
    """
    with (
        explained(plan, (snapshot,)),
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        connected(Path(folder), limits.memory_mb, limits.fitting_threads) as connection,
    ):
        space = Workspace(connection, Statements(plan), NOTHING, snapshot)
        space.show_side("snapshot")
        yield space


def leaves(space: Workspace, kept: Path | None) -> tuple[KeyBuckets, Leaves, int]:
    """Return how keys are put into buckets, and the checksums of the snapshot's rows.

    Args:
        space: the snapshot.
        kept: file of the tree that is kept from run to run; None to keep none.

    Returns:
        The buckets, a leaf for each that holds rows, and how many files' leaves were kept from an earlier run.
    """
    plan = space.plan
    [greatest] = space.one("select max(c0) from snapshot")
    buckets = key_buckets(plan.key, greatest)
    fields = [(column.data_type, f"c{number}") for number, column in enumerate(plan.columns)]
    hashing = Hashing(buckets.sql("duckdb"), row_hash(fields, "duckdb"))
    found, skipped = snapshot_leaves(space, hashing, kept)
    return buckets, found, skipped


def aggregated(space: Workspace, aggregates: list[str]) -> tuple[int, tuple[Any, ...]]:
    """Return the number of rows of the snapshot, and aggregates of them.

    Args:
        space: the snapshot.
        aggregates: DuckDB's SQL over `c0`, `c1`, ...
    """
    rows, *found = space.one(f"select count(*), {', '.join(aggregates)} from snapshot")  # noqa: S608 - our own names
    return int(rows), tuple(found)
