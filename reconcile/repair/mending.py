"""Repair: from a report and its differences to statements, and, when asked, to the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        refused: missing rows that no statement can insert, for the table requires columns that were not compared; those
            that stand there marked as deleted are brought back.
        required: those columns.
        fault: why a statement was not applied, nor any after it; None when all were.
    """

    comparison: str
    file: Path | None
    statements: int
    rows: int
    left: int
    applied: int | None
    refused: int = 0
    required: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the statements mend all that was asked for, and none was refused."""
        return not self.refused and self.fault is None


@dataclass(frozen=True)
class Warehouse:
    """Where statements are applied, and the ledger kept.

    Attributes:
        client: BigQuery.
        settings: its audit dataset.
        applies: whether statements are applied; otherwise it is asked only what the tables require.
    """

    client: bigquery.Client
    settings: Settings
    applies: bool = True


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
        warehouse: where to apply the statements, and what knows which columns tables require; None for a dry run that
            asks nobody.

    Returns:
        What was done, by comparison. A statement that BigQuery refuses ends what is done to its table, and no other.

    Raises:
        ConfigurationError: when a comparison is not in the report, or the run kept no values.
        UnreadableError: when the differences cannot be read.
        UnavailableError: when BigQuery does not say what a table requires, or the ledger cannot be kept.
    """
    output.mkdir(parents=True, exist_ok=True)
    # All tables are looked at before the first is changed.
    planned = [_planned(config, found, folder, output, warehouse) for found in chosen(result, tables)]
    if warehouse is None or not warehouse.applies:
        return tuple(repair for repair, _ in planned)
    return tuple(_applied(warehouse, repair, statements, result.run_id) for repair, statements in planned)


def _planned(
    config: ReconcileConfig, found: ComparisonResult, folder: Path, output: Path, warehouse: Warehouse | None
) -> tuple[Repair, list[str]]:
    """Return what would mend a table, its statements written and returned."""
    rows = list(read_rows(folder / found.differences_file)) if found.differences_file else []
    required: tuple[str, ...] = ()
    statements: list[str] = []
    refused = 0
    if rows:
        target = target_of(config, found)
        required = _required(warehouse.client, target, found.name) if warehouse is not None else ()
        refused = sum(row.kind == "missing" for row in rows) if required else 0
        statements = list(repair_statements(replace(target, inserts=not required), rows))
    file = output / f"{found.name}.sql" if statements else None
    if file is not None:
        write_private(file, ";\n\n".join(statements) + ";\n")
    left = found.counts.duplicated_keys if found.counts else 0
    told = required if refused else ()
    return Repair(found.name, file, len(statements), len(rows) - refused, left, None, refused, told), statements


def _required(client: bigquery.Client, target: Target, name: str) -> tuple[str, ...]:
    """Return the columns that a row needs and no statement can fill, for they were not compared."""
    try:
        schema = client.get_table(f"{target.project}.{target.dataset}.{target.table}").schema
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{name}: BigQuery does not say what the table requires: {error}") from error
    filled = {column.name for column in target.columns} | {target.tombstone}
    return tuple(
        field.name
        for field in schema
        if field.mode == "REQUIRED" and field.default_value_expression is None and field.name not in filled
    )


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


def _applied(warehouse: Warehouse, planned: Repair, statements: Sequence[str], run_id: str) -> Repair:
    """Apply statements, and enter those that were into the ledger, also when a later one is refused."""
    name, repair_id = planned.comparison, new_run_id(utc_now())
    entries: list[Entry] = []
    fault = None
    try:
        for statement in statements:
            changed = _changed(warehouse.client, statement)
            entries.append(
                Entry(repair_id, run_id, name, utc_now(), "merge", digest_of(statement), changed_rows=changed)
            )
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        fault = f"a statement was refused; the {len(entries)} before it are applied: {error}"
    finally:
        enter(warehouse.client, warehouse.settings, entries, name)
    return replace(planned, applied=sum(entry.changed_rows or 0 for entry in entries), fault=fault)


def _changed(client: bigquery.Client, statement: str) -> int:
    job = client.query(statement)
    job.result()
    return int(job.num_dml_affected_rows or 0)
