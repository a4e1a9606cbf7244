"""A plan or a result as a table for the terminal."""

from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from reconcile.plans import ComparisonPlan, RunPlan, Unplanned
from reconcile.report.words import headline, plural, rows_read, sentence
from reconcile.result import RunResult, Verdict
from reconcile.rules import EXACT, describe

_COUNTED: Final = {
    "warehouse_rows": "warehouse",
    "snapshot_rows": "snapshot",
    "missing": "missing",
    "extra": "extra",
    "changed": "changed",
    "duplicated_keys": "duplicated",
    "in_flight": "in flight",
}
"""Counts of the table, and what its columns are called."""

_RARE: Final = ("duplicated_keys", "in_flight")
_STYLES: Final[dict[Verdict, str]] = {"equal": "green", "different": "red", "unreadable": "yellow"}


def print_result(console: Console, result: RunResult) -> None:
    """Print a result: a row for each comparison, then a sentence for each that failed.

    Args:
        console: where to print.
        result: the run.
    """
    counted = _shown(result)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("table", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in counted.values():
        table.add_column(name, justify="right", no_wrap=True)
    for found in result.comparisons:
        counts = found.counts
        numbers = None if counts is None else [getattr(counts, name) for name in counted]
        table.add_row(
            found.name,
            Text(found.verdict, _STYLES[found.verdict]),
            *([f"{number:,}" for number in numbers] if numbers else ["-"] * len(counted)),
        )
    console.print(table)
    console.print()
    for found in result.comparisons:
        if found.verdict != "equal":
            console.print(f"{found.name}: {sentence(found)}", markup=False)
    if result.not_run:
        console.print(f"not run: {', '.join(result.not_run)}", markup=False)
    where = f"snapshot {result.snapshot.snapshot_id}" if result.snapshot.snapshot_id else "no snapshot"
    rows = plural(rows_read(result), "row")
    style = _STYLES[result.verdict]
    console.print(f"[{style}]{headline(result)}[/]: {rows} in {result.seconds:.1f} s, {escape(where)}")


def _shown(result: RunResult) -> dict[str, str]:
    """Return the counts worth a column: the rare kinds only where they occur, so that 80 characters do."""
    found = [comparison.counts for comparison in result.comparisons if comparison.counts]
    empty = {name for name in _RARE if not any(getattr(counts, name) for counts in found)}
    return {name: label for name, label in _COUNTED.items() if name not in empty}


def print_plan(console: Console, planned: RunPlan) -> None:
    """Print a plan: what would be read on each side and how it would be compared.

    Args:
        console: where to print.
        planned: the plan.
    """
    console.print(
        f"snapshot {planned.snapshot.uri}/{planned.snapshot.snapshot_id or '?'}"
        + (f", taken {planned.snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC" if planned.snapshot.taken_at else ""),
        markup=False,
    )
    for comparison in planned.comparisons:
        console.print()
        if isinstance(comparison, ComparisonPlan):
            _print_comparison(console, comparison)
        else:
            console.print(f"[yellow]{comparison.name}: unreadable[/]")
            console.print(f"  {comparison.reason}", markup=False)


def plan_json(planned: RunPlan) -> bytes:
    """Return a plan as JSON, indented.

    Args:
        planned: the plan.

    Returns:
        UTF-8 text; a comparison that cannot be made holds a `reason`.
    """
    document = {
        "project": planned.project,
        "snapshot": planned.snapshot,
        "comparisons": [_plan_document(comparison) for comparison in planned.comparisons],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _plan_document(comparison: ComparisonPlan | Unplanned) -> dict[str, object]:
    if isinstance(comparison, Unplanned):
        return {"name": comparison.name, "reason": comparison.reason}
    return {
        "name": comparison.name,
        "contract": comparison.contract.name if comparison.contract else None,
        "warehouse": str(comparison.warehouse.table),
        "row_restriction": comparison.warehouse.restriction,
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
    }


def _print_comparison(console: Console, plan: ComparisonPlan) -> None:
    console.print(f"[bold]{plan.name}[/]: {len(plan.columns)} columns by {', '.join(c.name for c in plan.key)}")
    restriction = f" where {plan.warehouse.restriction}" if plan.warehouse.restriction else ""
    console.print(f"  warehouse {plan.warehouse.table}{restriction}", markup=False)
    source = plan.snapshot
    size = sum(ref.size for ref in source.objects)
    rows = plural(source.expected_rows, "row") if source.expected_rows is not None else "rows not stated"
    files = plural(len(source.objects), "file")
    console.print(f"  snapshot  {files}, {size:,} bytes, {source.format}, {rows}", markup=False)
    for column in plan.columns:
        notes = [describe(column.rule)] if column.rule != EXACT else []
        if column.snapshot_name != column.name:
            notes.append(f"from {column.snapshot_name}")
        if column.cast:
            notes.append(f"cast to {column.data_type}")
        if notes:
            console.print(f"  {column.name}: {', '.join(notes)}", markup=False)
