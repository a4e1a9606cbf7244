"""From a source that a configuration describes to the table that a plan names: pinned, as far as it can be by then."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.errors import UnreadableError
from reconcile.plans import DatabaseSpec, FileSet, TableSpec
from reconcile.read.compression import SUFFIXES
from reconcile.read.warehouse import WarehouseTable
from reconcile.source_config import (
    BigQueryTable,
    DatabaseTable,
    DeltaTable,
    DescribedTable,
    FileFormat,
    FilesTable,
)
from reconcile.sources.delta import resolve_delta
from reconcile.sources.iceberg import resolve_iceberg
from reconcile.sources.services import Services

_FORMATS: Final[dict[str, FileFormat]] = {"parquet": "parquet", "csv": "csv", "json": "json", "avro": "avro"}
_NOT_DATA: Final = ("_", ".")
"""How names begin that writers of files (Hadoop, Spark) leave beside their data."""


@dataclass(frozen=True)
class Resolved:
    """A table, decided.

    Attributes:
        table: the table.
        taken_at: as of when its rows are (UTC); None when nobody says.
    """

    table: TableSpec
    taken_at: datetime | None


def resolve(described: DescribedTable, services: Services) -> Resolved:
    """Decide which table is read, and in which version.

    Args:
        described: what the configuration says.
        services: where to ask.

    Returns:
        The table.

    Raises:
        UnreadableError: when it is not there, or cannot be read.
        ConfigurationError: when what it needs is not installed.
    """
    if isinstance(described, BigQueryTable):
        return Resolved(named_table(described.table, services), services.now)
    if isinstance(described, DatabaseTable):
        *database, schema, table = described.table.split(".")
        spec = DatabaseSpec(described.type, described.connection, schema, table, *database)
        return Resolved(spec, services.now)
    if isinstance(described, FilesTable):
        return Resolved(_files(described, services), None)
    if isinstance(described, DeltaTable):
        return Resolved(*resolve_delta(described, services))
    return Resolved(*resolve_iceberg(described, services))


def named_table(name: str, services: Services) -> WarehouseTable:
    """Return the table of the warehouse that a name stands for.

    Args:
        name: `dataset.table`.
        services: where the warehouse is.
    """
    dataset, _, table = name.partition(".")
    return WarehouseTable(services.settings.project, dataset, table)


def format_of(path: str) -> FileFormat:
    """Return the format that the end of a file's name promises; newline-delimited JSON where it promises none.

    Args:
        path: the file's path.
    """
    for suffix in SUFFIXES:
        path = path.removesuffix(suffix)
    return _FORMATS.get(path.rpartition(".")[2], "ndjson")


def _files(described: FilesTable, services: Services) -> FileSet:
    root = described.uri.rstrip("/")
    listed = services.store(root).listing("")
    objects = tuple(ref for ref in listed if not any(part.startswith(_NOT_DATA) for part in ref.path.split("/")))
    if not objects:
        raise UnreadableError(f"{root}: no files are there; an empty table still has a file without rows")
    kind = described.format or format_of(objects[0].path)
    return FileSet(root, objects, kind, described.rows, words=f"{kind} files in {root}", csv=described.csv)
