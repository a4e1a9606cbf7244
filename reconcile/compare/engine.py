"""The engine: DuckDB on scratch space, with the memory it is given and no more."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from core.errors import UnreadableError
from reconcile.compare.sample import sample
from reconcile.compare.statements import Statements
from reconcile.plans import ComparisonPlan
from reconcile.read.spill import Spill
from reconcile.result import ColumnResult, Counts, Difference
from reconcile.rules import describe

_MEMORY_OF_A_THREAD_MB: Final = 128
"""What a join needs for each thread, by DuckDB's guide to its performance ("Tuning Workloads")."""


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


def compare(
    plan: ComparisonPlan,
    warehouse: Spill,
    snapshot: Spill,
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
        raise UnreadableError(
            f"{plan.name}: the comparison could not be made; if memory or scratch space ran out, raise "
            f"limits.memory_limit or point TMPDIR at a larger disk: {error}"
        ) from error


@dataclass(frozen=True)
class _Work:
    """What is compared, and what is wanted of it."""

    statements: Statements
    warehouse: Spill
    snapshot: Spill
    sample: int
    export: Path | None
    values: bool


def _attempt(work: _Work, scratch: Path, memory_mb: int, threads: int) -> Compared:
    statements = work.statements
    with tempfile.TemporaryDirectory(dir=scratch) as folder, _connected(Path(folder), memory_mb, threads) as connection:
        has_duplicates = _prepare(connection, work)
        has_departed = statements.plan.warehouse.in_flight is not None
        if has_departed:
            connection.execute(statements.departed())
        connection.execute(statements.differences(has_duplicates=has_duplicates, has_departed=has_departed))
        counts = _counts(connection, statements, work.snapshot.rows)
        found = bool(counts.differences or counts.in_flight)
        if found and work.export is not None:
            connection.execute(statements.export(work.export, values=work.values))
        return Compared(
            counts=counts,
            columns=_columns(connection, statements),
            sample=sample(connection, statements, work.sample) if found else (),
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
    return connection


def _prepare(connection: duckdb.DuckDBPyConnection, work: _Work) -> bool:
    connection.execute(work.statements.side("warehouse", work.warehouse.files))
    connection.execute(work.statements.side("snapshot", work.snapshot.files))
    connection.execute(work.statements.duplicated())
    return bool(_one(connection, "select count(*) from duplicated")[0])


def _counts(connection: duckdb.DuckDBPyConnection, statements: Statements, snapshot_rows: int) -> Counts:
    warehouse_rows = int(_one(connection, "select count(*) from warehouse")[0])
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
