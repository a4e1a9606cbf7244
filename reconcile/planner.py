"""From a configuration to a plan: contracts, the warehouse's schema and the snapshot's listing brought together."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from core.contracts import Contracts, DataType, TableContract
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import SNAPSHOT_ID, AskedMode, ComparisonConfig, InFlight, ReconcileConfig
from reconcile.mapping.planning import held_by
from reconcile.planning.columns import Schema, Wishes, check_against_contract, mapped_columns, planned_columns
from reconcile.planning.faults import Faults
from reconcile.planning.filters import Filtered, check_condition
from reconcile.planning.policies import check_defaults, check_mode, check_policies
from reconcile.plans import (
    ComparisonPlan,
    DatabaseSpec,
    FileSet,
    InFlightPlan,
    PlannedColumn,
    RunPlan,
    SnapshotPlan,
    SourceFormat,
    TableSpec,
    Unplanned,
    WarehousePlan,
)
from reconcile.read.deletions import alive
from reconcile.read.filters import Condition, conditions, restriction
from reconcile.read.manifest import Snapshot, open_snapshot
from reconcile.read.sides import Side
from reconcile.read.warehouse import WarehouseTable
from reconcile.result import PinnedObject, SnapshotId
from reconcile.sources.bigquery import googlesql
from reconcile.sources.checking import check_columns, held_types
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.resolving import format_of, named_table, resolve
from reconcile.sources.services import Services


def plan_run(
    config: ReconcileConfig,
    comparisons: tuple[ComparisonConfig, ...],
    *,
    services: Services,
    contracts: Contracts,
    snapshot_id: str | None,
    mode: AskedMode | None = None,
) -> RunPlan:
    """Plan a run. No data is read: only schemas, listings, the manifest and the footer of one file a table.

    Args:
        config: the configuration.
        comparisons: those of its comparisons to plan.
        services: where to ask for schemas and listings.
        contracts: every contract.
        snapshot_id: which snapshot instead of the configured one; None for that one.
        mode: how to compare instead of the configured modes; None for those.

    Returns:
        The plan. What cannot be read is in it, as `Unplanned`.

    Raises:
        ConfigurationError: when the configuration contradicts the contracts, itself, or what the sides hold: all
            faults of all comparisons, each with its line.
    """
    if snapshot_id is not None and not re.fullmatch(SNAPSHOT_ID, snapshot_id):
        raise ConfigurationError(f"{snapshot_id!r} is no name of a snapshot: use letters, digits and _ . : + = -")
    root = (config.snapshot.uri or services.settings.snapshot_uri).rstrip("/")
    faults = Faults(config)
    context = _Context(config, services, faults, mode)
    uses_snapshot = any(map(_is_in_snapshot, comparisons))
    if uses_snapshot:
        context = _with_snapshot(context, root, snapshot_id)
    planned: list[ComparisonPlan | Unplanned] = []
    for comparison in comparisons:
        own = faults.below("comparisons", config.comparisons.index(comparison))
        contract = contracts.get(comparison.contract or "")
        if contract is None and comparison.contract is not None:
            own.add(f"no contract is called {comparison.contract!r}; there are {', '.join(contracts)}", "contract")
            continue
        with own.at():
            try:
                planned.append(_plan(context, Wishes(comparison, contract, own)))
            except UnreadableError as error:
                planned.append(Unplanned(comparison.name, contract, str(error)))
    made = [found for found in planned if isinstance(found, ComparisonPlan)]
    if len(made) == len(config.comparisons) and not faults.found:
        check_defaults(config, made, faults)
    faults.check()
    found = context.snapshot
    chosen = found.snapshot_id if found else snapshot_id
    named = SnapshotId(root, chosen, _taken_at(found), _manifest(found))
    return RunPlan(services.settings.project, named, tuple(planned), uses_snapshot)


def _is_in_snapshot(comparison: ComparisonConfig) -> bool:
    return comparison.snapshot is None or isinstance(comparison.snapshot, str)


@dataclass(frozen=True)
class _Context:
    """What the comparisons of one run are planned from; `fault` says why there is no snapshot, where one is needed."""

    config: ReconcileConfig
    services: Services
    faults: Faults
    mode: AskedMode | None
    snapshot: Snapshot | None = None
    fault: str = ""


def _with_snapshot(context: _Context, root: str, snapshot_id: str | None) -> _Context:
    try:
        store = context.services.store(root)
        return replace(context, snapshot=open_snapshot(store, root, context.config.snapshot, snapshot_id))
    except UnreadableError as error:
        return replace(context, fault=str(error))


@dataclass(frozen=True)
class _Fitted:
    """One side, held against what is compared.

    Attributes:
        columns: the compared columns, as the side has them.
        gone: the condition that rows are not deleted, where some are marked so.
        unused: columns that it holds beside these.
    """

    columns: tuple[PlannedColumn, ...]
    gone: tuple[Condition, ...]
    unused: tuple[str, ...]

    def left_out(self, side: Side) -> Iterator[str]:
        """Yield the columns that are not compared, with what they are for."""
        marks = {mark.column for mark in self.gone}
        for name in self.unused:
            yield f"{side}.{name}" + (" (marks deleted rows)" if name in marks else "")


def _plan(context: _Context, wishes: Wishes) -> ComparisonPlan:
    comparison, contract, faults = wishes.comparison, wishes.contract, wishes.faults
    if contract is not None:
        check_against_contract(comparison, contract, faults)
    try:
        snapshot, taken_at = _snapshot_plan(context, comparison)
    except UnreadableError:
        # What is wrong with the other side is told all the same.
        with suppress(UnreadableError):
            _warehouse_side(context, wishes, None)
        raise
    warehouse, ours = _warehouse_side(context, wishes, taken_at)
    theirs = _snapshot_side(context, wishes, snapshot, ours.columns)
    present = (*snapshot.where, *theirs.gone)
    plan = ComparisonPlan(
        name=comparison.name,
        contract=contract,
        columns=tuple(
            replace(here, snapshot_name=there.name, snapshot_origin=there.origin)
            for here, there in zip(ours.columns, theirs.columns, strict=True)
        ),
        warehouse=warehouse,
        snapshot=replace(snapshot, where=present, restriction=restriction(present)),
        not_compared=(*ours.left_out("warehouse"), *theirs.left_out("snapshot")),
        mode=comparison.mode,
        sample_share=comparison.sample_share,
        soft_deletes=(
            *(f"warehouse.{mark.column}" for mark in ours.gone),
            *(f"snapshot.{mark.column}" for mark in theirs.gone),
        ),
    )
    check_policies(comparison, plan, faults)
    check_mode(comparison, plan, context.mode, faults)
    return plan


def _warehouse_side(context: _Context, wishes: Wishes, taken_at: datetime | None) -> tuple[WarehousePlan, _Fitted]:
    table = _warehouse_table(context, wishes.comparison)
    with open_source(table, context.services) as source:
        schema = held_types(source)
        held = held_by(source, str(table), _declared(wishes.contract))
        columns = mapped_columns(wishes, planned_columns(wishes, schema, held), held, "warehouse")
        unused = check_columns(source, table, columns, lambda column: wishes.faults.line("columns", column.name))
    side = Filtered(table, schema, held.schema, columns)
    fitted = _Fitted(columns, _alive(wishes, "warehouse", side), unused)
    return _warehouse_plan(context, wishes, side, fitted.gone, taken_at), fitted


def _snapshot_side(
    context: _Context, wishes: Wishes, snapshot: SnapshotPlan, columns: tuple[PlannedColumn, ...]
) -> _Fitted:
    with open_source(snapshot.spec, context.services) as source:
        held = held_by(source, str(snapshot.spec), _declared(wishes.contract))
        theirs = mapped_columns(wishes, columns, held, "snapshot")
        ours = {there.name: here.name for here, there in zip(columns, theirs, strict=True)}
        unused = check_columns(
            source, snapshot.spec, theirs, lambda column: wishes.faults.line("columns", ours[column.name])
        )
        side = Filtered(snapshot.spec, held_types(source), held.schema, theirs)
    _check_where(snapshot.where, side, wishes.faults.below("snapshot_where"))
    return _Fitted(theirs, _alive(wishes, "snapshot", side), unused)


def _alive(wishes: Wishes, side: Side, filtered: Filtered) -> tuple[Condition, ...]:
    """Return the condition that rows of one side are not deleted, where some are marked so."""
    soft_deletes = wishes.comparison.soft_deletes
    deleted = soft_deletes.warehouse if side == "warehouse" else soft_deletes.snapshot
    if deleted is None:
        return ()
    found: tuple[Condition, ...] = ()
    with wishes.faults.at("soft_deletes", side):
        schema = filtered.schema
        if schema is not None and deleted.column not in schema:
            raise UnreadableError(f"{filtered.table}: has no column {deleted.column!r}, which is to mark deleted rows")
        kinds: Schema = {**_declared(wishes.contract)} if schema is None else schema
        found = (alive(deleted, kinds.get(deleted.column)),)
        check_condition(found[0], filtered)
    return found


def _declared(contract: TableContract | None) -> dict[str, DataType]:
    return {column.name: column.data_type for column in contract.columns} if contract else {}


def _check_where(where: tuple[Condition, ...], side: Filtered, faults: Faults) -> None:
    for condition in where:
        with faults.at(condition.column):
            check_condition(condition, side)


def _warehouse_table(context: _Context, comparison: ComparisonConfig) -> TableSpec:
    if comparison.warehouse is not None and not isinstance(comparison.warehouse, str):
        return resolve(comparison.warehouse, context.services).table
    named = comparison.warehouse or f"{context.config.defaults.dataset}.{comparison.name}"
    return named_table(named, context.services)


def _warehouse_plan(
    context: _Context, wishes: Wishes, side: Filtered, gone: tuple[Condition, ...], taken_at: datetime | None
) -> WarehousePlan:
    comparison, defaults, of_all = wishes.comparison, context.config.defaults, context.faults.below("defaults")
    # What holds for every table of the zone need not hold for one that is read from elsewhere.
    inherited = defaults.where if isinstance(side.table, WarehouseTable) else {}
    where = conditions(inherited if comparison.where is None else comparison.where)
    _check_where(where, side, (of_all if comparison.where is None else wishes.faults).below("where"))
    in_flight = None
    with (of_all if comparison.in_flight is None else wishes.faults).at("in_flight"):
        in_flight = _in_flight(comparison.in_flight or defaults.in_flight, side, taken_at)
    where = (*where, *gone)
    return WarehousePlan(side.table, where, in_flight, googlesql(Predicate(where, in_flight)))


def _in_flight(config: InFlight | None, side: Filtered, taken_at: datetime | None) -> InFlightPlan | None:
    if config is None:
        return None
    if taken_at is None:
        raise UnreadableError(f"{side.table}: in_flight needs a manifest that says when the snapshot was taken")
    if side.schema is not None and side.schema.get(config.column) != "timestamp":
        raise UnreadableError(f"{side.table}: in_flight needs a timestamp column {config.column!r}")
    return InFlightPlan(config.column, taken_at)


def _taken_at(snapshot: Snapshot | None) -> datetime | None:
    return snapshot.manifest.taken_at if snapshot and snapshot.manifest else None


def _manifest(snapshot: Snapshot | None) -> PinnedObject | None:
    ref = snapshot.manifest_ref if snapshot else None
    return None if ref is None else PinnedObject(ref.uri, ref.etag, ref.size)


def _snapshot_plan(context: _Context, comparison: ComparisonConfig) -> tuple[SnapshotPlan, datetime | None]:
    """Return what is read of the snapshot's side, and when that was taken."""
    where = conditions(comparison.snapshot_where)
    if comparison.snapshot is not None and not isinstance(comparison.snapshot, str):
        found = resolve(comparison.snapshot, context.services)
        return _planned_side(found.table, where), found.taken_at
    if context.snapshot is None:
        raise UnreadableError(context.fault)
    return _planned_side(_snapshot_files(context.snapshot, comparison), where), _taken_at(context.snapshot)


def _planned_side(table: TableSpec, where: tuple[Condition, ...]) -> SnapshotPlan:
    if isinstance(table, FileSet):
        return SnapshotPlan(table.objects, table.format, table.expected_rows, where, table)
    kind: SourceFormat = table.kind if isinstance(table, DatabaseSpec) else "bigquery"
    return SnapshotPlan((), kind, None, where, table)


def _snapshot_files(snapshot: Snapshot, comparison: ComparisonConfig) -> FileSet:
    folder = comparison.snapshot if isinstance(comparison.snapshot, str) else comparison.name
    objects = snapshot.table(folder)
    stated = snapshot.manifest.tables[folder] if snapshot.manifest else None
    return FileSet(
        root=snapshot.uri,
        objects=objects,
        format=comparison.format or (stated.format if stated else format_of(objects[0].path)),
        expected_rows=stated.rows if stated else None,
        words=f"{snapshot.uri}/{snapshot.snapshot_id}/{folder}",
        csv=comparison.csv,
    )
