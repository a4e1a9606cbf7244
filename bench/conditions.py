"""Under what conditions a benchmark runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.stand_ins import StandIns

Size = TypeVar("Size")


@dataclass(frozen=True)
class Conditions:
    """What the user asked for, and what is there.

    Attributes:
        rounds: how often each contender runs.
        quick: whether it is only to be seen that it works; the numbers mean nothing then.
        stand_ins: the local services.
        scratch: a folder for files, removed afterwards.
    """

    rounds: int
    quick: bool
    stand_ins: StandIns
    scratch: Path

    def size(self, full: Size, quick: Size) -> Size:
        """Return the size of a task.

        Args:
            full: the one for measuring.
            quick: the one for seeing that it works.
        """
        return quick if self.quick else full
