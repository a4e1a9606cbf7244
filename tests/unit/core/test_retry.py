"""Retry: passing faults are tried again within bounds, lasting ones are raised at once."""

import pytest

from core.errors import ConfigurationError, DecodeError, LockedError, MillraceError, UnavailableError, UnreadableError
from core.retry import RetryPolicy, is_retryable, retrying, retrying_async

QUICK = RetryPolicy(attempts=4, first_wait_s=0.0001, longest_wait_s=0.001)


class Flaky:
    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self, answer: str) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return answer

    async def later(self, answer: str) -> str:
        return self(answer)


@pytest.mark.parametrize("error", [UnavailableError("busy"), ConnectionResetError(), TimeoutError()])
@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_passing_fault_is_outlived(error: Exception, failures: int) -> None:
    call = Flaky(failures, error)
    assert retrying(QUICK, "a call")(call, "done") == "done"
    assert call.calls == failures + 1


def test_the_last_error_is_raised_as_it_is() -> None:
    call = Flaky(99, UnavailableError("still busy"))
    with pytest.raises(UnavailableError, match="still busy"):
        retrying(QUICK, "a call")(call, "never")
    assert call.calls == QUICK.attempts


def test_a_lasting_fault_is_raised_at_once() -> None:
    call = Flaky(99, ConfigurationError("wrong"))
    with pytest.raises(ConfigurationError):
        retrying(QUICK, "a call")(call, "never")
    assert call.calls == 1


async def test_coroutines_are_retried_too() -> None:
    call = Flaky(2, UnavailableError("busy"))
    assert await retrying_async(QUICK, "a call")(call.later, "done") == "done"
    assert call.calls == 3


def test_a_server_may_say_how_long_to_wait_within_our_bound() -> None:
    waits: list[float] = []
    call = Flaky(2, UnavailableError("slow down", retry_after_s=3600))
    caller = retrying(QUICK, "a call").copy(sleep=waits.append)
    assert caller(call, "done") == "done"
    assert waits == [QUICK.longest_wait_s] * 2


def test_each_error_knows_whether_to_try_again() -> None:
    assert is_retryable(UnavailableError("x"))
    assert is_retryable(LockedError("x"))
    assert not is_retryable(MillraceError("x"))
    assert not is_retryable(UnreadableError("x"))
    assert not is_retryable(DecodeError("invalid_json", "x"))
    assert not is_retryable(ValueError("x"))
    assert DecodeError("invalid_json", "x").reason == "invalid_json"
