"""The engine: DuckDB on scratch space, with the memory it is given and no more."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from core.errors import UnreadableError
from reconcile.compare.aggregates import aggregates
from reconcile.compare.checksum import put_differing
from reconcile.compare.joins import join
from reconcile.compare.narrowing import checksummed, interval, sampled, widened
from reconcile.compare.partitions import partitions
from reconcile.compare.pushed import Pushed
from reconcile.compare.sample import Asked, Sample, sample
from reconcile.compare.statements import Source, Statements
from reconcile.compare.workspace import Workspace, connected
from reconcile.conclusions import Cause, PartitionResult
from reconcile.plans import ComparisonPlan
from reconcile.policy import Partition
from reconcile.read.direct import Direct
from reconcile.result import ColumnResult, Counts, Difference, Evidence, Kind, Measure, Mode

_MEMORY_OF_A_THREAD_MB: Final = 128
"""What a join needs for each thread, by DuckDB's guide to its performance ("Tuning Workloads")."""

_FOR_CAUSES: Final = 1_000
"""Changed rows that are looked at for likely causes, where that costs no more than a few."""

_SPACE: Final = (duckdb.OutOfMemoryException, duckdb.IOException)


@dataclass(frozen=True)
class EngineLimits:
    """What the engine may use.

    Attributes:
        memory_mb: memory, in MiB; what exceeds it goes to scratch space.
        threads: most threads; fewer are used when memory is short.
        sample: differences of each kind to look up.
    """

    memory_mb: int
    threads: int
    sample: int

    @property
    def fitting_threads(self) -> int:
        """The threads that the memory suffices for."""
        return max(1, min(self.threads, self.memory_mb // _MEMORY_OF_A_THREAD_MB))


@dataclass(frozen=True)
class How:
    """In which mode to compare.

    Attributes:
        mode: the mode.
        share: share of the keys that a sample takes, from 0 to 1.
        kept: file of the checksums that are kept from run to run; None to keep none.
        taken_at: when the snapshot was taken (UTC), to tell late rows; None when nobody says.
        partition: by what counts are broken down; None for the whole alone.
        pushed: what the warehouse found by itself; None when all of its rows are here.
    """

    mode: Mode
    share: float = 0.01
    kept: Path | None = None
    taken_at: datetime | None = None
    partition: Partition | None = None
    pushed: Pushed | None = None


TYPED: Final = How("typed")


@dataclass(frozen=True)
class Compared:
    """What the engine found.

    Attributes:
        counts: rows, by what became of them.
        columns: every compared column.
        sample: some differences of each kind, in key order; which, is told in `reconcile.examples`.
        exported: whether the file of all differences was written.
        evidence: what a mode that does not join every row found by; None for one that does.
        causes: what the differences probably come from.
        partitions: counts by partition; none unless that was asked for and something differs.
    """

    counts: Counts
    columns: tuple[ColumnResult, ...]
    sample: tuple[Difference, ...]
    exported: bool
    evidence: Evidence | None = None
    causes: tuple[Cause, ...] = ()
    partitions: tuple[PartitionResult, ...] = ()


class DirectReadError(UnreadableError):
    """The engine refuses a file that was to be scanned as it is; read value by value, it may tell why, or be fine."""


def compare(
    plan: ComparisonPlan,
    warehouse: Source,
    snapshot: Source,
    *,
    scratch: Path,
    limits: EngineLimits,
    export: Path | None,
    values: bool,
    how: How = TYPED,
) -> Compared:
    """Compare both sides, key by key and column by column.

    Args:
        plan: the comparison.
        warehouse: the warehouse's rows.
        snapshot: the snapshot's rows.
        scratch: an existing folder for what exceeds memory.
        limits: what the engine may use.
        export: where to write every difference as Parquet, if there is one; None to write none.
        values: whether that file holds both sides' values and not only keys and column names.
        how: in which mode.

    Returns:
        What was found.

    Raises:
        DirectReadError: when a file could not be scanned as it is.
        UnreadableError: when memory or scratch space ran out.
    """
    work = _Work(Statements(plan), warehouse, snapshot, limits.sample, export, values, how)
    with explained(plan, (warehouse, snapshot)):
        try:
            return _attempt(work, scratch, limits.memory_mb, limits.fitting_threads)
        except duckdb.OutOfMemoryException:
            # Threads that all hold their share at once can exceed what one after the other does not.
            return _attempt(work, scratch, limits.memory_mb, 1)


@contextmanager
def explained(plan: ComparisonPlan, sides: Sequence[Source]) -> Iterator[None]:
    """Turn the engine's errors into ours, with what to do about them.

    Args:
        plan: the comparison.
        sides: what the engine reads.

    Raises:
        DirectReadError: when a file could not be scanned as it is.
        UnreadableError: when memory or scratch space ran out, or values cannot be compared.
    """
    try:
        yield
    except duckdb.Error as error:
        if any(isinstance(side, Direct) for side in sides) and not isinstance(error, _SPACE):
            raise DirectReadError(f"{plan.name}: the engine cannot scan the files as they are") from error
        if isinstance(error, _SPACE):
            raise UnreadableError(
                f"{plan.name}: memory or scratch space ran out; raise limits.memory_limit or point TMPDIR at a larger "
                f"disk: {error}"
            ) from error
        # What else the engine says may quote a value.
        kind = str(error).partition(":")[0]
        raise UnreadableError(
            f"{plan.name}: the engine cannot compare the values ({kind}); look at the rules of its columns"
        ) from error


@dataclass(frozen=True)
class _Work:
    """What is compared, and what is wanted of it."""

    statements: Statements
    warehouse: Source
    snapshot: Source
    sample: int
    export: Path | None
    values: bool
    how: How


def _attempt(work: _Work, scratch: Path, memory_mb: int, threads: int) -> Compared:
    with tempfile.TemporaryDirectory(dir=scratch) as folder, connected(Path(folder), memory_mb, threads) as connection:
        whole = Workspace(connection, work.statements, work.warehouse, work.snapshot)
        if work.how.pushed is not None:
            return _pushed(whole, work, memory_mb, work.how.pushed)
        if work.how.mode == "count":
            return _plain(_totals(whole), ())
        if work.how.mode == "aggregate":
            return _plain(_totals(whole), aggregates(whole))
        if work.how.mode == "sample":
            totals = _totals(whole)
            return _sampled(sampled(whole, widened(work.how.share, max(totals))), work, memory_mb, totals)
        if work.how.mode == "checksum":
            narrowed = checksummed(whole, work.how.kept)
            words = f"{narrowed.differing:,} of {narrowed.buckets:,} buckets differ and were joined by value" + (
                f"; the checksums of {narrowed.skipped:,} files were kept from the last run" if narrowed.skipped else ""
            )
            found = _joined(narrowed.space, work, memory_mb, _totals(whole), whole)
            return replace(found, evidence=Evidence(words))
        return _joined(whole, work, memory_mb, _totals(whole), whole)


def _totals(space: Workspace) -> tuple[int, int]:
    return space.rows("warehouse"), space.rows("snapshot")


def _pushed(space: Workspace, work: _Work, memory_mb: int, pushed: Pushed) -> Compared:
    """Take up what the warehouse found by itself."""
    if work.how.mode in ("count", "aggregate"):
        return _plain(pushed.totals, pushed.measures)
    if work.how.mode == "sample":
        return _sampled(space.narrowed(pushed.condition), work, memory_mb, pushed.totals)
    put_differing(space.connection, pushed.differing)
    found = _joined(space.narrowed(pushed.condition), work, memory_mb, pushed.totals)
    return replace(found, evidence=Evidence(pushed.words))


def _plain(totals: tuple[int, int], measures: tuple[Measure, ...]) -> Compared:
    """Return what is told without looking at single rows."""
    counts = Counts(warehouse_rows=totals[0], snapshot_rows=totals[1])
    rows = Measure("rows", str(counts.warehouse_rows), str(counts.snapshot_rows))
    evidence = Evidence("no row was compared by itself", (rows, *measures))
    return Compared(counts, (), (), exported=False, evidence=evidence)


def _sampled(part: Workspace, work: _Work, memory_mb: int, of: tuple[int, int]) -> Compared:
    """Join by value what a workspace shows, as a sample of so many rows of each side."""
    found = _joined(part, work, memory_mb, _totals(part), part)
    counts = found.counts
    keys = counts.matched + counts.differences
    told = interval(counts.differences, keys)
    totals = Measure("rows", str(of[0]), str(of[1]))
    words = (
        f"of {keys:,} sampled keys {counts.differences:,} differ: with {told.confidence:.0%} confidence, "
        f"{told.low:.4%} to {told.high:.4%} of all keys do"
    )
    return replace(found, evidence=Evidence(words, (totals,), told.low, told.high))


def _joined(
    space: Workspace, work: _Work, memory_mb: int, totals: tuple[int, int], whole: Workspace | None = None
) -> Compared:
    """Join by value what one workspace shows, of so many rows of each side; partitions are those of another."""
    connection, statements = space.connection, space.statements
    join(space, memory_mb)
    counts = _counts(connection, statements, *totals)
    found = bool(counts.differences or counts.in_flight)
    space.show()
    if found and work.export is not None:
        connection.execute(statements.export(work.export, values=work.values))
    is_direct = isinstance(space.warehouse, Direct) and isinstance(space.snapshot, Direct)
    # Rows in scratch space are all gone through whatever is looked up; of files, only the row groups that hold it.
    columns = _columns(space, counts.paired)
    differing = tuple(n for n, column in enumerate(columns) if column.changed)
    by_kind: dict[Kind, int] = {
        "missing": counts.missing,
        "extra": counts.extra,
        "changed": counts.changed,
        "duplicated": counts.duplicated_keys,
        "in_flight": counts.in_flight,
    }
    asked = Asked(work.sample, by_kind, differing, 0 if is_direct else _FOR_CAUSES, work.how.taken_at)
    looked_up = sample(space, asked) if found else Sample()
    by = work.how.partition
    return Compared(
        counts=counts,
        columns=columns,
        sample=looked_up.differences,
        exported=found and work.export is not None,
        causes=looked_up.causes,
        partitions=partitions(whole, by) if by is not None and whole is not None and found else (),
    )


def _counts(
    connection: duckdb.DuckDBPyConnection, statements: Statements, warehouse_rows: int, snapshot_rows: int
) -> Counts:
    kinds = {kind: tuple(map(int, rest)) for kind, *rest in connection.execute(statements.counts()).fetchall()}
    none = (0, 0, 0)
    missing, extra, changed = (kinds.get(kind, none)[0] for kind in ("missing", "extra", "changed"))
    duplicated, in_flight = kinds.get("duplicated", none), kinds.get("in_flight", none)
    return Counts(
        warehouse_rows=warehouse_rows,
        snapshot_rows=snapshot_rows,
        matched=warehouse_rows - changed - extra - duplicated[1] - in_flight[1],
        missing=missing,
        extra=extra,
        changed=changed,
        duplicated_keys=duplicated[0],
        duplicated_warehouse=duplicated[1],
        duplicated_snapshot=duplicated[2],
        in_flight=in_flight[0],
        in_flight_warehouse=in_flight[1],
        in_flight_snapshot=in_flight[2],
    )


def _columns(space: Workspace, paired: int) -> tuple[ColumnResult, ...]:
    changed = space.one(space.statements.column_counts())
    keys = len(space.plan.key)
    found = [0 if column.is_key else int(changed[1 + n - keys]) for n, column in enumerate(space.plan.columns)]
    return tuple(
        ColumnResult(
            name=column.name,
            snapshot_name=column.snapshot_name,
            data_type=column.data_type,
            is_key=column.is_key,
            rule=column.words,
            changed=count,
            rate=count / max(1, paired),
        )
        for column, count in zip(space.plan.columns, found, strict=True)
    )
