"""The engine: DuckDB on scratch space, with the memory it is given and no more."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.compare.documents import register
from reconcile.compare.ranges import EVERYTHING, KeyRange, key_ranges
from reconcile.compare.sample import sample
from reconcile.compare.statements import Side, Source, Statements
from reconcile.plans import ComparisonPlan
from reconcile.read.direct import Direct
from reconcile.result import ColumnResult, Counts, Difference
from reconcile.rules import describe

_MEMORY_OF_A_THREAD_MB: Final = 128
"""What a join needs for each thread, by DuckDB's guide to its performance ("Tuning Workloads")."""

_SPACE: Final = (duckdb.OutOfMemoryException, duckdb.IOException)
_SHARE: Final = 8
"""What part of its memory the engine may fill with rows of a range; its readers and its hash table need the rest."""
_LEAST_ROWS: Final = 65_536
_WIDTHS: Final[dict[DataType, int]] = {"string": 32, "json": 256, "bytes": 32, "numeric": 16, "bool": 1}
_WIDTH: Final = 8
"""Bytes of a value in memory, about, by its type."""


@dataclass(frozen=True)
class EngineLimits:
    """What the engine may use.

    Attributes:
        memory_mb: memory, in MiB; what exceeds it goes to scratch space.
        threads: most threads; fewer are used when memory is short.
        sample: most differences of each kind to look up.
    """

    memory_mb: int
    threads: int
    sample: int


@dataclass(frozen=True)
class Compared:
    """What the engine found.

    Attributes:
        counts: rows, by what became of them.
        columns: every compared column.
        sample: the first differences of each kind, in key order.
        exported: whether the file of all differences was written.
    """

    counts: Counts
    columns: tuple[ColumnResult, ...]
    sample: tuple[Difference, ...]
    exported: bool


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

    Returns:
        What was found.

    Raises:
        DirectReadError: when a file could not be scanned as it is.
        UnreadableError: when memory or scratch space ran out.
    """
    work = _Work(Statements(plan), warehouse, snapshot, limits.sample, export, values)
    threads = max(1, min(limits.threads, limits.memory_mb // _MEMORY_OF_A_THREAD_MB))
    try:
        try:
            return _attempt(work, scratch, limits.memory_mb, threads)
        except duckdb.OutOfMemoryException:
            # Threads that all hold their share at once can exceed what one after the other does not.
            return _attempt(work, scratch, limits.memory_mb, 1)
    except duckdb.Error as error:
        if any(isinstance(side, Direct) for side in (warehouse, snapshot)) and not isinstance(error, _SPACE):
            raise DirectReadError(f"{plan.name}: the engine cannot scan the files as they are: {error}") from error
        raise UnreadableError(
            f"{plan.name}: the comparison could not be made; if memory or scratch space ran out, raise "
            f"limits.memory_limit or point TMPDIR at a larger disk: {error}"
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


def _attempt(work: _Work, scratch: Path, memory_mb: int, threads: int) -> Compared:
    statements = work.statements
    with tempfile.TemporaryDirectory(dir=scratch) as folder, _connected(Path(folder), memory_mb, threads) as connection:
        ranges = _ranges(work, memory_mb)
        if not _join_uniques(connection, work, ranges):
            _join_any(connection, work, ranges)
        _show(connection, work, EVERYTHING)
        rows = _rows(connection, work, "warehouse"), _rows(connection, work, "snapshot")
        counts = _counts(connection, statements, *rows)
        found = bool(counts.differences or counts.in_flight)
        if found and work.export is not None:
            connection.execute(statements.export(work.export, values=work.values))
        show = partial(_show, connection, work)
        return Compared(
            counts=counts,
            columns=_columns(connection, statements),
            sample=sample(connection, statements, work.sample, show) if found else (),
            exported=found and work.export is not None,
        )


def _connected(scratch: Path, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MiB",
        "threads": threads,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": False,
        # Nothing is fetched from anywhere: what the engine needs is built in.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(str(scratch / "compare.duckdb"), config=config)
    # It would be drawn on standard output, into the JSON.
    connection.execute("set enable_progress_bar = false")
    # Instants are shown in it; ours are all in UTC.
    connection.execute("set timezone = 'UTC'")
    register(connection)
    return connection


def _ranges(work: _Work, memory_mb: int) -> tuple[KeyRange, ...]:
    """Cut the comparison into ranges of keys of which the engine can hold one, and its readers' buffers, at once."""
    if not isinstance(work.warehouse, Direct) or not isinstance(work.snapshot, Direct):
        return (EVERYTHING,)
    plan = work.statements.plan
    width = sum(_WIDTHS.get(column.data_type, _WIDTH) for column in plan.columns)
    rows = max(_LEAST_ROWS, memory_mb * 1024 * 1024 // _SHARE // width)
    return key_ranges(plan, work.warehouse, work.snapshot, rows) or (EVERYTHING,)


def _show(connection: duckdb.DuckDBPyConnection, work: _Work, part: KeyRange) -> None:
    """Have the views of both sides show a range of keys."""
    connection.execute(work.statements.side("warehouse", work.warehouse, work.snapshot, part))
    connection.execute(work.statements.side("snapshot", work.snapshot, work.warehouse, part))


def _join_uniques(connection: duckdb.DuckDBPyConnection, work: _Work, ranges: tuple[KeyRange, ...]) -> bool:
    """Join the sides as if every key stood once on each; return whether that was so.

    The join itself tells: a key that stands a times on one side and b times on the other is passed on a * b times if
    both hold it, so that rows are passed on as often as there are rows on each side only if a = b = 1; a key of one
    side alone is passed on a times.
    """
    statements = work.statements
    if statements.plan.warehouse.in_flight is not None:
        return False
    left = right = 0
    for number, part in enumerate(ranges):
        _show(connection, work, part)
        connection.execute(statements.part())
        warehouse, snapshot, most = _one(connection, statements.part_counts())
        left, right = left + warehouse, right + snapshot
        if most > 1:
            return False
        connection.execute(statements.part_differences(is_first=number == 0))
    return (left, right) == (_rows(connection, work, "warehouse"), _rows(connection, work, "snapshot"))


def _rows(connection: duckdb.DuckDBPyConnection, work: _Work, side: Side) -> int:
    """Return how many rows a side has, its filter applied and those that only explain others left out."""
    source: Source = getattr(work, side)
    if isinstance(source, Direct) and not source.where:
        return source.rows
    _show(connection, work, EVERYTHING)
    return int(_one(connection, f"select count(*) from {side}")[0])  # noqa: S608 - one of two names of our own


def _join_any(connection: duckdb.DuckDBPyConnection, work: _Work, ranges: tuple[KeyRange, ...]) -> None:
    """Join the sides with duplicated keys, and those in flight, set aside first."""
    statements = work.statements
    connection.execute("drop table if exists differences")
    has_departed = statements.plan.warehouse.in_flight is not None
    for number, part in enumerate(ranges):
        _show(connection, work, part)
        connection.execute(statements.duplicated())
        has_duplicates = bool(_one(connection, "select count(*) from duplicated")[0])
        if has_departed:
            connection.execute(statements.departed())
        connection.execute(
            statements.differences(has_duplicates=has_duplicates, has_departed=has_departed, is_first=number == 0)
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


def _columns(connection: duckdb.DuckDBPyConnection, statements: Statements) -> tuple[ColumnResult, ...]:
    changed = _one(connection, statements.column_counts())
    keys = len(statements.plan.key)
    return tuple(
        ColumnResult(
            name=column.name,
            snapshot_name=column.snapshot_name,
            data_type=column.data_type,
            is_key=column.is_key,
            rule=describe(column.rule),
            changed=0 if column.is_key else int(changed[1 + number - keys]),
        )
        for number, column in enumerate(statements.plan.columns)
    )


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    # Every caller asks for an aggregate without groups, which always has one row.
    return tuple(row or ())
