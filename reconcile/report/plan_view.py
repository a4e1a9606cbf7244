"""A plan as text for the terminal, or as JSON."""

from pathlib import Path

import msgspec
from rich.console import Console

from reconcile.config import AskedMode
from reconcile.modes import Chosen, choose, last_run, recall_run
from reconcile.plans import ComparisonPlan, FileSet, RunPlan, Unplanned
from reconcile.report.words import plural
from reconcile.rules import EXACT, describe


def print_plan(console: Console, planned: RunPlan, mode: AskedMode | None = None, state: Path | None = None) -> None:
    """Print a plan: what would be read on each side and how it would be compared.

    Args:
        console: where to print.
        planned: the plan.
        mode: the mode asked for; None for the configured ones.
        state: folder of what earlier runs kept.
    """
    console.print(
        f"snapshot {planned.snapshot.uri}/{planned.snapshot.snapshot_id or '?'}"
        + (f", taken {planned.snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC" if planned.snapshot.taken_at else ""),
        markup=False,
    )
    for comparison in planned.comparisons:
        console.print()
        if isinstance(comparison, ComparisonPlan):
            _print_comparison(console, comparison, _chosen(comparison, mode, state))
        else:
            console.print(f"[yellow]{comparison.name}: unreadable[/]")
            console.print(f"  {comparison.reason}", markup=False)


def plan_json(planned: RunPlan, mode: AskedMode | None = None, state: Path | None = None) -> bytes:
    """Return a plan as JSON, indented.

    Args:
        planned: the plan.
        mode: the mode asked for; None for the configured ones.
        state: folder of what earlier runs kept.

    Returns:
        UTF-8 text; a comparison that cannot be made holds a `reason`.
    """
    document = {
        "project": planned.project,
        "snapshot": planned.snapshot,
        "comparisons": [_plan_document(comparison, mode, state) for comparison in planned.comparisons],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _plan_document(
    comparison: ComparisonPlan | Unplanned, mode: AskedMode | None, state: Path | None
) -> dict[str, object]:
    if isinstance(comparison, Unplanned):
        return {"name": comparison.name, "reason": comparison.reason}
    return {
        "name": comparison.name,
        "contract": comparison.contract.name if comparison.contract else None,
        "warehouse": str(comparison.warehouse.table),
        "row_restriction": comparison.warehouse.restriction,
        "snapshot": str(comparison.snapshot.spec),
        "snapshot_format": comparison.snapshot.format,
        "snapshot_objects": [
            {"uri": ref.uri, "etag": ref.etag, "size": ref.size} for ref in comparison.snapshot.objects
        ],
        "snapshot_rows": comparison.snapshot.expected_rows,
        "columns": [
            {
                "name": column.name,
                "snapshot_name": column.snapshot_name,
                "data_type": column.data_type,
                "is_key": column.is_key,
                "rule": describe(column.rule),
                "cast": column.cast,
                "masked": column.masked,
            }
            for column in comparison.columns
        ],
        "not_compared": comparison.not_compared,
        "mode": _chosen(comparison, mode, state),
    }


def _chosen(plan: ComparisonPlan, mode: AskedMode | None, state: Path | None) -> Chosen:
    last = recall_run(last_run(state, plan.name)) if state is not None else None
    return choose(plan, mode, last, is_ordered=None)


def _print_comparison(console: Console, plan: ComparisonPlan, chosen: Chosen) -> None:
    console.print(f"[bold]{plan.name}[/]: {len(plan.columns)} columns by {', '.join(c.name for c in plan.key)}")
    restriction = f" where {plan.warehouse.restriction}" if plan.warehouse.restriction else ""
    console.print(f"  warehouse {plan.warehouse.table}{restriction}", markup=False)
    source = plan.snapshot
    size = sum(ref.size for ref in source.objects)
    rows = plural(source.expected_rows, "row") if source.expected_rows is not None else "rows not stated"
    files = f"{plural(len(source.objects), 'file')}, {size:,} bytes, {source.format}, {rows}"
    told = f"{files}: {source.spec}" if isinstance(source.spec, FileSet) else str(source.spec)
    console.print(f"  snapshot  {told}", markup=False)
    console.print(f"  mode      {chosen.mode}: {chosen.why}", markup=False)
    warehouse = "unknown" if chosen.warehouse_bytes is None else f"about {chosen.warehouse_bytes:,} bytes"
    console.print(f"  reads     warehouse {warehouse}, snapshot {chosen.snapshot_bytes:,} bytes at most", markup=False)
    for column in plan.columns:
        notes = [describe(column.rule)] if column.rule != EXACT else []
        if column.snapshot_name != column.name:
            notes.append(f"from {column.snapshot_name}")
        if column.cast:
            notes.append(f"cast to {column.data_type}")
        if notes:
            console.print(f"  {column.name}: {', '.join(notes)}", markup=False)
