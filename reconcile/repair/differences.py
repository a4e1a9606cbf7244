"""The differences of a run, as repairs read them, and the files that repairs write."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import ConfigurationError, UnreadableError
from reconcile.result import ComparisonResult, RunResult

_BATCH_ROWS: Final = 10_000
_KINDS: Final = frozenset({"missing", "extra", "changed"})


@dataclass(frozen=True)
class Row:
    """One key that differs, with both sides' values by column.

    Attributes:
        kind: `missing`, `extra` or `changed`.
        changed: the columns that differ; empty unless it is `changed`.
        warehouse: the warehouse's row; None when it has none.
        snapshot: the snapshot's row; None when it has none.
    """

    kind: str
    changed: frozenset[str]
    warehouse: dict[str, Any] | None
    snapshot: dict[str, Any] | None

    @property
    def known(self) -> dict[str, Any]:
        """A side that has the row, for its key; the warehouse's first."""
        return self.warehouse or self.snapshot or {}


def chosen(result: RunResult, tables: Sequence[str]) -> tuple[ComparisonResult, ...]:
    """Return the comparisons of a run that are to be repaired.

    Args:
        result: the run.
        tables: names of comparisons; all that differ when empty.

    Returns:
        Those that were counted.

    Raises:
        ConfigurationError: when the report has no comparison of such a name.
    """
    unknown = sorted(set(tables) - {found.name for found in result.comparisons})
    if unknown:
        raise ConfigurationError(f"the report has no comparison {', '.join(unknown)}")
    return tuple(
        found
        for found in result.comparisons
        if (found.name in tables if tables else found.verdict == "different") and found.counts is not None
    )


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


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, for it holds values.

    Args:
        file: the file; its folder is there.
        text: what it holds.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
