"""What the process keeps of memory that was freed."""

import ctypes
import functools
import os
import resource
import sys
from pathlib import Path
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""Of `malloc.h`; see mallopt(3)."""
_MIB: Final = 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


@functools.cache
def return_large_blocks() -> None:
    """Have glibc give every block of a MiB or more back to the system as soon as it is freed.

    By itself it raises that threshold to 32 MiB as such blocks come and go, and keeps them, torn, in an arena for every
    thread: the messages of the Storage Read API, some MiB each and held several times over while one is taken apart,
    leave behind more than is ever in use. Elsewhere than on glibc nothing is done.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MIB)


def resident_mb() -> int:
    """Return what the process holds resident, in MiB: now, or at most so far where the system tells no more."""
    if _STATM.exists():
        # The second number counts resident pages; see proc_pid_statm(5).
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // _MIB if sys.platform == "darwin" else peak // 1024
