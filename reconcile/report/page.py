"""The page: one HTML file that needs nothing else, to read, to mail and to keep."""

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reconcile.examples import examples
from reconcile.report.words import MEANINGS, PICTURES, headline, plural, rows_read, sentence, share
from reconcile.result import KINDS, Change, ComparisonResult, Difference, RunResult, Verdict

MOST_BYTES: Final = 1_000_000
"""A page beyond this is slow to open and is refused by mail servers."""

_SAMPLES: Final = (1000, 100, 25, 10, 5, 2, 1, 0)
_OBJECTS: Final = 10
_PARTITIONS: Final = 31


def render(result: RunResult) -> str:
    """Return a result as an HTML page.

    Args:
        result: the run.

    Returns:
        A page of less than `MOST_BYTES`: with many failing tables it shows fewer differences of each kind.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=lambda value: f"{value:,}", plural=plural, parted=parted, share=share)
    template = environment.get_template("report.html.j2")
    page = ""
    for count in _SAMPLES:
        shown = {comparison.name: _shown(comparison, count) for comparison in result.comparisons}
        page = template.render(
            run=result,
            headline=headline(result),
            sentence=sentence,
            rows_read=rows_read(result),
            totals=_totals(result),
            verdicts=_verdicts(result),
            meanings=MEANINGS,
            shown=shown,
            objects_shown=_OBJECTS,
            partitions_shown=_PARTITIONS,
            failed=sum(found.outcome == "failed" for found in result.comparisons),
        ).translate(PICTURES)
        if len(page.encode()) < MOST_BYTES:
            break
    return page


def parted(change: Change) -> tuple[tuple[str, str, str] | None, tuple[str, str, str] | None]:
    """Split both values of a change into what they begin with alike, what differs, and what they end with alike.

    Args:
        change: the change.

    Returns:
        For the warehouse and the snapshot, three texts that together are the value; None for null.
    """
    left, right = change.warehouse, change.snapshot
    if left is None or right is None or change.masked is not None:
        return _whole(left), _whole(right)
    start = _shared(left, right)
    end = _shared(left[start:][::-1], right[start:][::-1])
    return _split(left, start, end), _split(right, start, end)


def _shared(left: str, right: str) -> int:
    """Return how many characters two texts begin with alike."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _whole(text: str | None) -> tuple[str, str, str] | None:
    return None if text is None else (text, "", "")


def _split(text: str, start: int, end: int) -> tuple[str, str, str]:
    return text[:start], text[start : len(text) - end], text[len(text) - end :]


def _shown(comparison: ComparisonResult, count: int) -> list[Difference]:
    of_kind = [[found for found in comparison.sample if found.kind == kind] for kind in KINDS]
    return [chosen for found in of_kind for chosen in examples(found, count)]


def _totals(result: RunResult) -> dict[str, int]:
    names = {"matched": "matched", "missing": "missing", "extra": "extra", "changed": "changed"}
    names |= {"duplicated": "duplicated_keys", "in flight": "in_flight"}
    counted = [comparison.counts for comparison in result.comparisons if comparison.counts]
    return {label: sum(getattr(counts, name) for counts in counted) for label, name in names.items()}


def _verdicts(result: RunResult) -> dict[Verdict, int]:
    found = [comparison.verdict for comparison in result.comparisons]
    order: tuple[Verdict, ...] = ("equal", "different", "unreadable")
    return {verdict: found.count(verdict) for verdict in order}
