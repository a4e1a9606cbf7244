"""What a configuration says of a side that is not simply a table of the warehouse or a folder of the snapshot."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from core.errors import ConfigurationError
from core.identifiers import check_name

FileFormat = Literal["parquet", "ndjson", "json", "csv", "avro"]
"""Format of files; `json` is one array of objects a file."""
DatabaseKind = Literal["postgresql", "redshift", "snowflake"]

_FOLDER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=/-]*")
_NAMED: Final = "named"
SOURCE_TAGS: Final = frozenset({_NAMED, "bigquery", "files", "postgresql", "redshift", "snowflake", "delta", "iceberg"})
"""What tells the kinds of sources apart where their faults are told."""

Uri = Annotated[str, Field(pattern=r"^(s3|gs|file)://")]


class Strict(BaseModel):
    """A part of a configuration that takes nothing it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked(name: str) -> str:
    """Return a name that can stand unquoted in SQL.

    Args:
        name: the name.

    Raises:
        ValueError: when it cannot.
    """
    try:
        return check_name(name)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def check_table(value: str) -> str:
    """Return a name of the form `dataset.table`.

    Args:
        value: the name.

    Raises:
        ValueError: when it has another form.
    """
    dataset, dot, table = value.partition(".")
    if not dot:
        raise ValueError(f"{value!r} must be dataset.table")
    checked(dataset)
    checked(table)
    return value


def check_folder(value: str) -> str:
    """Return a folder below the snapshot.

    Args:
        value: the folder.

    Raises:
        ValueError: when it is something else.
    """
    if not _FOLDER.fullmatch(value) or ".." in value:
        raise ValueError(f"{value!r} must be a folder below the snapshot, such as members")
    return value


class CsvForm(Strict):
    """How CSV files are written, beyond RFC 4180.

    Attributes:
        delimiter: what stands between fields.
        null: what stands, without quotes, for null; nothing at all by default.
    """

    delimiter: Annotated[str, Field(pattern=r"^[\t !#-~]$")] = ","
    null: Annotated[str, Field(pattern=r'^[^"\r\n]*$')] = ""


class BigQueryTable(Strict):
    """A table of BigQuery, on whichever side.

    Attributes:
        type: `bigquery`.
        table: `dataset.table`.
    """

    type: Literal["bigquery"]
    table: str

    _check = field_validator("table")(check_table)


class FilesTable(Strict):
    """Files that together hold a table, outside of the snapshots.

    Attributes:
        type: `files`.
        uri: folder of the files; those whose names begin with `_` or `.` are passed over.
        format: their format; by the end of their names by default.
        csv: how they are written, if they are CSV.
        rows: rows in them, where somebody says; other numbers are then refused.
    """

    type: Literal["files"]
    uri: Uri
    format: FileFormat | None = None
    csv: CsvForm = CsvForm()
    rows: Annotated[int, Field(ge=0)] | None = None


class DatabaseTable(Strict):
    """A table of a database that is read through ADBC.

    Attributes:
        type: `postgresql`, `redshift` or `snowflake`.
        connection: environment variable that holds the URI of the connection, secrets included.
        table: `schema.table`; for Snowflake also `database.schema.table`. Letter case is as it is written.
    """

    type: DatabaseKind
    connection: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    table: str

    @field_validator("table")
    @classmethod
    def _check_table(cls, value: str) -> str:
        parts = value.split(".")
        if len(parts) not in (2, 3):
            raise ValueError(f"{value!r} must be schema.table")
        for part in parts:
            checked(part)
        return value


class DeltaTable(Strict):
    """A Delta table.

    Attributes:
        type: `delta`.
        uri: folder of the table, the one that holds `_delta_log`.
        version: which version; the newest when the run begins by default.
    """

    type: Literal["delta"]
    uri: Uri
    version: Annotated[int, Field(ge=0)] | None = None


class IcebergTable(Strict):
    """An Iceberg table, named by its metadata file or in a catalog.

    Attributes:
        type: `iceberg`.
        metadata: URI of a metadata file, which needs no catalog.
        catalog: name of a catalog that PyIceberg's own configuration knows (`.pyiceberg.yaml`, or variables
            `PYICEBERG_CATALOG__<NAME>__URI` and the like).
        table: the table's name in the catalog.
        snapshot_id: which snapshot; the current one when the run begins by default.
    """

    type: Literal["iceberg"]
    metadata: Uri | None = None
    catalog: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    table: str | None = None
    snapshot_id: int | None = None

    @model_validator(mode="after")
    def _check_named(self) -> "IcebergTable":
        if (self.metadata is None) == (self.catalog is None) or (self.catalog is None) != (self.table is None):
            raise ValueError("name the metadata file, or a catalog and its table")
        return self


def _tag(value: Any) -> str | None:
    if isinstance(value, str):
        return _NAMED
    found = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return found if isinstance(found, str) else None


_Described = (
    Annotated[BigQueryTable, Tag("bigquery")]
    | Annotated[FilesTable, Tag("files")]
    | Annotated[DatabaseTable, Tag("postgresql")]
    | Annotated[DatabaseTable, Tag("redshift")]
    | Annotated[DatabaseTable, Tag("snowflake")]
    | Annotated[DeltaTable, Tag("delta")]
    | Annotated[IcebergTable, Tag("iceberg")]
)
_DISCRIMINATOR: Final = Discriminator(
    _tag,
    custom_error_type="source_type",
    custom_error_message="must be a name, or a mapping whose `type` is one of "
    "bigquery, files, postgresql, redshift, snowflake, delta, iceberg",
)

DescribedTable = BigQueryTable | FilesTable | DatabaseTable | DeltaTable | IcebergTable
"""A side that the configuration describes, rather than names."""
Table = Annotated[Annotated[str, Tag(_NAMED)] | _Described, _DISCRIMINATOR]
"""A side: a name (of a table of the warehouse, or of a folder of the snapshot), or any source, described."""
