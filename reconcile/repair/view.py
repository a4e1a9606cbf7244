"""Repairs as text for the terminal, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

import msgspec
from rich.console import Console

from reconcile.repair.mending import Repair
from reconcile.repair.republishing import Republished
from reconcile.report.words import plural


def print_repairs(
    console: Console, found: Sequence[Repair] | Sequence[Republished], unreadable: Sequence[str] = ()
) -> None:
    """Print what would be mended, or has been.

    Args:
        console: where to print.
        found: the repairs.
        unreadable: comparisons of which the report knows nothing.
    """
    for name in unreadable:
        console.print(f"{name}: could not be compared, so nobody knows what to mend; reconcile again", markup=False)
    for done in found:
        console.print(f"{done.comparison}: {_told(done)}", markup=False)
    if not found and unreadable:
        return
    if not found:
        console.print("nothing differs in this report", markup=False)
    elif any(done.file for done in found) and all(_done(done) is None for done in found):
        console.print("dry run: nothing was changed; look at the files, then give --apply", markup=False)
    elif any(isinstance(done, Republished) and done.published for done in found):
        console.print("the next builds apply what was published; then reconcile again", markup=False)


def repairs_json(found: Sequence[Repair] | Sequence[Republished]) -> str:
    """Return repairs as JSON, indented.

    Args:
        found: the repairs.
    """
    rows = [asdict(done) | {"file": str(done.file) if done.file else None} for done in found]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def _done(done: Repair | Republished) -> int | None:
    """Return how much was changed or published; None in a dry run."""
    return done.published if isinstance(done, Republished) else done.applied


def _told(done: Repair | Republished) -> str:
    return _told_of_messages(done) if isinstance(done, Republished) else _told_of_statements(done)


def _told_of_statements(done: Repair) -> str:
    left = f"; {plural(done.left, 'duplicated key')} no statement can mend" if done.left else ""
    if done.refused:
        left += (
            f"; {plural(done.refused, 'missing row')} no statement can insert, for the table requires "
            f"{', '.join(done.required)}: use --republish"
        )
    if done.fault is not None:
        left += f"; {done.fault}"
    if done.file is None:
        return f"nothing to mend{left}"
    text = f"{plural(done.rows, 'key')} in {plural(done.statements, 'statement')}, {done.file}{left}"
    return text if done.applied is None else f"{text}; {plural(done.applied, 'row')} changed in the warehouse"


def _told_of_messages(done: Republished) -> str:
    notes = [
        f"{plural(done.before, 'correction')} published before" if done.before else "",
        f"{plural(done.newer, 'row')} newer than the snapshot left alone" if done.newer else "",
        f"{plural(done.left, 'key')} no event can mend" if done.left else "",
    ]
    what = f"{plural(done.messages, 'event')}, {done.file}" if done.file else "nothing to publish"
    sent = [] if done.published is None or not done.file else [f"{done.published:,} published"]
    return "; ".join([what, *(note for note in notes if note), *sent])
