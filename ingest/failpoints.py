"""Failpoints: places where a test may kill the process, to prove that a crash there loses nothing.

`MILLRACE_FAILPOINT="after_append:crash_after=5000"` kills the process (SIGKILL, so that nothing can be tidied up) once
5,000 messages have passed the boundary `after_append`. See "failpoints" in FreeBSD's fail(9), and in TiKV's fail-rs.
"""

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.errors import ConfigurationError

VARIABLE: Final = "MILLRACE_FAILPOINT"

BOUNDARIES: Final = (
    "after_pull",
    "after_decode",
    "after_fetch",
    "before_append",
    "after_append",
    "after_dead_letter",
    "before_ack",
    "after_ack",
)

_SYNTAX = re.compile(r"([a-z_]+):crash_after=([1-9][0-9]*)")


@dataclass
class Failpoint:
    """Kills the process at a boundary; without a boundary it does nothing.

    Attributes:
        boundary: where; None for nowhere.
        crash_after: how many messages may pass first.
        passed: how many have passed.
    """

    boundary: str | None = None
    crash_after: int = 0
    passed: int = field(default=0, init=False)

    def hit(self, boundary: str, messages: int = 1) -> None:
        """Say that messages have passed a boundary.

        Args:
            boundary: which one.
            messages: how many.
        """
        if boundary != self.boundary:
            return
        self.passed += messages
        if self.passed >= self.crash_after:
            os.kill(os.getpid(), signal.SIGKILL)


def load_failpoint(environ: Mapping[str, str], environment: str) -> Failpoint:
    """Read the failpoint of this process.

    Args:
        environ: the process's environment variables.
        environment: the settings' environment; only `local` may crash on purpose.

    Returns:
        The failpoint, one that does nothing when none is set.

    Raises:
        ConfigurationError: when it is set outside `local`, names no boundary, or cannot be read.
    """
    text = environ.get(VARIABLE)
    if not text:
        return Failpoint()
    if environment != "local":
        raise ConfigurationError(f"{VARIABLE} is set, but environment is {environment!r}; unset it")
    match = _SYNTAX.fullmatch(text)
    if match is None or match[1] not in BOUNDARIES:
        raise ConfigurationError(
            f"{VARIABLE}={text!r} is not understood; write <boundary>:crash_after=<messages>, "
            f"with one of {', '.join(BOUNDARIES)}"
        )
    return Failpoint(match[1], int(match[2]))
