"""From a configuration to a plan: contracts, the warehouse's schema and the snapshot's listing brought together."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from core.contracts import Contracts, DataType, TableContract
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import ColumnConfig, ComparisonConfig, FileFormat, InFlight, ReconcileConfig
from reconcile.plans import (
    ComparisonPlan,
    FileSet,
    InFlightPlan,
    PlannedColumn,
    RunPlan,
    SnapshotPlan,
    TableSpec,
    Unplanned,
    WarehousePlan,
)
from reconcile.read.compression import SUFFIXES
from reconcile.read.convert import check_type
from reconcile.read.filters import conditions
from reconcile.read.manifest import Snapshot, open_snapshot
from reconcile.read.warehouse import WarehouseTable
from reconcile.result import SnapshotId
from reconcile.rules import check_rule
from reconcile.sources.bigquery import googlesql
from reconcile.sources.files import FileSource
from reconcile.sources.model import Predicate, Source
from reconcile.sources.opening import open_source
from reconcile.sources.services import Services

_PLAIN: Final = ColumnConfig()
_FORMATS: Final[dict[str, FileFormat]] = {"parquet": "parquet", "csv": "csv", "json": "json", "avro": "avro"}
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
    for comparison in comparisons:
        _check_against_contracts(comparison, contracts)
    project, root = services.settings.project, (config.snapshot.uri or services.settings.snapshot_uri).rstrip("/")
    try:
        snapshot = open_snapshot(services.store(root), root, config.snapshot, snapshot_id)
    except UnreadableError as error:
        found = tuple(Unplanned(c.name, contracts.get(c.contract or ""), str(error)) for c in comparisons)
        return RunPlan(project, SnapshotId(root, snapshot_id, None), found)
    planned: list[ComparisonPlan | Unplanned] = []
    for comparison in comparisons:
        contract = contracts.get(comparison.contract or "")
        try:
            planned.append(_plan(_Context(config, services, snapshot), comparison, contract))
        except UnreadableError as error:
            planned.append(Unplanned(comparison.name, contract, str(error)))
    return RunPlan(project, SnapshotId(root, snapshot.snapshot_id, _taken_at(snapshot)), tuple(planned))


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
    """What the comparisons of one run are planned from."""

    config: ReconcileConfig
    services: Services
    snapshot: Snapshot


def _plan(context: _Context, comparison: ComparisonConfig, contract: TableContract | None) -> ComparisonPlan:
    dataset, _, name = (comparison.warehouse or f"{context.config.defaults.dataset}.{comparison.name}").partition(".")
    table = WarehouseTable(context.services.settings.project, dataset, name)
    snapshot = _snapshot_plan(comparison, context.snapshot)
    with open_source(table, context.services) as source:
        schema = source.schema()
    columns = _columns(comparison, contract, table, schema)
    with open_source(snapshot.spec, context.services) as source:
        extra = _check_snapshot(source, snapshot.spec, columns)
    used = {column.name for column in columns}
    return ComparisonPlan(
        name=comparison.name,
        contract=contract,
        columns=columns,
        warehouse=_warehouse_plan(context, comparison, table, schema),
        snapshot=snapshot,
        not_compared=(*(f"warehouse.{name}" for name in schema if name not in used), *extra),
        mode=comparison.mode,
        sample_share=comparison.sample_share,
    )


def _columns(
    comparison: ComparisonConfig,
    contract: TableContract | None,
    table: TableSpec,
    schema: dict[str, DataType | None],
) -> tuple[PlannedColumn, ...]:
    declared = _from_contract(contract) if contract else _from_schema(comparison, table, schema)
    planned = []
    for column in declared:
        settings = comparison.columns.get(column.name, _PLAIN)
        if settings.ignore:
            continue
        chosen = _configured(comparison, column, settings)
        held = schema.get(chosen.name)
        if chosen.name not in schema:
            raise UnreadableError(f"{table}: has no column {chosen.name!r}; build it anew, or ignore the column")
        if held != chosen.data_type and not chosen.cast:
            raise UnreadableError(
                f"{table}: {chosen.name} is {held or 'of a type that cannot be compared'}, which is not "
                f"{chosen.data_type}; to convert it all the same, give the column `cast: {chosen.data_type}`"
            )
        planned.append(chosen)
    # Keys lead, so that both sides and the engine number them alike.
    return tuple(sorted(planned, key=lambda column: not column.is_key))


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
    comparison: ComparisonConfig, table: TableSpec, schema: dict[str, DataType | None]
) -> list[PlannedColumn]:
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


def _configured(comparison: ComparisonConfig, column: PlannedColumn, settings: ColumnConfig) -> PlannedColumn:
    masked = column.masked
    if settings.mask is not None:
        masked = (column.masked or _UNDECLARED) if settings.mask else None
    chosen = replace(
        column,
        snapshot_name=settings.snapshot or column.name,
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
    context: _Context, comparison: ComparisonConfig, table: TableSpec, schema: dict[str, DataType | None]
) -> WarehousePlan:
    defaults = context.config.defaults
    where = conditions(defaults.where if comparison.where is None else comparison.where)
    for condition in where:
        if condition.column not in schema:
            raise UnreadableError(f"{table}: has no column {condition.column!r}, which the filter names")
    in_flight = _in_flight(comparison.in_flight or defaults.in_flight, table, schema, context.snapshot)
    return WarehousePlan(table, where, in_flight, googlesql(Predicate(where, in_flight)))


def _in_flight(
    config: InFlight | None, table: TableSpec, schema: dict[str, DataType | None], snapshot: Snapshot
) -> InFlightPlan | None:
    if config is None:
        return None
    taken_at = _taken_at(snapshot)
    if taken_at is None:
        raise UnreadableError(f"{table}: in_flight needs a manifest that says when the snapshot was taken")
    if schema.get(config.column) != "timestamp":
        raise UnreadableError(f"{table}: in_flight needs a timestamp column {config.column!r}")
    return InFlightPlan(config.column, taken_at)


def _taken_at(snapshot: Snapshot) -> datetime | None:
    return snapshot.manifest.taken_at if snapshot.manifest else None


def _snapshot_plan(comparison: ComparisonConfig, snapshot: Snapshot) -> SnapshotPlan:
    folder = comparison.snapshot or comparison.name
    objects = snapshot.table(folder)
    stated = snapshot.manifest.tables[folder] if snapshot.manifest else None
    kind = comparison.format or (stated.format if stated else _format_of(objects[0].path))
    rows, prefix = stated.rows if stated else None, f"{snapshot.snapshot_id}/{folder}"
    return SnapshotPlan(
        objects=objects,
        format=kind,
        expected_rows=rows,
        where=conditions(comparison.snapshot_where),
        table=FileSet(snapshot.uri, objects, kind, rows, words=f"{snapshot.uri}/{prefix}", csv=comparison.csv),
    )


def _format_of(path: str) -> FileFormat:
    for suffix in SUFFIXES:
        path = path.removesuffix(suffix)
    ending = path.rpartition(".")[2]
    return _FORMATS.get(ending, "ndjson")


def _check_snapshot(source: Source, table: TableSpec, columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    """Check the types of the first file; the others are checked as they are read."""
    schema = source.arrow_schema() if isinstance(source, FileSource) else None
    if schema is None or not isinstance(table, FileSet):
        return ()
    where = table.objects[0].uri
    for column in columns:
        if column.snapshot_name not in schema.names:
            raise UnreadableError(f"{where}: has no column {column.snapshot_name!r}")
        kind = schema.field(column.snapshot_name).type
        check_type(kind, column.data_type, cast=column.cast, where=f"{where}: {column.snapshot_name}")
    used = {column.snapshot_name for column in columns}
    return tuple(f"snapshot.{name}" for name in schema.names if name not in used)
