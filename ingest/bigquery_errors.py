"""The BigQuery client's errors, turned into ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from google.api_core.exceptions import ClientError, GoogleAPICallError, NotFound, RetryError, TooManyRequests
from google.cloud.bigquery import DEFAULT_RETRY
from requests import ConnectionError as RequestsConnectionError

from core.errors import ConfigurationError, UnavailableError

PATIENCE_S: Final = 30.0


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
    except (GoogleAPICallError, RetryError, RequestsConnectionError, TimeoutError) as error:
        raise UnavailableError(f"{what}: {error}; try again later") from error
