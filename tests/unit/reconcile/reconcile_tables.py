"""Small tables for the tests of the comparison: planned, spilled and compared without any service."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.contracts import DataType
from reconcile.compare.engine import Compared, EngineLimits, compare
from reconcile.plans import ComparisonPlan, PlannedColumn, SnapshotPlan, WarehousePlan
from reconcile.read.convert import to_stored
from reconcile.read.sides import stored_schema
from reconcile.read.spill import Spill
from reconcile.read.text import ARROW
from reconcile.read.warehouse import WarehouseTable
from reconcile.rules import EXACT, Rule

LIMITS = EngineLimits(memory_mb=256, threads=2, sample=1000)


def column(
    name: str,
    data_type: DataType,
    *,
    is_key: bool = False,
    rule: Rule = EXACT,
    masked: str | None = None,
) -> PlannedColumn:
    return PlannedColumn(name, name, data_type, is_key, rule, masked, cast=False)


def planned(*columns: PlannedColumn, in_flight: Any = None) -> ComparisonPlan:
    return ComparisonPlan(
        name="things",
        contract=None,
        columns=columns,
        warehouse=WarehousePlan(WarehouseTable("a-project", "structure", "things"), (), in_flight, ""),
        snapshot=SnapshotPlan((), "parquet", None, ()),
        not_compared=(),
    )


def compared(
    plan: ComparisonPlan,
    warehouse: Sequence[Sequence[Any]],
    snapshot: Sequence[Sequence[Any]],
    *,
    limits: EngineLimits = LIMITS,
    flags: Sequence[tuple[bool, bool]] = (),
    export: Path | None = None,
    values: bool = False,
) -> Compared:
    """Compare rows given as tuples in the plan's order; `flags` are (live, in flight) of the warehouse's rows."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        return compare(
            plan,
            spilled(plan, warehouse, scratch / "w.parquet", flags),
            spilled(plan, snapshot, scratch / "s.parquet"),
            scratch=scratch,
            limits=limits,
            export=export,
            values=values,
        )


def spilled(
    plan: ComparisonPlan, rows: Sequence[Sequence[Any]], path: Path, flags: Sequence[tuple[bool, bool]] = ()
) -> Spill:
    arrays = [
        to_stored(
            pa.array([row[number] for row in rows], ARROW[planned_column.data_type]),
            planned_column.data_type,
            cast=False,
            numbers=planned_column.rule.numbers,
            where=planned_column.name,
        )
        for number, planned_column in enumerate(plan.columns)
    ]
    marks = list(flags) or [(True, False)] * len(rows)
    arrays += [pa.array([mark[number] for mark in marks], pa.bool_()) for number in range(2)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=stored_schema(plan.columns)), path)
    return Spill((path,), len(rows))


def kinds(found: Compared) -> Mapping[str, set[tuple[str | None, ...]]]:
    """Return the sampled keys by kind."""
    result: dict[str, set[tuple[str | None, ...]]] = {}
    for difference in found.sample:
        result.setdefault(difference.kind, set()).add(tuple(part.value for part in difference.key))
    return result
