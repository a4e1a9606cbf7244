"""The page: one HTML file that needs nothing else, to read, to mail and to keep."""

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.quality.result import QualityReport, RuleResult

RUNBOOK: Final = "docs/runbooks/quality-failed.md"
_SMALLEST_SHARE: Final = 0.0001
_HEADLINES: Final = {
    "passed": "Every rule holds",
    "warned": "Every promise holds, with warnings",
    "skipped": "Some rules could not be asked",
    "failed": "Rules are broken",
}


def render(report: QualityReport, *, runbook: str = RUNBOOK) -> str:
    """Return a report as an HTML page.

    Args:
        report: what the rules found.
        runbook: address of what to do about a failure.

    Returns:
        The page.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=lambda value: f"{value:,}", share=share, score=score)
    return environment.get_template("report.html.j2").render(
        report=report,
        headline=headline(report),
        tables=_by_table(report),
        table_scores={found.name: found for found in report.latest("table")},
        runbook=runbook,
    )


def headline(report: QualityReport) -> str:
    """Return the verdict of a report as a sentence."""
    return _HEADLINES[report.verdict]


def share(value: float) -> str:
    """Return a share as a percentage that is 0 or 100 only when it is exactly that."""
    if 0 < value < _SMALLEST_SHARE:
        return "< 0.01 %"
    if 1 - _SMALLEST_SHARE < value < 1:
        return "> 99.99 %"
    return f"{100 * value:.2f} %".replace(".00 %", " %")


def score(value: float) -> str:
    """Return a score with as many digits as tell it from a full one."""
    return "100" if value == 100 else f"{min(value, 99.99):.2f}"  # noqa: PLR2004 - the full score


def _by_table(report: QualityReport) -> dict[str, list[RuleResult]]:
    tables: dict[str, list[RuleResult]] = {}
    for rule in report.rules:
        tables.setdefault(rule.table, []).append(rule)
    return tables
