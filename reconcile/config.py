"""The configuration of a reconciliation: what is compared with what, checked before anything is read."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from core.contracts import DataType
from core.errors import ConfigurationError
from reconcile.locations import Written
from reconcile.policy import Alert, Partition, Thresholds
from reconcile.rules import JsonNumbers, Precision, Rule
from reconcile.source_config import (
    CsvForm,
    FileFormat,
    Strict,
    Table,
    Uri,
    check_folder,
    check_table,
    checked,
)

AskedMode = Literal["auto", "count", "aggregate", "sample", "checksum", "typed"]
"""A mode, or the choice of one by size, order of the key and the last run."""
Scalar = bool | int | Decimal | datetime | date | str

SNAPSHOT_ID: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:+=-]*$"
"""Names of snapshots: one folder, and never a way out of it."""
_MEMORY: Final = re.compile(r"(?P<count>[1-9][0-9]*) ?(?P<unit>MB|GB)")
LEAST_MEMORY_MB: Final = 400
"""What a run keeps to, in MiB: the interpreter, Google's clients, and the least that readers and engine work with."""


def _no_floats(value: object) -> object:
    # YAML's floats are binary; a constant in a filter is meant in decimal, as it is spelled.
    return Decimal(repr(value)) if isinstance(value, float) else value


Constant = Annotated[Scalar | None, BeforeValidator(_no_floats)]
Where = dict[str, Constant | tuple[Constant, ...]]


class MapConfig(Strict):
    """What a side's value is made of, where no column holds it.

    Attributes:
        constant: the same value for every row; null is one.
        expression: DuckDB's SQL over the side's columns, of one row at a time.
    """

    constant: Constant = None
    expression: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_one(self) -> "MapConfig":
        if len(self.model_fields_set) != 1 or (self.expression is None and "constant" not in self.model_fields_set):
            raise ValueError("say either constant or expression")
        return self


Stated = str | MapConfig
"""A map: a column, a path into nested values (`address.city`), a constant or an expression."""


class ColumnConfig(Strict):
    """How one column is mapped and compared; see `reconcile.rules.Rule` for the settings that make the rule.

    Attributes:
        snapshot: what it is in the snapshot: another name, a path, or a `MapConfig`; the column of its name by default.
        warehouse: the same for the warehouse.
        cast: type to compare in, when a side holds it in another one.
        ignore: leave it out.
        mask: whether values are hidden in reports; by default those with a PII class, or all without a contract.
    """

    snapshot: Stated | None = None
    warehouse: Stated | None = None
    cast: DataType | None = None
    ignore: bool = False
    mask: bool | None = None
    absolute: Annotated[Decimal, BeforeValidator(_no_floats), Field(ge=0)] | None = None
    relative: Annotated[float, Field(ge=0, lt=1)] | None = None
    nan: Literal["equal", "distinct"] = "equal"
    zero: Literal["equal", "signed"] = "equal"
    precision: Precision | None = None
    case: Literal["exact", "ignore"] = "exact"
    space: Literal["exact", "trim", "collapse"] = "exact"
    unicode: Literal["exact", "nfc"] = "exact"
    order: Literal["exact", "ignore", "set"] = "exact"
    null_array: Literal["empty", "distinct"] = "empty"
    numbers: JsonNumbers = "value"
    null_equivalents: tuple[str, ...] = ()

    def rule(self) -> Rule:
        """Return the rule these settings make."""
        return Rule(**{name: getattr(self, name) for name in Rule.__dataclass_fields__})


class InFlight(Strict):
    """Set aside, rather than report, what the warehouse took in after the snapshot was taken.

    Attributes:
        column: timestamp column of the warehouse that says when it took a row in.
    """

    column: str = "_ingestion_ts"

    @field_validator("column")
    @classmethod
    def _column(cls, value: str) -> str:
        return checked(value)


class DeletedBy(Strict):
    """What marks the rows of a side that are deleted, and stand there all the same.

    Attributes:
        column: the column that tells. A row in which it is null is not deleted.
        values: what it holds in deleted rows. By default: true in a bool, any value in a timestamp, datetime or date,
            and `true` in a text, as Debezium writes `__deleted`.
    """

    column: str
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None

    @field_validator("column")
    @classmethod
    def _column(cls, value: str) -> str:
        return checked(value)


def _by_column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class SoftDeletes(Strict):
    """Which rows of either side count as absent; a bare name stands for the column that tells.

    Attributes:
        warehouse: what marks deleted rows of the warehouse; None when deleted rows are gone.
        snapshot: the same for the snapshot.
    """

    warehouse: Annotated[DeletedBy | None, BeforeValidator(_by_column)] = None
    snapshot: Annotated[DeletedBy | None, BeforeValidator(_by_column)] = None


class ComparisonConfig(Strict):
    """One comparison.

    Attributes:
        name: its name in commands and reports; the contract's by default.
        contract: contract that says columns, types and key; without one, the warehouse's schema does.
        warehouse: `dataset.table`, by default the table of that name in the default dataset; or any source, described.
        snapshot: folder of the table within the snapshot, the name by default; or any source, described.
        format: format of its files; the manifest's by default.
        csv: how its files are written, if they are CSV.
        key: key columns; needed without a contract.
        where: constants that warehouse columns must equal (a list: one of them; null: be null).
        snapshot_where: the same for columns of the snapshot.
        columns: mapping and rule by column.
        soft_deletes: see `SoftDeletes`; off by default.
        in_flight: see `InFlight`; off by default.
        mode: how to compare; `auto` by default.
        sample_share: share of the keys that the mode `sample` takes.
        thresholds: how much may differ for the comparison to pass; nothing by default.
        partition: by what counts are broken down.
    """

    name: str
    contract: str | None = None
    warehouse: Table | None = None
    snapshot: Table | None = None
    format: FileFormat | None = None
    csv: CsvForm = CsvForm()
    key: tuple[str, ...] = ()
    where: Where | None = None
    snapshot_where: Where = Field(default_factory=dict)
    columns: dict[str, ColumnConfig] = Field(default_factory=dict)
    soft_deletes: SoftDeletes = SoftDeletes()
    in_flight: InFlight | None = None
    mode: AskedMode = "auto"
    sample_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    thresholds: Thresholds | None = None
    partition: Partition | None = None

    @model_validator(mode="before")
    @classmethod
    def _name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" not in data and isinstance(data.get("contract"), str):
            return {**data, "name": data["contract"]}
        return data

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return checked(value)

    @field_validator("warehouse")
    @classmethod
    def _check_warehouse(cls, value: Table | None) -> Table | None:
        return check_table(value) if isinstance(value, str) else value

    @field_validator("snapshot")
    @classmethod
    def _check_snapshot(cls, value: Table | None) -> Table | None:
        return check_folder(value) if isinstance(value, str) else value

    @field_validator("where", "snapshot_where", "columns")
    @classmethod
    def _check_columns(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        for column in value or ():
            checked(column)
        return value

    @model_validator(mode="after")
    def _check_key(self) -> "ComparisonConfig":
        if self.contract is None and not self.key:
            raise ValueError("name a contract, or the key columns")
        if self.contract is not None and self.key:
            raise ValueError("the contract says what the key is; drop key or contract")
        for name in self.key:
            if self.columns.get(name, ColumnConfig()).ignore:
                raise ValueError(f"the key column {name} cannot be ignored")
        if len(set(self.key)) < len(self.key):
            raise ValueError("a column stands in the key more than once")
        return self


class SnapshotConfig(Strict):
    """Where the snapshots lie.

    Attributes:
        uri: `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`; `MILLRACE_SNAPSHOT_URI` by default.
        id: which of them; `latest` is the one whose name sorts last, so name them by time (ISO 8601).
        manifest: name of the manifest within a snapshot; null when the snapshots have none.
    """

    uri: Uri | None = None
    id: Annotated[str, Field(pattern=SNAPSHOT_ID)] = "latest"
    manifest: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = "manifest.json"


class Defaults(Strict):
    """What holds for every comparison that says nothing else.

    Attributes:
        dataset: dataset of the warehouse tables.
        where: filter of the warehouse.
        in_flight: see `InFlight`.
        thresholds: how much may differ for a comparison to pass.
    """

    dataset: str = "structure"
    where: Where = Field(default_factory=dict)
    in_flight: InFlight | None = None
    thresholds: Thresholds | None = None

    @field_validator("dataset")
    @classmethod
    def _check_dataset(cls, value: str) -> str:
        return checked(value)

    @field_validator("where")
    @classmethod
    def _check_columns(cls, value: Where) -> Where:
        for column in value:
            checked(column)
        return value


def _memory_mb(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _MEMORY.fullmatch(value)
    if not match:
        raise ValueError(f"{value!r} must be a size such as 512 MB or 2 GB")
    found = int(match["count"]) * (1024 if match["unit"] == "GB" else 1)
    if found < LEAST_MEMORY_MB:
        raise ValueError(f"{value} is less than a run takes; give it {LEAST_MEMORY_MB} MB at least")
    return found


class Limits(Strict):
    """What a run may use.

    Attributes:
        memory_mb: what the process may hold resident, in MiB, written as `512 MB`; at least 400. The interpreter and
            its clients are part of it (about 230 MB). Readers have the rest, for as long as they read, then the engine,
            and what exceeds it goes to scratch space; see `reconcile.memory`.
        threads: threads of the join; the machine's cores by default.
        readers: how many streams or files are read at once on each side; fewer where memory is short.
        sample: differences of each kind that a report shows for each comparison.
    """

    memory_mb: Annotated[int, BeforeValidator(_memory_mb), Field(ge=LEAST_MEMORY_MB, alias="memory_limit")] = 512
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    readers: Annotated[int, Field(ge=1, le=64)] = 2
    sample: Annotated[int, Field(ge=0, le=1000)] = 25


class ReconcileConfig(Strict):
    """A whole configuration.

    Attributes:
        version: version of this format.
        snapshot: where the snapshots lie.
        defaults: what holds for every comparison.
        limits: what a run may use.
        alert: who is told, beside the log; nobody by default.
        comparisons: what is compared.
    """

    version: Literal[1]
    snapshot: SnapshotConfig = SnapshotConfig()
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    alert: Alert | None = None
    comparisons: Annotated[tuple[ComparisonConfig, ...], Field(min_length=1)]

    _written: Written | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Keep the file that the configuration was read from, when one is named as the context of its validation."""
        if isinstance(context, Written):
            self._written = context

    @property
    def written(self) -> Written | None:
        """The file that it was read from, by which later faults name their lines; None for one made in Python."""
        return self._written

    @model_validator(mode="after")
    def _check_unique(self) -> "ReconcileConfig":
        names = [comparison.name for comparison in self.comparisons]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"comparisons are declared more than once: {', '.join(doubled)}")
        return self

    def select(self, names: tuple[str, ...]) -> tuple[ComparisonConfig, ...]:
        """Return the comparisons of these names, in the configuration's order.

        Args:
            names: names of comparisons; none at all selects every one.

        Returns:
            The comparisons.

        Raises:
            ConfigurationError: when a name is not among them.
        """
        known = {comparison.name for comparison in self.comparisons}
        unknown = sorted(set(names) - known)
        if unknown:
            raise ConfigurationError(
                f"no comparison is called {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        return tuple(comparison for comparison in self.comparisons if not names or comparison.name in names)
