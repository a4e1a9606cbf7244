"""Earlier runs as a table for the terminal, or as JSON."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconcile.history.trail import PastComparison

_COUNTED: Final = ("missing", "extra", "changed", "duplicated_keys", "in_flight")
_WIDTH: Final = 140
_STYLES: Final = {"passed": "green", "failed": "red"}


def print_past(console: Console, found: Sequence[PastComparison]) -> None:
    """Print earlier comparisons, a row each.

    Args:
        console: where to print.
        found: the comparisons, the newest first.
    """
    if not found:
        console.print("no run is kept for this time", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("started (UTC)", "table", "verdict", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("missing", "extra", "changed", "duplicated", "in flight", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for past in found:
        outcome = past.outcome or ("passed" if past.verdict == "equal" else "failed")
        numbers = [getattr(past, name) for name in _COUNTED]
        table.add_row(
            f"{past.started_at:%Y-%m-%d %H:%M}",
            past.comparison,
            past.verdict,
            Text(outcome, _STYLES[outcome]),
            *("-" if number is None else f"{number:,}" for number in numbers),
            "-" if past.seconds is None else f"{past.seconds:.1f}",
        )
    # A name cut short could not be given to --table; wider than the terminal, lines are left to it to wrap.
    wide = Console(file=console.file, width=max(console.width, _WIDTH), soft_wrap=True, highlight=False)
    wide.print(table)


def past_json(found: Sequence[PastComparison]) -> str:
    """Return earlier comparisons as JSON, indented.

    Args:
        found: the comparisons.
    """
    return msgspec.json.format(msgspec.json.encode(list(found)), indent=2).decode() + "\n"
