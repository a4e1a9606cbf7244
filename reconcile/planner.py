"""From a configuration to a plan: contracts, the warehouse's schema and the snapshot's listing brought together."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from core.contracts import Contracts, DataType, TableContract
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import SNAPSHOT_ID, ColumnConfig, ComparisonConfig, InFlight, ReconcileConfig, Stated
from reconcile.mapping.planning import Held, held_by, inputs_of, mapped_type, with_map
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
from reconcile.rules import check_rule
from reconcile.sources.bigquery import googlesql
from reconcile.sources.checking import check_columns, held_types
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.resolving import format_of, named_table, resolve
from reconcile.sources.services import Services

_PLAIN: Final = ColumnConfig()
_UNDECLARED: Final = "undeclared"
"""What values are masked for when no contract says whether they are personal."""


def plan_run(
    config: ReconcileConfig,
    comparisons: tuple[ComparisonConfig, ...],
    *,
    services: Services,
    contracts: Contracts,
    snapshot_id: str | None,
) -> RunPlan:
    """Plan a run. No data is read: only schemas, listings, the manifest and the footer of one file a table.

    Args:
        config: the configuration.
        comparisons: those of its comparisons to plan.
        services: where to ask for schemas and listings.
        contracts: every contract.
        snapshot_id: which snapshot instead of the configured one; None for that one.

    Returns:
        The plan. What cannot be read is in it, as `Unplanned`.

    Raises:
        ConfigurationError: when the configuration contradicts the contracts.
    """
    if snapshot_id is not None and not re.fullmatch(SNAPSHOT_ID, snapshot_id):
        raise ConfigurationError(f"{snapshot_id!r} is no name of a snapshot: use letters, digits and _ . : + = -")
    for comparison in comparisons:
        _check_against_contracts(comparison, contracts)
    root = (config.snapshot.uri or services.settings.snapshot_uri).rstrip("/")
    context = _context(config, services, root, snapshot_id) if any(map(_is_in_snapshot, comparisons)) else None
    planned: list[ComparisonPlan | Unplanned] = []
    for comparison in comparisons:
        contract = contracts.get(comparison.contract or "")
        try:
            planned.append(_plan(context or _Context(config, services), comparison, contract))
        except UnreadableError as error:
            planned.append(Unplanned(comparison.name, contract, str(error)))
    found = context.snapshot if context else None
    chosen = found.snapshot_id if found else snapshot_id
    named = SnapshotId(root, chosen, _taken_at(found), _manifest(found))
    return RunPlan(services.settings.project, named, tuple(planned))


def _is_in_snapshot(comparison: ComparisonConfig) -> bool:
    return comparison.snapshot is None or isinstance(comparison.snapshot, str)


def _context(config: ReconcileConfig, services: Services, root: str, snapshot_id: str | None) -> "_Context":
    try:
        return _Context(config, services, open_snapshot(services.store(root), root, config.snapshot, snapshot_id))
    except UnreadableError as error:
        return _Context(config, services, fault=str(error))


def _check_against_contracts(comparison: ComparisonConfig, contracts: Contracts) -> None:
    if comparison.contract is None:
        return
    if comparison.contract not in contracts:
        raise ConfigurationError(
            f"{comparison.name}: no contract is called {comparison.contract!r}; there are {', '.join(contracts)}"
        )
    declared = {column.name for column in contracts[comparison.contract].columns}
    for name in comparison.columns:
        if name not in declared:
            raise ConfigurationError(f"{comparison.name}.columns.{name}: the contract has no such column")
    for column in contracts[comparison.contract].key:
        if comparison.columns.get(column.name, _PLAIN).ignore:
            raise ConfigurationError(f"{comparison.name}.columns.{column.name}: a key column cannot be ignored")


@dataclass(frozen=True)
class _Context:
    """What the comparisons of one run are planned from; `fault` says why there is no snapshot, where one is needed."""

    config: ReconcileConfig
    services: Services
    snapshot: Snapshot | None = None
    fault: str = ""


def _plan(context: _Context, comparison: ComparisonConfig, contract: TableContract | None) -> ComparisonPlan:
    snapshot, taken_at = _snapshot_plan(context, comparison)
    table = _warehouse_table(context, comparison)
    declared = {column.name: column.data_type for column in contract.columns} if contract else {}
    with open_source(table, context.services) as source:
        schema = held_types(source)
        held = held_by(source, str(table), declared)
        columns = _columns(comparison, contract, table, schema, held)
        columns = _mapped(comparison, columns, held, lambda settings: settings.warehouse)
        unused = check_columns(source, table, columns)
        gone = _alive(comparison, "warehouse", schema, held)
    with open_source(snapshot.spec, context.services) as source:
        held = held_by(source, str(snapshot.spec), declared)
        theirs = _mapped(comparison, columns, held, lambda settings: settings.snapshot, side="snapshot")
        extra = check_columns(source, snapshot.spec, theirs)
        gone_there = _alive(comparison, "snapshot", held_types(source), held)
    columns = tuple(
        replace(ours, snapshot_name=other.name, snapshot_origin=other.origin)
        for ours, other in zip(columns, theirs, strict=True)
    )
    present = (*snapshot.where, *gone_there)
    return ComparisonPlan(
        name=comparison.name,
        contract=contract,
        columns=columns,
        warehouse=_warehouse_plan(context, comparison, (table, schema, gone), taken_at),
        snapshot=replace(snapshot, where=present, restriction=restriction(present)),
        not_compared=(*_left_out("warehouse", unused, gone), *_left_out("snapshot", extra, gone_there)),
        mode=comparison.mode,
        sample_share=comparison.sample_share,
        soft_deletes=(
            *(f"warehouse.{mark.column}" for mark in gone),
            *(f"snapshot.{mark.column}" for mark in gone_there),
        ),
    )


def _alive(
    comparison: ComparisonConfig, side: Side, schema: dict[str, DataType | None] | None, held: Held
) -> tuple[Condition, ...]:
    """Return the condition that rows of one side are not deleted, where some are marked so."""
    deleted = comparison.soft_deletes.warehouse if side == "warehouse" else comparison.soft_deletes.snapshot
    if deleted is None:
        return ()
    if schema is not None and deleted.column not in schema:
        raise UnreadableError(f"{held.where}: has no column {deleted.column!r}, which is to mark deleted rows")
    try:
        return (alive(deleted, held.declared.get(deleted.column) if schema is None else schema[deleted.column]),)
    except ConfigurationError as error:
        raise ConfigurationError(f"{comparison.name}.soft_deletes.{side}: {error}") from error


def _left_out(side: Side, names: tuple[str, ...], marks: tuple[Condition, ...]) -> Iterator[str]:
    """Yield the columns of a side that are not compared, with what they are for."""
    for name in names:
        yield f"{side}.{name}" + (" (marks deleted rows)" if name in {mark.column for mark in marks} else "")


def _warehouse_table(context: _Context, comparison: ComparisonConfig) -> TableSpec:
    if comparison.warehouse is not None and not isinstance(comparison.warehouse, str):
        return resolve(comparison.warehouse, context.services).table
    named = comparison.warehouse or f"{context.config.defaults.dataset}.{comparison.name}"
    return named_table(named, context.services)


def _columns(
    comparison: ComparisonConfig,
    contract: TableContract | None,
    table: TableSpec,
    schema: dict[str, DataType | None] | None,
    held: Held,
) -> tuple[PlannedColumn, ...]:
    declared = _from_contract(contract) if contract else _from_schema(comparison, table, schema, held)
    settings = {column.name: comparison.columns.get(column.name, _PLAIN) for column in declared}
    planned = [_configured(comparison, c, settings[c.name]) for c in declared if not settings[c.name].ignore]
    # Keys lead, so that both sides and the engine number them alike.
    return tuple(sorted(planned, key=lambda column: not column.is_key))


def _mapped(
    comparison: ComparisonConfig,
    columns: tuple[PlannedColumn, ...],
    held: Held,
    stated: Callable[[ColumnConfig], Stated | None],
    side: Side = "warehouse",
) -> tuple[PlannedColumn, ...]:
    """Return the columns as one side has them, with their maps."""
    found = []
    for column in columns:
        wish = stated(comparison.columns.get(column.name, _PLAIN))
        ours = column
        if side == "snapshot":
            # A mere rename needs no map: whatever reads the column reads it by that name.
            is_column = held.schema is not None and wish in held.schema.names
            if isinstance(wish, str) and (is_column or "." not in wish):
                ours, wish = replace(column, name=wish, origin=None), None
            else:
                ours = replace(column, origin=None)
        try:
            found.append(with_map(ours, wish, held))
        except ConfigurationError as error:
            raise ConfigurationError(f"{comparison.name}.columns.{column.name}.{side}: {error}") from error
    return tuple(found)


def _from_contract(contract: TableContract) -> list[PlannedColumn]:
    return [
        PlannedColumn(
            name=column.name,
            snapshot_name=column.name,
            data_type=column.data_type,
            is_key=column.is_key,
            rule=_PLAIN.rule(),
            masked=column.pii,
            cast=False,
        )
        for column in contract.columns
    ]


def _from_schema(
    comparison: ComparisonConfig, table: TableSpec, schema: dict[str, DataType | None] | None, held: Held
) -> list[PlannedColumn]:
    if schema is None:
        raise UnreadableError(f"{table}: its format says nothing of types; name a contract for the comparison")
    maps = {name: found.warehouse for name, found in comparison.columns.items() if found.warehouse is not None}
    # What maps are made of is compared through them, unless a column of its own says otherwise.
    inputs = {name for stated in maps.values() for name in inputs_of(stated, held)} - comparison.columns.keys()
    schema = {name: kind for name, kind in schema.items() if name not in inputs or name in comparison.key}
    schema |= {name: _type_of_map(comparison, name, stated, held) for name, stated in maps.items()}
    for name in (*comparison.key, *comparison.columns):
        if name not in schema:
            raise UnreadableError(f"{table}: has no column {name!r}, which the configuration names")
    ignored = {name for name, settings in comparison.columns.items() if settings.ignore}
    odd = [name for name, kind in schema.items() if kind is None and name not in ignored]
    if odd:
        raise UnreadableError(f"{table}: {', '.join(odd)} cannot be compared; give each `ignore: true`")
    order = {name: number for number, name in enumerate(comparison.key)}
    planned = [
        PlannedColumn(
            name=name,
            snapshot_name=name,
            data_type=kind,
            is_key=name in order,
            rule=_PLAIN.rule(),
            masked=None if name in order else _UNDECLARED,
            cast=False,
        )
        for name, kind in schema.items()
        if kind is not None
    ]
    return sorted(planned, key=lambda column: order.get(column.name, len(order)))


def _type_of_map(comparison: ComparisonConfig, name: str, stated: Stated, held: Held) -> DataType:
    found = comparison.columns[name].cast or mapped_type(stated, held)
    if found is None:
        raise ConfigurationError(
            f"{comparison.name}.columns.{name}: its map does not tell its type; say it, such as `cast: string`"
        )
    return found


def _configured(comparison: ComparisonConfig, column: PlannedColumn, settings: ColumnConfig) -> PlannedColumn:
    masked = column.masked
    if settings.mask is not None:
        masked = (column.masked or _UNDECLARED) if settings.mask else None
    chosen = replace(
        column,
        data_type=settings.cast or column.data_type,
        rule=settings.rule(),
        masked=masked,
        cast=settings.cast is not None,
    )
    try:
        check_rule(chosen.rule, chosen.data_type, is_key=chosen.is_key)
    except ConfigurationError as error:
        raise ConfigurationError(f"{comparison.name}.columns.{column.name}: {error}") from error
    return chosen


def _warehouse_plan(
    context: _Context,
    comparison: ComparisonConfig,
    side: tuple[TableSpec, dict[str, DataType | None] | None, tuple[Condition, ...]],
    taken_at: datetime | None,
) -> WarehousePlan:
    table, schema, gone = side
    defaults = context.config.defaults
    # What holds for every table of the zone need not hold for one that is read from elsewhere.
    inherited = defaults.where if isinstance(table, WarehouseTable) else {}
    where = (*conditions(inherited if comparison.where is None else comparison.where), *gone)
    for condition in where:
        if schema is not None and condition.column not in schema:
            raise UnreadableError(f"{table}: has no column {condition.column!r}, which the filter names")
    in_flight = _in_flight(comparison.in_flight or defaults.in_flight, table, schema, taken_at)
    return WarehousePlan(table, where, in_flight, googlesql(Predicate(where, in_flight)))


def _in_flight(
    config: InFlight | None,
    table: TableSpec,
    schema: dict[str, DataType | None] | None,
    taken_at: datetime | None,
) -> InFlightPlan | None:
    if config is None:
        return None
    if taken_at is None:
        raise UnreadableError(f"{table}: in_flight needs a manifest that says when the snapshot was taken")
    if schema is not None and schema.get(config.column) != "timestamp":
        raise UnreadableError(f"{table}: in_flight needs a timestamp column {config.column!r}")
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
