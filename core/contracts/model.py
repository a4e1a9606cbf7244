"""What a contract says of a table: its columns, its key, where its changes come from and in which form."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.debezium import DebeziumHandling
from core.raw_row import CLUSTER_COLUMN

DataType = Literal[
    "int64", "numeric", "bignumeric", "float64", "bool", "string", "bytes",
    "date", "datetime", "time", "timestamp", "json", "array<string>", "array<int64>",
]  # fmt: skip
WireFormat = Literal["auto", "debezium", "debezium_flat", "datastream", "maxwell", "dms", "plain"]
Encoding = Literal["json", "avro"]
ChangePattern = Literal["event", "upsert", "incremental", "full_dump"]
DriftMode = Literal["strict", "allow_new", "ignore"]
PartitionUnit = Literal["hour", "day", "month"]


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
            `*` stands for anything within a folder's name, `**` also for folders, `{dump_id}` for the id of a full
            dump.
        require_partition_filter: whether BigQuery refuses a query of the raw table that names no partition.
        partition_by: what a partition of the raw table holds: the rows appended in an hour, a day or a month (UTC).
        cluster_by: the columns of the raw row that BigQuery sorts each partition by, in order; one to four.
        retention_days: after how many days maintenance deletes raw rows that structure has applied, at least 7; None
            leaves it to dbt's variable `raw_retention_days`, which a number here overrules.
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
    require_partition_filter: bool = False
    partition_by: PartitionUnit = "day"
    cluster_by: tuple[str, ...] = (CLUSTER_COLUMN,)
    retention_days: int | None = None

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key, in order; never empty."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def set_columns(self) -> tuple[Column, ...]:
        """The columns that all rows of a set at the API share, in order; empty without `api_set_path`."""
        names = names_in(self.api_set_path or "")
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


def names_in(template: str) -> set[str]:
    """Return the names of the placeholders in a path of the API.

    Args:
        template: the path, such as `/members/{member_id}`.
    """
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
