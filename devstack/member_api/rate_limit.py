"""A token bucket."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class TokenBucket:
    """Lets `rate` requests a second pass, and up to `burst` at once.

    Attributes:
        rate: tokens a second; more than none.
        burst: most tokens the bucket holds; at least one.
        now: a clock in seconds that never goes back, such as `time.monotonic`.
    """

    rate: float
    burst: int
    now: Callable[[], float]
    _tokens: float = field(init=False, repr=False)
    _filled_at: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._filled_at = self.now()

    def take(self) -> int:
        """Take a token.

        Returns:
            0 when there was one, else the whole seconds after which to ask again, at least 1.
        """
        now = self.now()
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, math.ceil((1 - self._tokens) / self.rate))
