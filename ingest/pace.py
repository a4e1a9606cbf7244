"""The pace of micro-batches: how long rows wait for company, by how long sending them takes."""

from dataclasses import dataclass
from typing import Final

_SMOOTHING: Final = 0.2
"""Weight of the newest measurement in the average."""


@dataclass(frozen=True)
class PaceLimits:
    """Between what bounds the wait may move.

    Attributes:
        most_s: the wait while sending is quick, and while it cannot keep up.
        least_s: the wait while sending is slow.
        goal_s: waiting and sending together should take no longer.
    """

    most_s: float
    least_s: float
    goal_s: float


class Pace:
    """Adapts the wait of a batch's first item.

    The slower sending is, the less time is left for waiting: what the goal leaves after the average time of sending,
    between the bounds. While sending cannot keep up, larger batches help more than earlier ones: then the wait is the
    longest.

    Attributes:
        wait_s: how long a batch's first item waits now, in seconds.
        sending_s: how long sending takes, a moving average, in seconds.
    """

    def __init__(self, limits: PaceLimits) -> None:
        """Begin with the longest wait.

        Args:
            limits: the bounds.
        """
        self._limits = limits
        self.wait_s = limits.most_s
        self.sending_s: float | None = None

    def note(self, seconds: float, *, is_behind: bool) -> None:
        """Take in how long a batch took.

        Args:
            seconds: from its being sent to its being confirmed.
            is_behind: whether the next batch waited for it.
        """
        limits = self._limits
        if self.sending_s is None:
            self.sending_s = seconds
        self.sending_s += _SMOOTHING * (seconds - self.sending_s)
        if is_behind:
            self.wait_s = limits.most_s
        else:
            self.wait_s = min(limits.most_s, max(limits.least_s, limits.goal_s - self.sending_s))
