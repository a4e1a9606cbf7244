"""Iceberg tables: the manifests of one snapshot name the Parquet files, which are then read as any others are.

See "Iceberg Table Spec" (https://iceberg.apache.org/spec/). Tables with delete files, and those whose columns were
renamed or replaced (their older files hold other names), are refused: compact them first.
"""

from datetime import datetime
from typing import Any, Final

from core.clock import from_micros
from core.errors import UnreadableError
from core.settings import Settings
from reconcile.plans import FileSet
from reconcile.source_config import IcebergTable
from reconcile.sources.extras import imported
from reconcile.sources.lake_metadata import StoreIO
from reconcile.sources.lakes import DataFile, all_rows, aws_credentials, below, pinned
from reconcile.sources.services import Services

_US_PER_MS: Final = 1_000
_GCS: Final = "gs://"
_SCHEMES: Final = ("s3a://", "s3n://")


def resolve_iceberg(described: IcebergTable, services: Services) -> tuple[FileSet, datetime | None]:
    """Find the files of a snapshot of a table.

    Args:
        described: the table and its snapshot.
        services: where it is.

    Returns:
        The files, pinned, and when the snapshot was taken (UTC); None for a table without snapshots, which is empty.

    Raises:
        UnreadableError: when the table or the snapshot is not there, a file is missing or is another one, or the table
            uses what cannot be read.
        ConfigurationError: when PyIceberg is not installed.
    """
    named = described.metadata or f"{described.catalog}.{described.table}"
    expected = _expected(imported("pyiceberg.exceptions", "iceberg"))
    try:
        table = _loaded(described, services)
        snapshot = _snapshot(named, table, described.snapshot_id)
        root = _uri(table.location())
        words = f"iceberg table {named} snapshot {snapshot.snapshot_id if snapshot else 'none'}"
        schema = _schema(table, snapshot)
        _check_names(words, table, schema)
        tasks = list(table.scan(snapshot_id=snapshot.snapshot_id).plan_files()) if snapshot else []
        declared = imported("pyiceberg.io.pyarrow", "iceberg").schema_to_pyarrow(schema)
    except expected as error:
        raise UnreadableError(f"{named}: is not an Iceberg table that can be read: {error}") from error
    files = [_data_file(words, root, task) for task in tasks]
    found = FileSet(
        root=root,
        objects=pinned(services.store(root), files),
        format="parquet",
        expected_rows=all_rows(files),
        words=words,
        declared=declared,
    )
    return found, from_micros(snapshot.timestamp_ms * _US_PER_MS) if snapshot else None


def _expected(faults: Any) -> tuple[type[Exception], ...]:
    """Return what PyIceberg raises: exceptions of its own, which share no base, and those of the file system."""
    found = (value for value in vars(faults).values() if isinstance(value, type))
    return (OSError, ValueError, *(kind for kind in found if issubclass(kind, Exception)))


def _loaded(described: IcebergTable, services: Services) -> Any:
    properties = _properties(services.settings)
    if described.metadata is None:
        catalog = imported("pyiceberg.catalog", "iceberg").load_catalog(described.catalog, **properties)
        table = catalog.load_table(described.table)
        if table.metadata_location.startswith(_GCS):
            table.io = StoreIO(services.store)
        return table
    if described.metadata.startswith(_GCS):
        return _static(described.metadata, StoreIO(services.store))
    return imported("pyiceberg.table", "iceberg").StaticTable.from_metadata(described.metadata, properties=properties)


def _static(location: str, files: StoreIO) -> Any:
    """Return the table of a metadata file, as `StaticTable.from_metadata` does, but read through our stores."""
    read = imported("pyiceberg.serializers", "iceberg").FromInputFile.table_metadata
    return imported("pyiceberg.table", "iceberg").StaticTable(
        identifier=("static-table", location),
        metadata_location=location,
        metadata=read(files.new_input(location)),
        io=files,
        catalog=imported("pyiceberg.catalog.noop", "iceberg").NoopCatalog("static-table"),
    )


def _properties(settings: Settings) -> dict[str, str]:
    aws = aws_credentials(settings)
    names = {"key": "access-key-id", "secret": "secret-access-key", "token": "session-token"}
    values = {f"s3.{names.get(name, name)}": value for name, value in aws.items()}
    return {name: value for name, value in values.items() if value is not None}


def _snapshot(named: str, table: Any, wanted: int | None) -> Any:
    if wanted is None:
        return table.current_snapshot()
    found = table.metadata.snapshot_by_id(wanted)
    if found is None:
        raise UnreadableError(f"{named}: has no snapshot {wanted}; it may have expired")
    return found


def _schema(table: Any, snapshot: Any) -> Any:
    by_id = {schema.schema_id: schema for schema in table.metadata.schemas}
    return by_id.get(snapshot.schema_id, table.schema()) if snapshot else table.schema()


def _check_names(words: str, table: Any, schema: Any) -> None:
    """Refuse a table in which a name or a number of a column ever stood for another one: files go by the number."""
    names = {field.field_id: field.name for field in schema.fields}
    numbers = {name: number for number, name in names.items()}
    for field in (field for other in table.metadata.schemas for field in other.fields):
        was_renamed = names.get(field.field_id, field.name) != field.name
        was_replaced = numbers.get(field.name, field.field_id) != field.field_id
        if was_renamed or was_replaced:
            raise UnreadableError(
                f"{words}: the column {field.name!r} was renamed or replaced, so that older files hold other names; "
                "compare a copy that was written anew"
            )


def _data_file(words: str, root: str, task: Any) -> DataFile:
    file = task.file
    if task.delete_files:
        raise UnreadableError(f"{words}: has delete files, which cannot be applied; compact it (rewrite_data_files)")
    if str(file.file_format.name) != "PARQUET":
        raise UnreadableError(f"{words}: holds {file.file_format.name} files; only Parquet can be read")
    return DataFile(below(root, _uri(file.file_path)), file.file_size_in_bytes, file.record_count)


def _uri(uri: str) -> str:
    for scheme in _SCHEMES:
        if uri.startswith(scheme):
            return "s3://" + uri.removeprefix(scheme)
    return uri if "://" in uri else f"file://{uri}"
