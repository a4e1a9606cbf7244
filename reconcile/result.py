"""What a reconciliation found: one tree of frozen values that the JSON, the page and the audit row are views of.

The tree is the schema of `report.json` (`msgspec` reads and writes it as it stands), so a change that a
reader would notice raises `SCHEMA_VERSION`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from reconcile.conclusions import Cause, Decision, Outcome, PartitionResult

SCHEMA_VERSION: Final = 2

Verdict = Literal["equal", "different", "unreadable"]
Mode = Literal["count", "aggregate", "sample", "checksum", "typed"]
Kind = Literal["missing", "extra", "changed", "duplicated", "in_flight"]

KINDS: Final[tuple[Kind, ...]] = ("changed", "missing", "extra", "duplicated", "in_flight")
"""Every kind of difference, the most telling first."""


@dataclass(frozen=True)
class Counts:
    """Rows of a comparison; each side adds up.

    `warehouse_rows = matched + changed + extra + duplicated_warehouse + in_flight_warehouse` and
    `snapshot_rows = matched + changed + missing + duplicated_snapshot + in_flight_snapshot`.

    Attributes:
        warehouse_rows: rows read from the warehouse, after its filter.
        snapshot_rows: rows read from the snapshot, after its filter.
        matched: rows alike on both sides in every compared column.
        missing: rows of the snapshot whose key the warehouse lacks.
        extra: rows of the warehouse whose key the snapshot lacks.
        changed: rows whose key both sides hold, and that differ in some column.
        duplicated_keys: keys that stand more than once on a side; their rows are not compared, for nobody can
            say which belongs to which.
        duplicated_warehouse: rows the warehouse holds under those keys.
        duplicated_snapshot: rows the snapshot holds under those keys.
        in_flight: keys that differ, but that the warehouse took in after the snapshot was taken.
        in_flight_warehouse: rows the warehouse holds under those keys.
        in_flight_snapshot: rows the snapshot holds under those keys.
    """

    warehouse_rows: int = 0
    snapshot_rows: int = 0
    matched: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0
    duplicated_keys: int = 0
    duplicated_warehouse: int = 0
    duplicated_snapshot: int = 0
    in_flight: int = 0
    in_flight_warehouse: int = 0
    in_flight_snapshot: int = 0

    @property
    def differences(self) -> int:
        """Keys that make the verdict `different`."""
        return self.missing + self.extra + self.changed + self.duplicated_keys

    @property
    def keys(self) -> int:
        """Keys of either side; what shares are shares of."""
        return self.matched + self.differences + self.in_flight

    @property
    def paired(self) -> int:
        """Keys that both sides hold once, and whose columns were compared."""
        return self.matched + self.changed


@dataclass(frozen=True)
class ColumnResult:
    """How one column fared.

    Attributes:
        name: column of the warehouse.
        snapshot_name: column of the snapshot.
        data_type: GoogleSQL type both sides were compared in.
        is_key: whether it belongs to the key.
        rule: the rule, in words.
        changed: changed rows that differ in this column; exact, never capped.
        rate: their share of the keys that both sides hold once, from 0 to 1.
    """

    name: str
    snapshot_name: str
    data_type: str
    is_key: bool
    rule: str
    changed: int
    rate: float = 0.0


@dataclass(frozen=True)
class KeyValue:
    """One column of a key.

    Attributes:
        column: its name.
        value: its value as text; None for null.
        masked: class of personal data that `value` was masked for; None when it was not.
    """

    column: str
    value: str | None
    masked: str | None


@dataclass(frozen=True)
class Change:
    """One column that differs in one row.

    Attributes:
        column: its name.
        warehouse: the warehouse's value as text; None for null.
        snapshot: the snapshot's value as text; None for null.
        masked: class of personal data that the values were masked for; None when they were not.
        hint: what kind of difference it is where that is easily overlooked, such as letter case only.
    """

    column: str
    warehouse: str | None
    snapshot: str | None
    masked: str | None
    hint: str | None


@dataclass(frozen=True)
class Difference:
    """One key that differs.

    Attributes:
        kind: in what way.
        key: the key's columns.
        changes: the columns that differ; empty unless both sides hold the key once.
        warehouse_rows: rows the warehouse holds under the key.
        snapshot_rows: rows the snapshot holds under the key.
        sql: GoogleSQL that shows the row in the warehouse; None when its key is masked.
        history_sql: GoogleSQL that shows the changes landed for the key; None without a contract.
    """

    kind: Kind
    key: tuple[KeyValue, ...]
    changes: tuple[Change, ...]
    warehouse_rows: int
    snapshot_rows: int
    sql: str | None
    history_sql: str | None


@dataclass(frozen=True)
class PinnedObject:
    """One object of the snapshot, as it was read.

    Attributes:
        uri: where it lies.
        etag: its entity tag; every read was made on the condition that it still held.
        size: length in bytes.
    """

    uri: str
    etag: str
    size: int


@dataclass(frozen=True)
class Inputs:
    """What exactly was compared.

    Attributes:
        warehouse_table: `project.dataset.table`, or what else the table is, in words.
        row_restriction: filter pushed down to the warehouse, in GoogleSQL; empty when there is none.
        snapshot_time: instant the warehouse was read as of (UTC); None where the service cannot pin one.
        read_session: name of the Storage Read API session.
        objects: the files that were read, of the warehouse's side, too, where that is files.
        snapshot_format: format of the snapshot's files, or the kind of database it is a table of, such as `parquet`
            or `postgresql`.
        snapshot_restriction: filter applied to the snapshot, in GoogleSQL; empty when there is none.
        soft_deletes: columns whose values mark rows as deleted, such as `warehouse.is_deleted`; the filters name the
            values, too.
        snapshot_table: what the snapshot's side is, in words: a folder, or a table with its version.
        snapshot_pin: as of what that side was read, such as an instant or a transaction's snapshot; None for files,
            which `objects` pins.
    """

    warehouse_table: str
    row_restriction: str
    snapshot_time: datetime | None
    read_session: str | None
    objects: tuple[PinnedObject, ...]
    snapshot_format: str
    snapshot_restriction: str = ""
    soft_deletes: tuple[str, ...] = ()
    snapshot_table: str = ""
    snapshot_pin: str | None = None


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of a comparison.

    Attributes:
        read_s: both sides read and written to scratch space.
        compare_s: joined, counted and sampled.
    """

    read_s: float
    compare_s: float


@dataclass(frozen=True)
class Measure:
    """A number of each side, compared as a whole.

    Attributes:
        name: what it is, such as `rows` or `amount sum`.
        warehouse: the warehouse's, as text; None for null.
        snapshot: the snapshot's.
        is_equal: whether they are equal; values that are hidden may differ all the same. None to compare the texts.
    """

    name: str
    warehouse: str | None
    snapshot: str | None
    is_equal: bool | None = None

    @property
    def agrees(self) -> bool:
        """Whether both sides have the same."""
        return self.warehouse == self.snapshot if self.is_equal is None else self.is_equal


@dataclass(frozen=True)
class Evidence:
    """By what a mode that does not join every row comes to its verdict.

    Attributes:
        words: what was looked at, in words.
        measures: numbers of each side.
        rate_low: least share of all keys that differs, at 95 % confidence; None unless it is a sample.
        rate_high: greatest.
    """

    words: str
    measures: tuple[Measure, ...] = ()
    rate_low: float | None = None
    rate_high: float | None = None


@dataclass(frozen=True)
class ComparisonResult:
    """One comparison.

    Attributes:
        name: its name in the configuration.
        contract: the contract it follows; None when it follows the warehouse's schema.
        owner: who answers for the table; None without a contract.
        verdict: `equal`, `different` or `unreadable`.
        reason: why it is unreadable; None otherwise.
        counts: rows; None when unreadable.
        columns: every compared column.
        not_compared: columns either side holds that were left out, such as `warehouse._op`.
        sample: some differences of each kind, in key order: up to three of every changed column, and the first.
        differences_file: Parquet file of all differences, relative to the report; None when there are none.
        inputs: what was read; None when planning failed.
        timing: seconds.
        mode: how it was compared; None when it was not.
        why: why in that mode.
        evidence: what a mode that does not join every row found by.
        causes: what the differences probably come from.
        partitions: counts by partition, those that differ first; empty unless `partition` is configured.
        decisions: the thresholds that were applied; empty when there are none, or nothing differs.
        outcome: whether it passes: equal, or different within all thresholds.
    """

    name: str
    contract: str | None
    owner: str | None
    verdict: Verdict
    reason: str | None
    counts: Counts | None
    columns: tuple[ColumnResult, ...]
    not_compared: tuple[str, ...]
    sample: tuple[Difference, ...]
    differences_file: str | None
    inputs: Inputs | None
    timing: Timing
    mode: Mode | None = None
    why: str = ""
    evidence: Evidence | None = None
    causes: tuple[Cause, ...] = ()
    partitions: tuple[PartitionResult, ...] = ()
    decisions: tuple[Decision, ...] = ()
    outcome: Outcome = "failed"


@dataclass(frozen=True)
class SnapshotId:
    """The snapshot a run compared with.

    Attributes:
        uri: where the snapshots lie.
        snapshot_id: which of them; None when none could be found.
        taken_at: when it was taken (UTC), by its manifest; None without one.
        manifest: its manifest, as it was read; None without one.
    """

    uri: str
    snapshot_id: str | None
    taken_at: datetime | None
    manifest: PinnedObject | None = None


@dataclass(frozen=True)
class Versions:
    """What the result was made with.

    Attributes:
        millrace: version of this package.
        duckdb: version of the engine that joins.
        pyarrow: version of the reader.
        python: version of the interpreter.
    """

    millrace: str
    duckdb: str
    pyarrow: str
    python: str


@dataclass(frozen=True)
class RunResult:
    """One run.

    Attributes:
        schema_version: version of this tree.
        run_id: unique name of the run.
        verdict: `equal` when every comparison is; otherwise the worst.
        started_at: when it began (UTC).
        seconds: how long it took, by the wall clock.
        project: Google Cloud project of the warehouse.
        snapshot: the snapshot compared with.
        comparisons: one result each, in the order of the configuration.
        not_run: comparisons left out because an earlier one failed (`--fail-fast`).
        versions: what it was made with.
        outcome: whether every comparison passes: what the exit code says.
    """

    schema_version: int
    run_id: str
    verdict: Verdict
    started_at: datetime
    seconds: float
    project: str
    snapshot: SnapshotId
    comparisons: tuple[ComparisonResult, ...]
    not_run: tuple[str, ...]
    versions: Versions
    outcome: Outcome = "failed"


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the gravest of some verdicts.

    Args:
        verdicts: any number; none at all is `equal`.

    Returns:
        `unreadable` before `different` before `equal`: what could not be read may hide anything.
    """
    order: tuple[Verdict, ...] = ("unreadable", "different", "equal")
    return next((verdict for verdict in order if verdict in verdicts), "equal")
