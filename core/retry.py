"""Retry with exponential backoff and full jitter, for faults that may pass.

The policy is data; `tenacity` does the work. Full jitter spreads clients that failed together
("Exponential Backoff And Jitter", AWS Architecture Blog).
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from core.errors import MillraceError, UnavailableError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently to try again.

    Attributes:
        attempts: calls in all, the first included.
        first_wait_s: upper bound of the first wait, in seconds; it doubles with each attempt.
        longest_wait_s: upper bound of every wait, in seconds.
    """

    attempts: int = 6
    first_wait_s: float = 0.2
    longest_wait_s: float = 20.0


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same call may succeed later.

    Args:
        error: what was raised.

    Returns:
        True for our own retryable errors and for lost connections.
    """
    if isinstance(error, MillraceError):
        return error.retryable
    return isinstance(error, ConnectionError | TimeoutError)


def retrying(policy: RetryPolicy, what: str, retryable: Callable[[BaseException], bool] = is_retryable) -> Retrying:
    """Return a caller that applies `policy` to a function.

    Args:
        policy: attempts and waits.
        what: what is being tried, for the log.
        retryable: which errors are worth another attempt.

    Returns:
        A `tenacity.Retrying`; call it as `retrying(policy, "append")(function, *args)`. The last error is
        raised as it is.
    """
    return Retrying(
        stop=stop_after_attempt(policy.attempts),
        wait=_wait(policy),
        retry=retry_if_exception(retryable),
        before_sleep=_log_retry(what),
        reraise=True,
    )


def retrying_async(
    policy: RetryPolicy, what: str, retryable: Callable[[BaseException], bool] = is_retryable
) -> AsyncRetrying:
    """Return `retrying` for coroutine functions.

    Args:
        policy: attempts and waits.
        what: what is being tried, for the log.
        retryable: which errors are worth another attempt.

    Returns:
        A `tenacity.AsyncRetrying`; await it as `await retrying_async(policy, "fetch")(function, *args)`.
    """
    return AsyncRetrying(
        stop=stop_after_attempt(policy.attempts),
        wait=_wait(policy),
        retry=retry_if_exception(retryable),
        before_sleep=_log_retry(what),
        reraise=True,
    )


def _wait(policy: RetryPolicy) -> Callable[[RetryCallState], float]:
    backoff = wait_random_exponential(multiplier=policy.first_wait_s, max=policy.longest_wait_s)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, UnavailableError) and error.retry_after_s is not None:
            # The service knows best; the bound keeps a hostile header from parking us for hours.
            return min(error.retry_after_s, policy.longest_wait_s)
        return backoff(state)

    return wait


def _log_retry(what: str) -> Callable[[RetryCallState], None]:
    def log(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0.0
        _log.warning("retrying", what=what, attempt=state.attempt_number, wait_s=round(wait_s, 3), error=repr(error))

    return log
