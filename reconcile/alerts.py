"""Alerts: a line in the log that a log-based alert can match, and a post to a webhook."""

import os
from typing import Any, Final

import httpx
import structlog
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from core.errors import ConfigurationError, UnavailableError
from reconcile.policy import Alert
from reconcile.report.words import headline, sentence
from reconcile.result import RunResult

_log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 4
_LONGEST_WAIT_S: Final = 5.0


class UntoldError(UnavailableError):
    """Nobody could be told of a run that has ended.

    Args:
        message: why.
        result: the run.
    """

    def __init__(self, message: str, result: RunResult) -> None:
        super().__init__(message)
        self.result = result


def check_alert(alert: Alert | None) -> None:
    """Check that those who are to be told can be, before anything is compared.

    Args:
        alert: who is told; None for the log alone.

    Raises:
        ConfigurationError: when the environment variable of the webhook is not set, or holds no URL.
    """
    if alert is not None:
        _url(alert)


def tell(alert: Alert | None, result: RunResult) -> None:
    """Tell of a run: in the log always, by the webhook as configured.

    Args:
        alert: who is told; None for the log alone.
        result: the run, decided.

    Raises:
        ConfigurationError: when the environment variable of the webhook is not set.
        UntoldError: when the webhook did not take the post.
    """
    failed = [found.name for found in result.comparisons if found.outcome == "failed"]
    log = _log.error if result.outcome == "failed" else _log.info
    log(f"reconciliation {result.outcome}", run_id=result.run_id, verdict=result.verdict, failed=failed)
    if alert is not None and (alert.when == "always" or result.outcome == "failed"):
        _post(alert, result)


def message(result: RunResult) -> dict[str, Any]:
    """Return what is posted: `text` for people (as Slack, Mattermost and Google Chat take it), the rest for machines.

    Args:
        result: the run, decided.

    Returns:
        JSON values; no value of any row is in them.
    """
    failed = [found for found in result.comparisons if found.outcome == "failed"]
    told = [f"{found.name}: {sentence(found, with_values=False)}" for found in failed]
    return {
        "text": "\n".join([f"Reconciliation {result.outcome}: {headline(result)}", *told]),
        "run_id": result.run_id,
        "outcome": result.outcome,
        "verdict": result.verdict,
        "snapshot_id": result.snapshot.snapshot_id,
        "failed": [found.name for found in failed],
        "owners": sorted({found.owner for found in failed if found.owner}),
    }


def _url(alert: Alert) -> str:
    url = os.environ.get(alert.webhook_variable)
    if not url:
        raise ConfigurationError(
            f"alert: the environment variable {alert.webhook_variable} is not set; give it the webhook's URL, or "
            "remove `alert` from the configuration"
        )
    if not _is_url(url):
        raise ConfigurationError(
            f"alert: the environment variable {alert.webhook_variable} holds no URL of https and a host"
        )
    return url


def _is_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _post(alert: Alert, result: RunResult) -> None:
    url, body = _url(alert), message(result)
    retrying = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(max=_LONGEST_WAIT_S),
        retry=retry_if_exception_type(httpx.HTTPError),
    )
    try:
        for attempt in retrying:
            with attempt:
                httpx.post(url, json=body, timeout=alert.timeout_s).raise_for_status()
    except RetryError as error:
        # The error's text would name the URL, which is a secret.
        cause = error.last_attempt.exception()
        status = f"status {cause.response.status_code}" if isinstance(cause, httpx.HTTPStatusError) else "no answer"
        raise UntoldError(
            f"alert: the webhook in {alert.webhook_variable} did not take the message ({status}); the reports are "
            "there",
            result,
        ) from None
