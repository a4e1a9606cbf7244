"""Reading contracts from the YAML of dbt sources, with every fault named by its file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.contracts.consistency import contradictions, shared_topics
from core.contracts.dump_files import dump_files_fault
from core.contracts.layout import layout_faults
from core.contracts.model import (
    ChangePattern,
    Column,
    Contracts,
    DataType,
    DriftMode,
    Encoding,
    PartitionUnit,
    TableContract,
    WireFormat,
    names_in,
)
from core.debezium import DebeziumHandling
from core.errors import ConfigurationError, ContractError
from core.identifiers import check_column, check_name
from core.raw_row import ADDED_COLUMNS, CLUSTER_COLUMN


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
        return _checked_name(value, check_column)


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
    require_partition_filter: bool = False
    partition_by: PartitionUnit = "day"
    cluster_by: tuple[str, ...] = (CLUSTER_COLUMN,)
    # strict, since dbt's macros read the same YAML and take it as it stands
    retention_days: Annotated[int, Field(strict=True)] | None = None


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
    if fault := next(shared_topics(tables), None):
        raise ContractError(fault)
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
    # BigQuery does not tell `V` from `v`.
    names = [column.name.casefold() for column in table.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ContractError(f"{path}: table {table.name!r} declares {', '.join(doubled)} more than once")
    taken = sorted({*names} & ADDED_COLUMNS)
    if taken:
        raise ContractError(
            f"{path}: table {table.name!r} declares {', '.join(taken)}, which Millrace itself adds to every table"
        )
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
        require_partition_filter=table.config.meta.require_partition_filter,
        partition_by=table.config.meta.partition_by,
        cluster_by=table.config.meta.cluster_by,
        retention_days=table.config.meta.retention_days,
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
    if faults := "; ".join((*contradictions(contract), *layout_faults(contract))):
        raise ContractError(f"{path}: {faults}")
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
    placeholders = names_in(contract.api_path)
    keys = {column.name for column in contract.key}
    if placeholders != keys:
        raise ContractError(
            f"{path}: api_path of {contract.name!r} must name exactly the key columns "
            f"{', '.join(sorted(keys))}, not {', '.join(sorted(placeholders)) or 'none'}"
        )


def _check_api_set_path(path: Path, contract: TableContract) -> None:
    if contract.api_set_path is None:
        return
    placeholders = names_in(contract.api_set_path)
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


def _check_pattern(path: Path, contract: TableContract) -> None:
    if contract.pattern == "full_dump" and contract.notification_topic is not None:
        raise ContractError(
            f"{path}: table {contract.name!r} comes as full dumps, so a row fetched for a notification would belong "
            "to none; remove the notification_topic"
        )
    if contract.pattern == "full_dump" and contract.require_partition_filter:
        raise ContractError(
            f"{path}: table {contract.name!r} comes as full dumps, each compared with all that came before; "
            "remove require_partition_filter"
        )
    if (fault := dump_files_fault(contract)) is not None:
        raise ContractError(f"{path}: table {contract.name!r} {fault}")


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


def _checked_name(value: str, check: Callable[[str], str] = check_name) -> str:
    try:
        return check(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def _explain(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
