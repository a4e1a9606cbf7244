"""What rules found, as data: the page, the table and the JSON are views of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

Verdict = Literal["passed", "warned", "skipped", "failed"]

SCHEMA_VERSION: Final = 1
"""Version of the JSON; raised when a field changes its meaning or goes away."""

_VERDICTS: Final[dict[str, Verdict]] = {
    "pass": "passed",
    "warn": "warned",
    "skipped": "skipped",
    "fail": "failed",
    "error": "failed",
}
_ORDER: Final = {"failed": 0, "skipped": 1, "warned": 2, "passed": 3}
_FULL: Final = 100.0


@dataclass(frozen=True)
class Past:
    """What a rule found in one run.

    Attributes:
        run_started_at: when the run began (UTC).
        verdict: what came of it.
        failing_share: share of the rows that broke the rule, from 0 to 1.
    """

    run_started_at: datetime
    verdict: Verdict
    failing_share: float


@dataclass(frozen=True)
class RuleResult:
    """What a rule found when it last ran.

    Attributes:
        rule: its name.
        zone: zone of the table.
        table: the table, with its dataset.
        column: the column; empty when it is about rows or tables.
        kind: generic test it is.
        dimension: completeness, validity, uniqueness, consistency, timeliness or accuracy.
        severity: `error` stops the zone below, `warn` does not.
        weight: how much it counts in a score.
        owner: who to call.
        tolerated_share: share of the rows that may break it.
        verdict: what came of it; skipped when the latest run could not ask it, as what it reads was not built.
        could_run: whether its statement could be run; a rule that could not is broken, and counted as one row.
        failing_rows: rows that broke it when it was last asked; 0 when it never was.
        checked_rows: rows it looked at then.
        failing_share: the one by the other, from 0 to 1.
        run_id: the invocation of dbt.
        run_started_at: when that began (UTC).
        seconds: wall time it took.
        description: why it is there.
        message: what dbt said; empty when it passed, unless there was nothing to check.
        sql: the statement that measures it; empty when it passed.
        failing_keys: the first keys that broke it; personal data is masked.
        history: what it found in its latest runs, oldest first; those that skipped it are left out.
    """

    rule: str
    zone: str
    table: str
    column: str
    kind: str
    dimension: str
    severity: str
    weight: float
    owner: str
    tolerated_share: float
    verdict: Verdict
    could_run: bool
    failing_rows: int
    checked_rows: int
    failing_share: float
    run_id: str
    run_started_at: datetime
    seconds: float
    description: str
    message: str
    sql: str
    failing_keys: tuple[str, ...]
    history: tuple[Past, ...]

    @property
    def is_judged(self) -> bool:
        """Whether the latest run asked the rule, and it had something to check."""
        return self.verdict != "skipped" and bool(self.checked_rows or self.failing_rows)


@dataclass(frozen=True)
class Score:
    """A score: of one run, or of the latest results.

    Attributes:
        zone: the zone.
        scope: `zone`, `table` or `dimension`.
        name: the zone, table or dimension.
        run_started_at: when the run began (UTC).
        score: from 0 to 100.
        rules: how many rules it sums up.
    """

    zone: str
    scope: str
    name: str
    run_started_at: datetime
    score: float
    rules: int


@dataclass(frozen=True)
class QualityReport:
    """The state of the warehouse, rule by rule.

    Attributes:
        project: the project it is about.
        made_at: when this was read (UTC).
        since: the oldest run that was looked at (UTC).
        rules: the latest result of every rule, failures first.
        scores: the latest scores of each zone, table and dimension since then, oldest first.
    """

    project: str
    made_at: datetime
    since: datetime
    rules: tuple[RuleResult, ...]
    scores: tuple[Score, ...]

    @property
    def vacuous(self) -> int:
        """How many rules were asked and had nothing to check."""
        return sum(rule.verdict != "skipped" and not rule.is_judged for rule in self.rules)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of any rule."""
        return worst(rule.verdict for rule in self.rules)

    def count(self, verdict: Verdict) -> int:
        """Return how many rules have a verdict."""
        return sum(rule.verdict == verdict for rule in self.rules)

    def latest(self, scope: str) -> list[Score]:
        """Return the score of each name of a scope by the latest result of every rule, in the order of zones and names.

        A run may ask some rules of a zone only, so that its own score says nothing of the zone. Rules that were
        skipped, or found nothing to check, have no share; the formula is that of `quality_insert_scores`.

        Args:
            scope: `zone`, `table` or `dimension`.
        """
        groups = defaultdict[tuple[str, str], list[RuleResult]](list)
        for rule in self.rules:
            if rule.is_judged:
                name = {"zone": rule.zone, "table": rule.table, "dimension": rule.dimension}[scope]
                groups[rule.zone, name].append(rule)
        return [_score(zone, scope, name, groups[zone, name]) for zone, name in sorted(groups)]

    def past(self, score: Score) -> list[Score]:
        """Return the scores of the same zone, scope and name, oldest first."""
        same = (score.zone, score.scope, score.name)
        return [other for other in self.scores if (other.zone, other.scope, other.name) == same]

    def to_json(self) -> dict[str, Any]:
        """Return the report ready for JSON."""
        body = {"schema_version": SCHEMA_VERSION, "verdict": self.verdict, **asdict(self)}
        return {name: _plain(value) for name, value in body.items()}


def _score(zone: str, scope: str, name: str, rules: Sequence[RuleResult]) -> Score:
    weight = sum(rule.weight for rule in rules)
    kept = sum(rule.weight * (1 - rule.failing_share) for rule in rules)
    newest = max(rule.run_started_at for rule in rules)
    return Score(zone, scope, name, newest, _FULL * kept / weight if weight else _FULL, len(rules))


def verdict_of(status: str) -> Verdict:
    """Return what a status of dbt means; what is not known to be good counts as failed."""
    return _VERDICTS.get(status, "failed")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict; passed when there is none."""
    return min(verdicts, key=_ORDER.__getitem__, default="passed")


def by_urgency(rule: RuleResult) -> tuple[int, float, str]:
    """Order rules: failures first, then by what they weigh in rows, then by name."""
    return _ORDER[rule.verdict], -rule.failing_share * rule.weight, rule.rule


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value
