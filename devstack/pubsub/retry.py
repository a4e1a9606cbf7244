"""The pause between a failed delivery and the next one."""

from typing import Final

from devstack.pubsub.model import RetryPolicy

_LARGEST_EXPONENT: Final = 62


def backoff(policy: RetryPolicy | None, failures: int) -> int:
    """Returns how long a message rests after a failed delivery.

    Doubles from the minimum to the maximum, as https://cloud.google.com/pubsub/docs/handling-failures
    describes exponential backoff. There is no jitter, so that tests can tell the moment exactly.

    Args:
        policy: the subscription's retry policy; without one messages are redelivered at once.
        failures: how many deliveries have failed so far, this one included; at least 1.

    Returns:
        The pause in nanoseconds.
    """
    if policy is None:
        return 0
    exponent = min(failures - 1, _LARGEST_EXPONENT)
    return min(policy.maximum_backoff, policy.minimum_backoff << exponent)
