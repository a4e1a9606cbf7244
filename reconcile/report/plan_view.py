"""A plan as text for the terminal, or as JSON."""

from typing import Any, Final

import msgspec
from rich.console import Console

from reconcile.explaining import Bytes, Explained, ExplainedRun
from reconcile.plans import ComparisonPlan, FileSet, Unplanned
from reconcile.policy import Thresholds
from reconcile.report.words import plural
from reconcile.result import SnapshotId
from reconcile.rules import EXACT, describe

EXACT_WORDS: Final = describe(EXACT)
"""What is said of a column of which there is nothing to say."""


def print_plan(console: Console, explained: ExplainedRun) -> None:
    """Print a plan: what would be read on each side, how it would be compared, and when it would pass.

    Args:
        console: where to print.
        explained: the plan.
    """
    planned = explained.plan
    if planned.uses_snapshot:
        console.print(_header(planned.snapshot), markup=False)
    for comparison in planned.comparisons:
        console.print()
        if isinstance(comparison, Unplanned):
            console.print(f"[yellow]{comparison.name}: unreadable[/]")
            console.print(f"  {comparison.reason}", markup=False)
        else:
            _print_comparison(console, explained.comparisons[comparison.name])


def plan_json(explained: ExplainedRun) -> bytes:
    """Return a plan as JSON, indented.

    Args:
        explained: the plan.

    Returns:
        UTF-8 text; a comparison that cannot be made holds a `reason`.
    """
    planned = explained.plan
    document = {
        "project": planned.project,
        "snapshot": planned.snapshot if planned.uses_snapshot else None,
        "comparisons": [
            {"name": comparison.name, "reason": comparison.reason}
            if isinstance(comparison, Unplanned)
            else _document(explained.comparisons[comparison.name])
            for comparison in planned.comparisons
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _header(snapshot: SnapshotId) -> str:
    if snapshot.snapshot_id is None:
        return f"snapshot in {snapshot.uri}: none could be opened"
    taken = f", taken {snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC" if snapshot.taken_at else ""
    return f"snapshot {snapshot.uri}/{snapshot.snapshot_id}{taken}"


def _document(explained: Explained) -> dict[str, object]:
    comparison = explained.plan
    return {
        "name": comparison.name,
        "contract": comparison.contract.name if comparison.contract else None,
        "warehouse": str(comparison.warehouse.table),
        "row_restriction": comparison.warehouse.restriction,
        "snapshot": str(comparison.snapshot.spec),
        "snapshot_restriction": comparison.snapshot.restriction,
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
                "rule": column.words,
                "cast": column.cast,
                "warehouse_origin": column.origin,
                "snapshot_origin": column.snapshot_origin,
                "masked": column.masked,
            }
            for column in comparison.columns
        ],
        "not_compared": comparison.not_compared,
        "mode": {"mode": explained.chosen.mode, "why": explained.chosen.why},
        "computed_by": explained.computing,
        "handing_over": explained.handing_over,
        "reads": {"warehouse": explained.warehouse, "snapshot": explained.snapshot},
        "thresholds": limits(explained.thresholds),
        "partition": explained.partition.model_dump() if explained.partition else None,
        # Not where they begin: a key may be personal.
        "shards": [{"name": shard.name, "rows": shard.rows} for shard in explained.shards],
        "whole_because": explained.whole_because,
    }


def limits(thresholds: Thresholds | None) -> dict[str, str]:
    """Return thresholds as they were written.

    Args:
        thresholds: the thresholds; None for none.

    Returns:
        The limit by what it limits, such as `column note`.
    """
    if thresholds is None:
        return {}
    stated: dict[str, Any] = {name: getattr(thresholds, name) for name in type(thresholds).model_fields}
    of_columns = {f"column {name}": limit.text for name, limit in stated.pop("columns").items()}
    return {name: limit.text for name, limit in stated.items() if limit is not None} | of_columns


def _print_comparison(console: Console, explained: Explained) -> None:
    plan = explained.plan
    console.print(f"[bold]{plan.name}[/]: {len(plan.columns)} columns by {', '.join(c.name for c in plan.key)}")
    kept = f" where {plan.warehouse.restriction}" if plan.warehouse.restriction else ""
    console.print(f"  warehouse {plan.warehouse.table}{kept}", markup=False)
    filtered = f" where {plan.snapshot.restriction}" if plan.snapshot.restriction else ""
    console.print(f"  snapshot  {_snapshot(plan)}{filtered}", markup=False)
    console.print(f"  mode      {explained.chosen.mode}: {explained.chosen.why}", markup=False)
    if explained.computing:
        console.print(f"  computes  {' and '.join(explained.computing)}, each its own part", markup=False)
    for side, reason in explained.handing_over.items():
        console.print(f"  hands over {side}, row by row: {reason}", markup=False)
    sizes = f"warehouse {_size(explained.warehouse)}, snapshot {_size(explained.snapshot)}"
    console.print(f"  reads     {sizes}", markup=False)
    stated = ", ".join(f"{name} {limit}" for name, limit in limits(explained.thresholds).items())
    console.print(f"  passes    {f'with at most {stated}' if stated else 'when nothing differs'}", markup=False)
    if explained.partition is not None:
        console.print(f"  counts by {explained.partition.column}, {explained.partition.by}", markup=False)
    if explained.shards[1:]:
        rows = max(shard.rows for shard in explained.shards)
        console.print(f"  shards    {len(explained.shards)} of {rows:,} rows at most, for tasks", markup=False)
    if explained.whole_because is not None:
        console.print(f"  shards    one, the whole: {explained.whole_because}", markup=False)
    for column in plan.columns:
        if column.words != EXACT_WORDS:
            console.print(f"  {column.name}: {column.words}", markup=False)
    if plan.not_compared:
        console.print(f"  left out  {', '.join(plan.not_compared)}", markup=False)


def _snapshot(plan: ComparisonPlan) -> str:
    source = plan.snapshot
    if not isinstance(source.spec, FileSet):
        return str(source.spec)
    size = sum(ref.size for ref in source.objects)
    rows = plural(source.expected_rows, "row") if source.expected_rows is not None else "rows not stated"
    return f"{plural(len(source.objects), 'file')}, {size:,} bytes, {source.format}, {rows}: {source.spec}"


def _size(read: Bytes) -> str:
    if read.count is None:
        return "unknown"
    words = {"dry run": "{:,} bytes by a dry run", "estimate": "about {:,} bytes by an estimate"}
    return words.get(read.told_by, "{:,} bytes at most").format(read.count)
