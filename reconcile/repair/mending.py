"""Repair: from a report and its differences to statements, and, when asked, to the warehouse."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import ConfigurationError, UnavailableError, UnreadableError
from reconcile.config import ReconcileConfig
from reconcile.repair.statements import Row, Target, repair_statements
from reconcile.result import ComparisonResult, RunResult

_BATCH_ROWS: Final = 10_000
_KINDS: Final = frozenset({"missing", "extra", "changed"})
_TABLE_PARTS: Final = 3


@dataclass(frozen=True)
class Repair:
    """What would mend one table, or has.

    Attributes:
        comparison: the comparison.
        file: the statements, as GoogleSQL; None when there is nothing to mend.
        statements: how many there are.
        rows: keys that they mend.
        left: keys that differ and that no statement can mend, such as duplicated ones.
        applied: rows that the warehouse says it changed; None when nothing was applied.
    """

    comparison: str
    file: Path | None
    statements: int
    rows: int
    left: int
    applied: int | None


def repair(
    config: ReconcileConfig,
    result: RunResult,
    folder: Path,
    *,
    output: Path,
    tables: Sequence[str] = (),
    client: bigquery.Client | None = None,
) -> tuple[Repair, ...]:
    """Write the statements that would mend the warehouse, and apply them when a client is given.

    Args:
        config: the configuration that the run was made with.
        result: the run.
        folder: folder of its report.
        output: folder for the statements, a file a table, readable by their owner alone: they hold values.
        tables: names of comparisons; all that differ when empty.
        client: where to apply the statements; None for a dry run.

    Returns:
        What was done, by comparison.

    Raises:
        ConfigurationError: when a comparison is not in the report, or the run kept no values.
        UnreadableError: when the differences cannot be read.
        UnavailableError: when BigQuery refuses a statement; those before it are applied.
    """
    unknown = sorted(set(tables) - {found.name for found in result.comparisons})
    if unknown:
        raise ConfigurationError(f"the report has no comparison {', '.join(unknown)}")
    output.mkdir(parents=True, exist_ok=True)
    wanted = [
        found
        for found in result.comparisons
        if (found.name in tables if tables else found.verdict == "different") and found.counts is not None
    ]
    return tuple(_repaired(config, found, folder, output, client) for found in wanted)


def _repaired(
    config: ReconcileConfig, found: ComparisonResult, folder: Path, output: Path, client: bigquery.Client | None
) -> Repair:
    counts = found.counts
    left = counts.duplicated_keys if counts else 0
    if found.differences_file is None:
        return Repair(found.name, None, 0, 0, left, 0 if client else None)
    rows = list(read_rows(folder / found.differences_file))
    statements = list(repair_statements(_target(config, found), rows))
    if not statements:
        return Repair(found.name, None, 0, 0, left, 0 if client else None)
    file = output / f"{found.name}.sql"
    _write(file, ";\n\n".join(statements) + ";\n")
    applied = None if client is None else sum(_applied(client, statement, found.name) for statement in statements)
    return Repair(found.name, file, len(statements), len(rows), left, applied)


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the keys of a Parquet of differences that statements can mend.

    Args:
        file: the file.

    Yields:
        Missing, extra and changed rows with their values.

    Raises:
        ConfigurationError: when it holds no values.
        UnreadableError: when it cannot be read.
    """
    try:
        with pq.ParquetFile(file) as source:
            if "snapshot" not in source.schema_arrow.names:
                raise ConfigurationError(
                    f"{file}: holds no values; run `reconcile run --values` first, and keep its files as carefully as "
                    "the tables"
                )
            for batch in source.iter_batches(_BATCH_ROWS):
                yield from (_row(row) for row in batch.to_pylist() if row["kind"] in _KINDS)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError(f"{file}: cannot be read: {error}") from error


def _row(row: dict[str, Any]) -> Row:
    return Row(row["kind"], frozenset(row["changed_columns"]), row["warehouse"], row["snapshot"])


def _target(config: ReconcileConfig, found: ComparisonResult) -> Target:
    [comparison] = config.select((found.name,))
    name = found.inputs.warehouse_table if found.inputs else ""
    parts = name.split(".")
    if len(parts) != _TABLE_PARTS:
        raise ConfigurationError(f"{found.name}: {name} is no table of BigQuery, and nothing else is mended")
    where = config.defaults.where if comparison.where is None else comparison.where
    # A filter such as `is_deleted: false` says that the table keeps what was deleted, marked.
    marks = [column for column, value in where.items() if value is False]
    return Target(parts[0], parts[1], parts[2], found.columns, marks[0] if len(marks) == 1 else None)


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)


def _applied(client: bigquery.Client, statement: str, name: str) -> int:
    try:
        job = client.query(statement)
        job.result()
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{name}: a statement was refused; those before it are applied: {error}") from error
    return int(job.num_dml_affected_rows or 0)
