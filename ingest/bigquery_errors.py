"""The BigQuery client's errors, turned into ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from google.api_core.exceptions import ClientError, GoogleAPICallError, NotFound, RetryError, TooManyRequests
from google.auth.exceptions import TransportError
from google.cloud.bigquery import DEFAULT_RETRY
from requests import ConnectionError as RequestsConnectionError

from core.errors import ConfigurationError, UnavailableError

PATIENCE_S: Final = 30.0
_DEEPEST: Final = 16
"""How many errors within one another are looked through; clients wrap four or five."""


def patience() -> dict[str, Any]:
    """Return how the client tries again, for somebody who waits at a terminal: its own patience is twenty minutes."""
    return {"retry": DEFAULT_RETRY.with_timeout(PATIENCE_S), "job_retry": None}


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the errors of BigQuery's REST client into ours.

    Args:
        what: what was being done, for the message.

    Yields:
        Nothing.

    Raises:
        ConfigurationError: when a table is not there, or the caller may not read it.
        UnavailableError: when BigQuery does not answer.
    """
    try:
        yield
    except NotFound as error:
        fix = "create it (`ingest setup` locally, terraform elsewhere)"
        raise ConfigurationError(f"{what}: {error.message}; {fix}") from error
    except TooManyRequests as error:
        raise UnavailableError(f"{what}: {error.message}") from error
    except ClientError as error:
        raise ConfigurationError(f"{what}: {error.message}") from error
    except (GoogleAPICallError, RetryError, RequestsConnectionError, TransportError, TimeoutError) as error:
        raise UnavailableError(f"{what}: {_words(error)}; try again later") from error


def _words(error: BaseException) -> str:
    """Return what BigQuery said; where it said nothing, what the system said of the connection.

    A client's own words for a lost connection are its objects' addresses in memory.
    """
    if isinstance(error, GoogleAPICallError):
        return error.message or type(error).__name__
    silent = "BigQuery does not answer"
    found: object = error
    for _ in range(_DEEPEST):
        if isinstance(found, OSError) and found.strerror:
            return f"{silent}: {found.strerror}"
        if not isinstance(found, BaseException):
            break
        told_in_args = next((part for part in found.args if isinstance(part, BaseException)), None)
        found = getattr(found, "reason", None) or found.__cause__ or found.__context__ or told_in_args
    return silent
