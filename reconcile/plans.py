"""What a run will read and compare: decided, typed and checked before any data moves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

import pyarrow as pa

from core.contracts import DataType, TableContract
from core.pinned import ObjectRef
from reconcile.config import AskedMode
from reconcile.mapping.origins import Origin
from reconcile.read.filters import Condition
from reconcile.read.warehouse import WarehouseTable
from reconcile.result import SnapshotId
from reconcile.rules import Rule, describe
from reconcile.source_config import CsvForm, DatabaseKind, FileFormat


@dataclass(frozen=True)
class PlannedColumn:
    """A column that is compared.

    Attributes:
        name: its name in the warehouse.
        snapshot_name: its name in the snapshot.
        data_type: type both sides are compared in.
        is_key: whether it belongs to the key.
        rule: when two values count as equal.
        masked: class of personal data to hide values for; None to show them.
        cast: whether a side may be converted to `data_type` even with loss.
        origin: what the warehouse's value is made of; None for the column of that name.
        snapshot_origin: the same for the snapshot.
    """

    name: str
    snapshot_name: str
    data_type: DataType
    is_key: bool
    rule: Rule
    masked: str | None
    cast: bool
    origin: Origin | None = None
    snapshot_origin: Origin | None = None

    @property
    def on_snapshot(self) -> "PlannedColumn":
        """The column as the snapshot has it: what was the snapshot's stands in the warehouse's place."""
        return replace(self, name=self.snapshot_name, origin=self.snapshot_origin)

    @property
    def words(self) -> str:
        """How it is compared and what it is made of, as every report says it: `exact` when there is nothing to say."""
        parts = [describe(self.rule)]
        if self.origin is not None:
            parts.append(f"warehouse {self.origin}")
        if self.snapshot_origin is not None:
            parts.append(f"snapshot {self.snapshot_origin}")
        elif self.snapshot_name != self.name:
            parts.append(f"snapshot column {self.snapshot_name}")
        return "; ".join([*parts, *([f"cast to {self.data_type}"] if self.cast else [])])


@dataclass(frozen=True)
class FileSet:
    """Files that together hold a table, pinned.

    Attributes:
        root: URI of the store that the files' paths are relative to.
        objects: the files.
        format: their format.
        expected_rows: rows in them, by who wrote them; None when nobody says.
        words: what they are and of which version, in words; the root by default.
        constants: values of columns that the files do not hold, as text, by the path of the file: what a table format
            keeps in the name of a folder.
        csv: how CSV files are written.
        selections: which rows of a file belong to the table, by its path; those beyond the array do.
        declared: the table's schema, where its format declares one: columns that a file lacks are then null in it.
    """

    root: str
    objects: tuple[ObjectRef, ...]
    format: FileFormat
    expected_rows: int | None = None
    words: str = ""
    constants: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    csv: CsvForm = field(default_factory=CsvForm)
    selections: Mapping[str, pa.BooleanArray] = field(default_factory=dict)
    declared: pa.Schema | None = None

    def __str__(self) -> str:
        return self.words or self.root


@dataclass(frozen=True)
class DatabaseSpec:
    """A table of a database that is read through ADBC.

    Attributes:
        kind: the kind of database.
        connection: environment variable that holds the URI of the connection; its value is in no plan and no report.
        schema: schema of the table.
        table: its name.
        database: its database, where that is not the connection's.
    """

    kind: DatabaseKind
    connection: str
    schema: str
    table: str
    database: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the table's name."""
        return tuple(part for part in (self.database, self.schema, self.table) if part is not None)

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(self.parts)} ({self.connection})"


TableSpec = WarehouseTable | FileSet | DatabaseSpec
"""Which table a side is, decided before any of its rows is read; `reconcile.sources` opens it."""

SourceFormat = FileFormat | DatabaseKind | Literal["bigquery"]


@dataclass(frozen=True)
class InFlightPlan:
    """How rows in flight are told.

    Attributes:
        column: timestamp column of the warehouse.
        after: rows taken in after this instant (UTC) are in flight: when the snapshot was taken.
    """

    column: str
    after: datetime


@dataclass(frozen=True)
class WarehousePlan:
    """What is read of the warehouse.

    Attributes:
        table: the table.
        where: conditions that rows must meet.
        in_flight: how rows in flight are told; None to report them like any other.
        restriction: the filter in GoogleSQL, as BigQuery is asked and reports show it.
    """

    table: TableSpec
    where: tuple[Condition, ...]
    in_flight: InFlightPlan | None
    restriction: str


_NO_FILES: Final = FileSet("", (), "parquet")


@dataclass(frozen=True)
class SnapshotPlan:
    """What is read of the snapshot.

    Attributes:
        objects: files, pinned; none when the table is one of a database.
        format: their format, or the kind of database.
        expected_rows: rows in them by the manifest; None without one.
        where: conditions that rows must meet.
        table: the table.
        restriction: the filter of the whole in GoogleSQL, as reports show it; of a part's range it says nothing.
    """

    objects: tuple[ObjectRef, ...]
    format: SourceFormat
    expected_rows: int | None
    where: tuple[Condition, ...]
    table: TableSpec = _NO_FILES
    restriction: str = ""

    @property
    def spec(self) -> TableSpec:
        """The table, with the files and the rows that the plan names: a part of a comparison names some of them."""
        if isinstance(self.table, FileSet):
            return replace(self.table, objects=self.objects, expected_rows=self.expected_rows)
        return self.table


@dataclass(frozen=True)
class ComparisonPlan:
    """One comparison.

    Attributes:
        name: its name.
        contract: the contract it follows; None when it follows the warehouse's schema.
        columns: what is compared, the key first.
        warehouse: what is read of the warehouse.
        snapshot: what is read of the snapshot.
        not_compared: columns either side holds that are left out, such as `warehouse._op`.
        mode: how the configuration wants it compared.
        sample_share: share of the keys that the mode `sample` takes.
        soft_deletes: columns whose values mark rows as deleted, such as `warehouse.is_deleted`.
    """

    name: str
    contract: TableContract | None
    columns: tuple[PlannedColumn, ...]
    warehouse: WarehousePlan
    snapshot: SnapshotPlan
    not_compared: tuple[str, ...]
    mode: AskedMode = "auto"
    sample_share: float = 0.01
    soft_deletes: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[PlannedColumn, ...]:
        """The columns of the key."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def values(self) -> tuple[PlannedColumn, ...]:
        """The columns outside the key."""
        return tuple(column for column in self.columns if not column.is_key)


@dataclass(frozen=True)
class Unplanned:
    """A comparison that cannot be made.

    Attributes:
        name: its name.
        contract: the contract it follows, when it names one.
        reason: why not.
    """

    name: str
    contract: TableContract | None
    reason: str


@dataclass(frozen=True)
class RunPlan:
    """A whole run.

    Attributes:
        project: Google Cloud project of the warehouse.
        snapshot: the snapshot compared with.
        comparisons: each planned, or why it could not be.
        uses_snapshot: whether any comparison is with a folder of the snapshot.
    """

    project: str
    snapshot: SnapshotId
    comparisons: tuple[ComparisonPlan | Unplanned, ...]
    uses_snapshot: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether every comparison can be made."""
        return not any(isinstance(comparison, Unplanned) for comparison in self.comparisons)
