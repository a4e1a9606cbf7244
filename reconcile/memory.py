"""How the memory that a run may use is shared out: first among readers, then to the engine.

Sides are read before the engine begins, so that each has what the process does not hold already when its turn comes.
"""

from dataclasses import dataclass
from typing import Final

from reconcile.config import Limits
from reconcile.read.heap import resident_mb

LEAST_LEFT_MB: Final = 128
"""What readers, and then the engine, are given at least, in MiB, however much the process holds already."""

_READER_MB: Final = 32
"""What a reader takes beside its messages, in MiB: the rows it collects for a row group, and the same encoded."""

_SIDES: Final = 2
_MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class ReadersShare:
    """What the readers of a comparison may use.

    Attributes:
        readers: streams or files that are read at once on each side.
        message_bytes: what messages of the Storage Read API may take on both sides together.
    """

    readers: int
    message_bytes: int


def left_mb(limits: Limits) -> int:
    """Return what of the memory the process does not hold already, in MiB, or the least that anything works with.

    Args:
        limits: what the run may use.
    """
    return max(LEAST_LEFT_MB, limits.memory_mb - resident_mb())


def readers_share(limits: Limits) -> ReadersShare:
    """Return what the readers may use now: at most half of what is left is theirs, the rest is for messages.

    Args:
        limits: what the run may use.
    """
    left = left_mb(limits)
    readers = max(1, min(limits.readers, left // 2 // (_SIDES * _READER_MB)))
    return ReadersShare(readers, (left - _SIDES * readers * _READER_MB) * _MIB)
