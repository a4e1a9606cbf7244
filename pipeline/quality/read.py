"""Read what the quality engine wrote; `macros/quality/tables.sql` says what the tables hold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from core.errors import UnavailableError
from core.identifiers import qualified
from core.settings import Settings
from pipeline.quality.result import Past, QualityReport, RuleResult, Score, by_urgency, verdict_of

# A zone that is built every minute leaves a million rows in the days that are looked back; so much of them is shown.
_RUNS_SHOWN: Final = 20
_SCORES_SHOWN: Final = 30


def read_report(client: bigquery.Client, settings: Settings, *, now: datetime, days: int) -> QualityReport:
    """Read the latest result of every rule that ran lately, and what it found before.

    Args:
        client: where to ask.
        settings: names of the project and the audit dataset.
        now: what time it is (UTC).
        days: how far back to look; rules that did not run since are taken to be gone.

    Returns:
        The report.

    Raises:
        UnavailableError: when nothing has been tested in that time.
    """
    since = now - timedelta(days=days)
    try:
        results = list(_query(client, _results_sql(settings), since))
        scores = list(_query(client, _scores_sql(settings), since))
        keys = list(_query(client, _failures_sql(settings), since))
    except NotFound as error:
        raise UnavailableError(
            f"{error.message}: no rule has run yet; build a zone with `pipeline run --once`"
        ) from error
    if not results:
        raise UnavailableError(f"no rule has run within {days} days; build a zone with `pipeline run --once`")
    return QualityReport(
        project=settings.project,
        made_at=now,
        since=since,
        rules=tuple(sorted(_rules(results, keys), key=by_urgency)),
        scores=tuple(Score(**row) for row in scores),
    )


def _query(client: bigquery.Client, sql: str, since: datetime) -> Iterable[dict[str, Any]]:
    parameters = [bigquery.ScalarQueryParameter("since", "TIMESTAMP", since)]
    rows = client.query_and_wait(sql, job_config=bigquery.QueryJobConfig(query_parameters=parameters))
    return [dict(row.items()) for row in rows]


def _results_sql(settings: Settings) -> str:
    table = qualified(settings.project, settings.audit_dataset, "quality_results")
    return f"""
        select
            rule, zone, table_name, column_name, kind, dimension, severity, weight, owner, tolerated_share, status,
            failing_rows, checked_rows, failing_share, run_id, run_started_at, seconds, description, message,
            compiled_sql
        from {table}
        where run_started_at >= @since
        qualify row_number() over (partition by rule order by recorded_at desc) <= {_RUNS_SHOWN}
        order by recorded_at
    """  # noqa: S608 - the names are checked


def _scores_sql(settings: Settings) -> str:
    table = qualified(settings.project, settings.audit_dataset, "quality_scores")
    return f"""
        select zone, scope, name, run_started_at, score, rules
        from {table}
        where run_started_at >= @since and score is not null
        qualify row_number() over (partition by zone, scope, name order by recorded_at desc) <= {_SCORES_SHOWN}
        order by recorded_at
    """  # noqa: S608 - the names are checked


def _failures_sql(settings: Settings) -> str:
    table = qualified(settings.project, settings.audit_dataset, "quality_failures")
    return f"""
        select run_id, rule, failing_key
        from {table}
        where run_started_at >= @since
        qualify rank() over (partition by rule order by recorded_at desc) = 1
        order by failing_key
    """  # noqa: S608 - the names are checked


def _rules(results: Iterable[Mapping[str, Any]], failures: Iterable[Mapping[str, Any]]) -> Iterable[RuleResult]:
    keys = defaultdict[tuple[str, str], list[str]](list)
    for row in failures:
        keys[row["run_id"], row["rule"]].append(row["failing_key"])
    runs = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in results:
        runs[row["rule"]].append(row)
    for rule, past in runs.items():
        asked = [row for row in past if row["failing_share"] is not None]
        last = past[-1]
        answer = asked[-1] if asked and not _is_vacuous(last) else None
        yield RuleResult(
            rule=rule,
            zone=last["zone"],
            table=last["table_name"],
            column=last["column_name"] or "",
            kind=last["kind"],
            dimension=last["dimension"],
            severity=last["severity"],
            weight=last["weight"],
            owner=last["owner"],
            tolerated_share=last["tolerated_share"],
            verdict=verdict_of(last["status"]),
            could_run=last["status"] != "error",
            failing_rows=answer["failing_rows"] if answer else 0,
            checked_rows=answer["checked_rows"] if answer else 0,
            failing_share=answer["failing_share"] if answer else 0.0,
            run_id=last["run_id"],
            run_started_at=last["run_started_at"],
            seconds=last["seconds"],
            description=last["description"] or "",
            message=_message(last, answer),
            sql=last["compiled_sql"] or "",
            failing_keys=tuple(keys[last["run_id"], rule]),
            history=tuple(_past(row) for row in asked),
        )


def _is_vacuous(row: Mapping[str, Any]) -> bool:
    """Whether a rule was asked and had nothing to check."""
    return bool(row["status"] != "skipped" and row["failing_share"] is None)


def _past(row: Mapping[str, Any]) -> Past:
    return Past(row["run_started_at"], verdict_of(row["status"]), row["failing_share"])


def _message(last: Mapping[str, Any], answer: Mapping[str, Any] | None) -> str:
    if last["status"] != "skipped":
        return last["message"] or ("nothing to check" if _is_vacuous(last) else "")
    before = "never was asked before"
    if answer:
        before = f"{verdict_of(answer['status'])} on {answer['run_started_at']:%Y-%m-%d %H:%M} UTC"
    return f"could not be asked, as what it reads was not built; {before}"
