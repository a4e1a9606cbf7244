"""What a benchmark found, as data; the table and the JSON are two views of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

SCHEMA_VERSION: Final = 1

Kind = Literal["ours", "peer", "floor"]
"""What is measured: our own code, what others would use for the task, or the least that any of them must do."""


@dataclass(frozen=True)
class Run:
    """One run of one contender.

    Attributes:
        items: how many items were processed.
        cpu_s: CPU time the process took for it, all its threads, in seconds.
        wall_s: how long it took, in seconds; on a machine that others use too, this says little.
        laps: CPU time of parts of the run, in seconds, where a benchmark looks at its course.
    """

    items: int
    cpu_s: float
    wall_s: float
    laps: tuple[float, ...] = ()


@dataclass(frozen=True)
class Case:
    """All runs of one contender.

    Attributes:
        name: its name.
        kind: what it is.
        about: what it does, in a line.
        runs: its runs, one a round.
        peak_rss_mib: the most memory its process held resident, in MiB; None where it shared the process.
    """

    name: str
    kind: Kind
    about: str
    runs: tuple[Run, ...]
    peak_rss_mib: float | None = None

    @property
    def per_cpu_s(self) -> float:
        """Items per CPU second, the median of the runs."""
        return median(run.items / run.cpu_s for run in self.runs)


@dataclass(frozen=True)
class Ratio:
    """The speed of one case over that of another, from the same rounds of the same run.

    Attributes:
        of: the case above the line.
        over: the case below it.
        value: items per CPU second of the one over those of the other, the median of the rounds.
        low: the lowest of the rounds.
        high: the highest.
        about: how to read it.
    """

    of: str
    over: str
    value: float
    low: float
    high: float
    about: str


@dataclass(frozen=True)
class Figure:
    """A number beside the speeds, such as a latency.

    Attributes:
        name: what it is.
        value: the number.
        unit: its unit.
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        name: the benchmark.
        title: what it measures, in a line.
        item: what is counted, in the plural.
        cases: who was measured.
        ratios: how they compare.
        figures: other numbers.
        notes: what a reader should know.
        measures: figures that others look up by name, at the top of the document.
    """

    name: str
    title: str
    item: str
    cases: tuple[Case, ...]
    ratios: tuple[Ratio, ...]
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


def ratio(of: Case, over: Case, about: str) -> Ratio:
    """Compare two cases round by round.

    A round runs every contender within seconds, so what else the machine does at that time weighs on both alike.

    Args:
        of: the case above the line.
        over: the case below it, of as many rounds.
        about: how to read the ratio.

    Returns:
        The median over the rounds, and their range.
    """
    rounds = [
        (one.items / one.cpu_s) / (other.items / other.cpu_s) for one, other in zip(of.runs, over.runs, strict=True)
    ]
    return Ratio(of.name, over.name, median(rounds), min(rounds), max(rounds), about)


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as the JSON document of `build/bench/<name>.json`.

    Args:
        result: what was found.

    Returns:
        A document of plain values; its keys are described in `docs/design/speed.md`.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "name": result.name,
        "title": result.title,
        "item": result.item,
        "cases": [_case(case) for case in result.cases],
        "ratios": [
            {
                "of": found.of,
                "over": found.over,
                "value": round(found.value, 4),
                "low": round(found.low, 4),
                "high": round(found.high, 4),
                "about": found.about,
            }
            for found in result.ratios
        ],
        "figures": [
            {"name": figure.name, "value": round(figure.value, 3), "unit": figure.unit} for figure in result.figures
        ],
        "notes": list(result.notes),
        **{name: round(value, 3) for name, value in result.measures.items()},
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "kind": case.kind,
        "about": case.about,
        "per_cpu_s": round(case.per_cpu_s, 1),
        "items": [run.items for run in case.runs],
        "cpu_s": [round(run.cpu_s, 6) for run in case.runs],
        "wall_s": [round(run.wall_s, 6) for run in case.runs],
        "peak_rss_mib": None if case.peak_rss_mib is None else round(case.peak_rss_mib, 1),
    }
