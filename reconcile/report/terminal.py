"""A result as a table for the terminal."""

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from reconcile.report.words import PICTURES, headline, plural, rows_read, sentence
from reconcile.result import RunResult, Verdict

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
        if found.verdict != "equal" or found.outcome == "failed":
            console.print(f"{found.name}: {sentence(found).translate(PICTURES)}", markup=False)
    if result.not_run:
        console.print(f"not run: {', '.join(result.not_run)}", markup=False)
    where = f"snapshot {result.snapshot.snapshot_id}" if result.snapshot.snapshot_id else "no snapshot"
    rows = plural(rows_read(result), "row")
    style = _STYLES["different" if result.verdict == "equal" and result.outcome == "failed" else result.verdict]
    console.print(f"[{style}]{headline(result)}[/]: {rows} in {result.seconds:.1f} s, {escape(where)}")


def _shown(result: RunResult) -> dict[str, str]:
    """Return the counts worth a column: the rare kinds only where they occur, so that 80 characters do."""
    found = [comparison.counts for comparison in result.comparisons if comparison.counts]
    empty = {name for name in _RARE if not any(getattr(counts, name) for counts in found)}
    return {name: label for name, label in _COUNTED.items() if name not in empty}
