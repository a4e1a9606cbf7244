"""Table contracts: each table declared once, as a dbt source, and read by every part.

A contract is a table of a dbt source YAML: its columns with data type, description and, under
`config: meta:`, key, nullability, PII class and allowed values; the table's own `config: meta:` holds its
topic, wire format, API path and owner. See https://docs.getdbt.com/reference/source-properties.
"""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.debezium import DebeziumHandling
from core.errors import ConfigurationError, ContractError
from core.identifiers import check_name

DataType = Literal[
    "int64", "numeric", "bignumeric", "float64", "bool", "string", "bytes",
    "date", "datetime", "time", "timestamp", "json", "array<string>", "array<int64>",
]  # fmt: skip
WireFormat = Literal["auto", "debezium", "debezium_flat", "datastream", "maxwell", "dms", "plain"]
Encoding = Literal["json", "avro"]
ChangePattern = Literal["event", "upsert", "incremental", "full_dump"]
DriftMode = Literal["strict", "allow_new", "ignore"]


@dataclass(frozen=True)
class Column:
    """A column of the source's table, as it stands in the payload.

    Attributes:
        name: column name, the same at the source and in every zone.
        data_type: GoogleSQL type, in lower case.
        description: meaning, for people.
        is_key: whether it belongs to the primary key.
        is_nullable: whether the source may leave it null.
        pii: class of personal data, such as `email`; None when it is none.
        allowed_values: the values of an enumeration; empty when any value may stand.
        scale: digits after the point of a decimal at the source; None when the events say it themselves.
        precision: digits after the second of a time or timestamp at the source; None for six.
        is_unsigned: whether it is a `bigint unsigned` that its connector writes as a signed number.
    """

    name: str
    data_type: DataType
    description: str
    is_key: bool
    is_nullable: bool
    pii: str | None
    allowed_values: tuple[str, ...]
    scale: int | None = None
    precision: int | None = None
    is_unsigned: bool = False


@dataclass(frozen=True)
class TableContract:
    """What every part needs to know of a table.

    Attributes:
        name: table name, unique in the project.
        source: name of the dbt source: the domain.
        dataset: BigQuery dataset of the raw table.
        description: meaning, for people.
        owner: who answers for the table.
        wire_format: dialect of the change events; `auto` recognises it message by message.
        encoding: how the events' values are written.
        pattern: what a message says: what happened (`event`), the row's present state (`upsert`), the same in the
            order of a cursor (`incremental`), or one row of a complete copy (`full_dump`).
        cursor: the column that orders an `incremental` table's rows; None for the other patterns.
        drift: what becomes of a payload that does not fit the contract.
        api_set_path: path of a set of rows at the API, such as all addresses of a member, with a placeholder per
            column that all rows of the set share; None when the API serves no sets.
        topic: Pub/Sub topic of the change events.
        notification_topic: topic of notifications that a row changed; None when there are none.
        api_path: path of one row at the API, with a placeholder per key column; None without an API.
        columns: the columns in the source's order.
        debezium: how its connector writes values.
        operation_field: field of a `plain` row that says what happened to it; None for the usual names.
        deleted_field: field of a `plain` row that says whether it is gone; None for the usual names.
        files: pattern of the objects that hold its events, below the place files are read from; None when none do.
            `*` stands for anything within a folder's name, `**` also for folders.
    """

    name: str
    source: str
    dataset: str
    description: str
    owner: str
    wire_format: WireFormat
    topic: str
    notification_topic: str | None
    api_path: str | None
    columns: tuple[Column, ...]
    encoding: Encoding = "json"
    pattern: ChangePattern = "event"
    cursor: str | None = None
    drift: DriftMode = "allow_new"
    api_set_path: str | None = None
    debezium: DebeziumHandling = field(default_factory=DebeziumHandling)
    operation_field: str | None = None
    deleted_field: str | None = None
    files: str | None = None

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key, in order; never empty."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def set_columns(self) -> tuple[Column, ...]:
        """The columns that all rows of a set at the API share, in order; empty without `api_set_path`."""
        names = _placeholders(self.api_set_path or "")
        return tuple(column for column in self.columns if column.name in names)

    def column(self, name: str) -> Column:
        """Return the column called `name`.

        Args:
            name: a column name.

        Returns:
            The column.

        Raises:
            KeyError: when the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}")


class Contracts(Mapping[str, TableContract]):
    """All contracts of the project, by table name, in the order of their files."""

    def __init__(self, tables: Mapping[str, TableContract]) -> None:
        self._tables = dict(tables)

    def __getitem__(self, name: str) -> TableContract:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def by_topic(self) -> dict[str, TableContract]:
        """Return the contracts by the topic of their change events."""
        return {contract.topic: contract for contract in self.values()}

    def notification_topics(self) -> tuple[str, ...]:
        """Return the distinct notification topics, sorted."""
        return tuple(sorted({c.notification_topic for c in self.values() if c.notification_topic}))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Lenient(BaseModel):
    # dbt owns these mappings and may hold properties that are none of our business.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _ColumnMeta(_Strict):
    key: bool = False
    nullable: bool = True
    pii: str | None = None
    allowed_values: tuple[str, ...] = ()
    scale: Annotated[int, Field(ge=0, le=38)] | None = None
    precision: Annotated[int, Field(ge=0, le=9)] | None = None
    unsigned: bool = False


class _ColumnConfig(_Lenient):
    meta: _ColumnMeta = _ColumnMeta()


class _ColumnYaml(_Lenient):
    name: str
    data_type: DataType
    description: Annotated[str, Field(min_length=1)]
    config: _ColumnConfig = _ColumnConfig()

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _checked_name(value)


class _TableMeta(_Strict):
    owner: str
    wire_format: WireFormat = "debezium"
    encoding: Encoding = "json"
    pattern: ChangePattern = "event"
    cursor: str | None = None
    drift: DriftMode = "allow_new"
    topic: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$")]
    notification_topic: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$")] | None = None
    api_path: Annotated[str, Field(pattern=r"^/")] | None = None
    api_set_path: Annotated[str, Field(pattern=r"^/")] | None = None
    operation_field: Annotated[str, Field(min_length=1)] | None = None
    deleted_field: Annotated[str, Field(min_length=1)] | None = None
    files: Annotated[str, Field(pattern=r"^[^/]")] | None = None
    debezium: DebeziumHandling = DebeziumHandling()


class _TableConfig(_Lenient):
    meta: _TableMeta


class _TableYaml(_Lenient):
    name: str
    description: Annotated[str, Field(min_length=1)]
    config: _TableConfig
    columns: Annotated[tuple[_ColumnYaml, ...], Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _checked_name(value)


class _SourceYaml(_Lenient):
    name: str
    schema_: Annotated[str, Field(alias="schema")]
    tables: tuple[_TableYaml, ...] = ()

    @field_validator("schema_")
    @classmethod
    def _schema(cls, value: str) -> str:
        return _checked_name(value)


class _FileYaml(_Lenient):
    sources: tuple[_SourceYaml, ...] = ()


def load_contracts(folder: Path) -> Contracts:
    """Read every contract below a folder.

    Args:
        folder: where the source YAML files stand, such as `dbt_project/models/raw`.

    Returns:
        The contracts by table name.

    Raises:
        ContractError: when the folder holds none, a file is not valid, or two tables share a name or topic.
    """
    if not folder.is_dir():
        raise ContractError(f"{folder}: no such folder; set MILLRACE_CONTRACTS_PATH to where the source YAML stands")
    tables: dict[str, TableContract] = {}
    for path in sorted(folder.rglob("*.yml")):
        for contract in _read_file(path):
            if contract.name in tables:
                raise ContractError(f"{path}: table {contract.name!r} is declared twice; keep one declaration")
            tables[contract.name] = contract
    if not tables:
        raise ContractError(f"{folder}: no dbt source is declared here")
    _check_topics(tables)
    return Contracts(tables)


def _read_file(path: Path) -> Iterator[TableContract]:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        parsed = _FileYaml.model_validate(document or {})
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not valid YAML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        raise ContractError(f"{path}: {_explain(error)}") from error
    for source in parsed.sources:
        for table in source.tables:
            yield _contract(path, source, table)


def _contract(path: Path, source: _SourceYaml, table: _TableYaml) -> TableContract:
    names = [column.name for column in table.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ContractError(f"{path}: table {table.name!r} declares {', '.join(doubled)} more than once")
    contract = TableContract(
        name=table.name,
        source=source.name,
        dataset=source.schema_,
        description=table.description.strip(),
        owner=table.config.meta.owner,
        wire_format=table.config.meta.wire_format,
        topic=table.config.meta.topic,
        notification_topic=table.config.meta.notification_topic,
        api_path=table.config.meta.api_path,
        columns=tuple(_column(column) for column in table.columns),
        encoding=table.config.meta.encoding,
        pattern=table.config.meta.pattern,
        cursor=table.config.meta.cursor,
        drift=table.config.meta.drift,
        api_set_path=table.config.meta.api_set_path,
        operation_field=table.config.meta.operation_field,
        deleted_field=table.config.meta.deleted_field,
        files=table.config.meta.files,
        debezium=table.config.meta.debezium,
    )
    if not contract.key:
        raise ContractError(
            f"{path}: table {table.name!r} has no key; give at least one column `config: meta: key: true`"
        )
    _check_api_path(path, contract)
    _check_api_set_path(path, contract)
    _check_pattern(path, contract)
    _check_cursor(path, contract)
    _check_markers(path, contract)
    return contract


def _column(column: _ColumnYaml) -> Column:
    meta = column.config.meta
    return Column(
        name=column.name,
        data_type=column.data_type,
        description=column.description.strip(),
        is_key=meta.key,
        is_nullable=meta.nullable and not meta.key,
        pii=meta.pii,
        allowed_values=meta.allowed_values,
        scale=meta.scale,
        precision=meta.precision,
        is_unsigned=meta.unsigned,
    )


def _check_api_path(path: Path, contract: TableContract) -> None:
    if contract.api_path is None:
        return
    placeholders = _placeholders(contract.api_path)
    keys = {column.name for column in contract.key}
    if placeholders != keys:
        raise ContractError(
            f"{path}: api_path of {contract.name!r} must name exactly the key columns "
            f"{', '.join(sorted(keys))}, not {', '.join(sorted(placeholders)) or 'none'}"
        )


def _check_api_set_path(path: Path, contract: TableContract) -> None:
    if contract.api_set_path is None:
        return
    placeholders = _placeholders(contract.api_set_path)
    names = {column.name for column in contract.columns}
    keys = {column.name for column in contract.key}
    if not placeholders or not placeholders <= names or placeholders >= keys:
        raise ContractError(
            f"{path}: api_set_path of {contract.name!r} must name columns that the rows of a set share, and not the "
            f"whole key; it names {', '.join(sorted(placeholders)) or 'none'}"
        )
    if contract.notification_topic is None:
        raise ContractError(f"{path}: table {contract.name!r} has an api_set_path but no notification_topic")
    wrong = [column.name for column in contract.set_columns if column.data_type not in ("int64", "string")]
    if wrong:
        raise ContractError(f"{path}: api_set_path of {contract.name!r} names {', '.join(wrong)}; use int64 or string")


def _placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def _check_pattern(path: Path, contract: TableContract) -> None:
    if contract.pattern == "full_dump" and contract.notification_topic is not None:
        raise ContractError(
            f"{path}: table {contract.name!r} comes as full dumps, so a row fetched for a notification would belong "
            "to none; remove the notification_topic"
        )


def _check_cursor(path: Path, contract: TableContract) -> None:
    if contract.pattern == "incremental":
        if contract.cursor not in {column.name for column in contract.columns}:
            raise ContractError(
                f"{path}: table {contract.name!r} is incremental: "
                "name the column that orders it under `config: meta: cursor:`"
            )
    elif contract.cursor is not None:
        raise ContractError(f"{path}: table {contract.name!r} has a cursor, which only an incremental table uses")


def _check_markers(path: Path, contract: TableContract) -> None:
    if (contract.operation_field or contract.deleted_field) and contract.wire_format not in ("plain", "auto"):
        raise ContractError(
            f"{path}: table {contract.name!r} names an operation_field or a deleted_field, "
            f"which {contract.wire_format} events do not have; use wire_format plain or auto"
        )


def _check_topics(tables: Mapping[str, TableContract]) -> None:
    owners: dict[str, str] = {}
    for contract in tables.values():
        other = owners.setdefault(contract.topic, contract.name)
        if other != contract.name:
            raise ContractError(f"tables {other!r} and {contract.name!r} share the topic {contract.topic!r}")


def _checked_name(value: str) -> str:
    try:
        return check_name(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def _explain(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
