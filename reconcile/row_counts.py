"""How many rows the files of a run hold, where nobody has said so but the footers of Parquet do.

The choice of a mode, the estimate of what is read and the time that is left depend on it. Manifests, the configuration
and the metadata of Delta and Iceberg are taken at their word, and no footer is read for what they state.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.plans import ComparisonPlan, FileSet, RunPlan
from reconcile.read.parquet import open_parquet, told
from reconcile.sources.services import Services


def with_rows(planned: RunPlan, services: Services, *, workers: int) -> RunPlan:
    """Fill in the rows that footers tell, of the snapshot or, where those do not tell, of the warehouse's files.

    Args:
        planned: a run.
        services: where its files lie.
        workers: how many footers are read at once.

    Returns:
        The run; as it was where a footer cannot be read, for the comparison tells that best.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="reconcile-rows") as pool:
        return replace(
            planned,
            comparisons=tuple(
                _with_rows(found, services, pool) if isinstance(found, ComparisonPlan) else found
                for found in planned.comparisons
            ),
        )


def known_rows(plan: ComparisonPlan) -> int | None:
    """Return how many rows a side holds, about; None when nobody says. The sides of a table in order are alike.

    Args:
        plan: the comparison.
    """
    if plan.snapshot.expected_rows is not None:
        return plan.snapshot.expected_rows
    table = plan.warehouse.table
    return table.expected_rows if isinstance(table, FileSet) else None


def _with_rows(plan: ComparisonPlan, services: Services, pool: ThreadPoolExecutor) -> ComparisonPlan:
    if known_rows(plan) is not None:
        return plan
    spec, table = plan.snapshot.spec, plan.warehouse.table
    rows = _rows(spec, services, pool) if isinstance(spec, FileSet) else None
    if rows is not None:
        return replace(plan, snapshot=replace(plan.snapshot, expected_rows=rows))
    rows = _rows(table, services, pool) if isinstance(table, FileSet) else None
    if rows is None or not isinstance(table, FileSet):
        return plan
    return replace(plan, warehouse=replace(plan.warehouse, table=replace(table, expected_rows=rows)))


def _rows(files: FileSet, services: Services, pool: ThreadPoolExecutor) -> int | None:
    if files.format != "parquet" or files.selections or not files.objects:
        return None
    try:
        return sum(pool.map(partial(_footer_rows, services.store(files.root)), files.objects))
    except UnreadableError:
        return None


def _footer_rows(store: ObjectStore, ref: ObjectRef) -> int:
    with told(ref), open_parquet(store, ref) as file:
        return int(file.metadata.num_rows)
