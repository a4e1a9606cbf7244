"""Repair: from a report and its differences to statements, and, when asked, to the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.clock import utc_now
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from reconcile.concluding import new_run_id
from reconcile.config import ComparisonConfig, ReconcileConfig
from reconcile.repair.differences import chosen, read_rows, write_private
from reconcile.repair.ledger import Entry, digest_of, enter
from reconcile.repair.statements import Target, repair_statements
from reconcile.result import ComparisonResult, RunResult

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


@dataclass(frozen=True)
class Warehouse:
    """Where statements are applied, and the ledger kept.

    Attributes:
        client: BigQuery.
        settings: its audit dataset.
    """

    client: bigquery.Client
    settings: Settings


def repair(
    config: ReconcileConfig,
    result: RunResult,
    folder: Path,
    *,
    output: Path,
    tables: Sequence[str] = (),
    warehouse: Warehouse | None = None,
) -> tuple[Repair, ...]:
    """Write the statements that would mend the warehouse, and apply them when told where.

    Args:
        config: the configuration that the run was made with.
        result: the run.
        folder: folder of its report.
        output: folder for the statements, a file a table, readable by their owner alone: they hold values.
        tables: names of comparisons; all that differ when empty.
        warehouse: where to apply the statements; None for a dry run.

    Returns:
        What was done, by comparison.

    Raises:
        ConfigurationError: when a comparison is not in the report, or the run kept no values.
        UnreadableError: when the differences cannot be read.
        UnavailableError: when BigQuery refuses a statement; those before it are applied.
    """
    output.mkdir(parents=True, exist_ok=True)
    mended = []
    for found in chosen(result, tables):
        rows = list(read_rows(folder / found.differences_file)) if found.differences_file else []
        statements = list(repair_statements(target_of(config, found), rows)) if rows else []
        file = output / f"{found.name}.sql" if statements else None
        if file is not None:
            write_private(file, ";\n\n".join(statements) + ";\n")
        applied = None if warehouse is None else _all_applied(warehouse, statements, result.run_id, found.name)
        left = found.counts.duplicated_keys if found.counts else 0
        mended.append(Repair(found.name, file, len(statements), len(rows), left, applied))
    return tuple(mended)


def target_of(config: ReconcileConfig, found: ComparisonResult) -> Target:
    """Return the table that a comparison would be mended in.

    Args:
        config: the configuration that the run was made with.
        found: the comparison.

    Raises:
        ConfigurationError: when it is no table of BigQuery, or has columns that a statement cannot set.
    """
    [comparison] = config.select((found.name,))
    name = found.inputs.warehouse_table if found.inputs else ""
    parts = name.split(".")
    if len(parts) != _TABLE_PARTS:
        raise ConfigurationError(f"{found.name}: {name} is no table of BigQuery, and nothing else is mended")
    mapped = sorted(column for column, stated in comparison.columns.items() if stated.warehouse not in (None, column))
    if mapped:
        raise ConfigurationError(
            f"{found.name}: {', '.join(mapped)} of the warehouse is made of other columns, so that nothing can set it; "
            "mend what it is made of"
        )
    return Target(parts[0], parts[1], parts[2], found.columns, _tombstone(config, comparison))


def _tombstone(config: ReconcileConfig, comparison: ComparisonConfig) -> str | None:
    """Return the boolean column by which the table keeps what was deleted, marked; None when it keeps nothing."""
    deleted = comparison.soft_deletes.warehouse
    if deleted is not None:
        if deleted.values != (True,):
            raise ConfigurationError(
                f"{comparison.name}: {deleted.column} marks deleted rows of the warehouse, and only a boolean can be "
                "set for that; if it is one, say so: `values: [true]`"
            )
        return deleted.column
    where = config.defaults.where if comparison.where is None else comparison.where
    marks = [column for column, value in where.items() if value is False]
    return marks[0] if len(marks) == 1 else None


def _all_applied(warehouse: Warehouse, statements: Sequence[str], run_id: str, name: str) -> int:
    """Apply statements, and enter those that were into the ledger, also when a later one is refused."""
    repair_id = new_run_id(utc_now())
    entries: list[Entry] = []
    try:
        for statement in statements:
            changed = _applied(warehouse.client, statement, name)
            entries.append(
                Entry(repair_id, run_id, name, utc_now(), "merge", digest_of(statement), changed_rows=changed)
            )
    finally:
        enter(warehouse.client, warehouse.settings, entries, name)
    return sum(entry.changed_rows or 0 for entry in entries)


def _applied(client: bigquery.Client, statement: str, name: str) -> int:
    try:
        job = client.query(statement)
        job.result()
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{name}: a statement was refused; those before it are applied: {error}") from error
    return int(job.num_dml_affected_rows or 0)
