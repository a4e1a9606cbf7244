"""A result in plain sentences, shared by the page and the terminal."""

from collections.abc import Iterator
from typing import Final

from reconcile.result import ComparisonResult, Counts, Evidence, Kind, Measure, RunResult

MEANINGS: Final[dict[Kind, str]] = {
    "changed": "Both sides hold the key, and some column differs: a change was lost, came late or was cast wrongly.",
    "missing": "The snapshot holds the key and the warehouse does not: not landed, dead-lettered or not yet built.",
    "extra": "The warehouse holds the key and the snapshot does not: a delete that was lost, or a row never there.",
    "duplicated": "The key stands more than once on a side, so nobody can say which row belongs to which.",
    "in_flight": "The row differs, but the warehouse took it in after the snapshot was taken: no fault by itself.",
}
"""What each kind of difference usually comes from."""

PICTURES: Final = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"} | {
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""For `str.translate`: pictures of control characters, which a terminal obeys and HTML does not allow."""

_NAMED: Final = 3
_SMALLEST_SHARE: Final = 0.000001
_LARGEST_PERCENT: Final = 99.9999
_VERDICTS: Final = {
    "equal": "Every row matches",
    "different": "The warehouse differs from the snapshot",
    "unreadable": "Not everything could be read",
}


def headline(result: RunResult) -> str:
    """Return the verdict of a run as a sentence."""
    if result.verdict == "equal" and any(map(_is_beyond, result.comparisons)):
        return "Too many rows are in flight to tell"
    return _VERDICTS[result.verdict]


def sentence(comparison: ComparisonResult, *, with_values: bool = True) -> str:
    """Return what was found in one comparison, as a sentence.

    Args:
        comparison: the comparison.
        with_values: whether least and greatest values that differ are told, and not only that they do.

    Returns:
        A sentence with its full stop.
    """
    if comparison.counts is None:
        return f"Could not be compared: {comparison.reason}."
    if comparison.evidence is not None:
        return _by_evidence(comparison, comparison.counts, comparison.evidence, with_values=with_values)
    parts = list(_findings(comparison.counts))
    if not parts:
        return f"All {plural(comparison.counts.matched, 'row')} match."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}.{_beyond(comparison)}{_columns(comparison)}{_causes(comparison)}"


def _beyond(comparison: ComparisonResult) -> str:
    limits = [decision.limit for decision in comparison.decisions if decision.measure == "in_flight"]
    return f" No more than {limits[0]} may be in flight." if _is_beyond(comparison) else ""


def _is_beyond(comparison: ComparisonResult) -> bool:
    return any(decision.measure == "in_flight" and not decision.holds for decision in comparison.decisions)


def _causes(comparison: ComparisonResult) -> str:
    """Say the likely causes; the page has them in full."""
    named = dict.fromkeys(cause.name + (f" ({cause.column})" if cause.column else "") for cause in comparison.causes)
    return f" Likely: {', '.join(list(named)[:_NAMED])}." if named else ""


def _by_evidence(comparison: ComparisonResult, counts: Counts, evidence: Evidence, *, with_values: bool) -> str:
    """Say what a mode that does not join every row found, and no more than it can tell."""
    apart = [measure for measure in evidence.measures if not measure.agrees]
    parts = [_apart(measure) if with_values else f"{measure.name} differs" for measure in apart[:_NAMED]]
    if len(apart) > _NAMED:
        parts.append(f"{len(apart) - _NAMED} other measures apart")
    parts += _findings(counts)
    text = "; ".join(parts) or f"no difference by {comparison.mode}"
    return f"{text[0].upper()}{text[1:]}.{_columns(comparison)} {evidence.words[0].upper()}{evidence.words[1:]}."


def _apart(measure: Measure) -> str:
    return f"{measure.name} {measure.warehouse} in the warehouse, {measure.snapshot} in the snapshot"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 row` or `2,000 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def share(rate: float) -> str:
    """Return a share as a percentage that is never rounded to nothing or to all.

    Args:
        rate: from 0 to 1.

    Returns:
        Such as `0.02 %`, `< 0.0001 %` or `100 %`.
    """
    if rate in (0.0, 1.0):
        return f"{rate:.0%}".replace("%", " %")
    if rate < _SMALLEST_SHARE:
        return "< 0.0001 %"
    return f"{min(100 * rate, _LARGEST_PERCENT):.4f}".rstrip("0").rstrip(".") + " %"


def rows_read(result: RunResult) -> int:
    """Return how many rows were read on both sides of all comparisons."""
    counted = (comparison.counts for comparison in result.comparisons)
    return sum(counts.warehouse_rows + counts.snapshot_rows for counts in counted if counts)


def _columns(comparison: ComparisonResult) -> str:
    found = sorted((c for c in comparison.columns if c.changed), key=lambda c: c.changed, reverse=True)
    named = ", ".join(f"{column.name} ({column.changed:,})" for column in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f" Changed: {named}{more}." if found else ""


def _findings(counts: Counts) -> Iterator[str]:
    if counts.missing:
        yield f"{plural(counts.missing, 'row')} of the snapshot {_is(counts.missing)} missing from the warehouse"
    if counts.extra:
        yield f"{plural(counts.extra, 'row')} of the warehouse {_is(counts.extra)} not in the snapshot"
    if counts.changed:
        yield f"{plural(counts.changed, 'row')} {'differs' if counts.changed == 1 else 'differ'}"
    if counts.duplicated_keys:
        yield f"{plural(counts.duplicated_keys, 'key')} {_is(counts.duplicated_keys)} there more than once"
    if counts.in_flight:
        yield f"{plural(counts.in_flight, 'key')} {_is(counts.in_flight)} in flight"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
