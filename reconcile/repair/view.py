"""Repairs as text for the terminal, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

import msgspec
from rich.console import Console

from reconcile.repair.mending import Repair
from reconcile.report.words import plural


def print_repairs(console: Console, found: Sequence[Repair]) -> None:
    """Print what would be mended, or has been.

    Args:
        console: where to print.
        found: the repairs.
    """
    for done in found:
        console.print(f"{done.comparison}: {_told(done)}", markup=False)
    if not found:
        console.print("nothing differs in this report", markup=False)
    elif any(done.file for done in found) and all(done.applied is None for done in found):
        console.print("dry run: nothing was changed; look at the statements, then give --apply", markup=False)


def repairs_json(found: Sequence[Repair]) -> str:
    """Return repairs as JSON, indented.

    Args:
        found: the repairs.
    """
    rows = [asdict(done) | {"file": str(done.file) if done.file else None} for done in found]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def _told(done: Repair) -> str:
    left = f"; {plural(done.left, 'duplicated key')} no statement can mend" if done.left else ""
    if done.file is None:
        return f"nothing to mend{left}"
    text = f"{plural(done.rows, 'key')} in {plural(done.statements, 'statement')}, {done.file}{left}"
    return text if done.applied is None else f"{text}; {plural(done.applied, 'row')} changed in the warehouse"
