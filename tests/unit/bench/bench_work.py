"""Work for contenders, in a module that a new process imports quickly."""

from bench.measure import start
from bench.result import Run


def burn(turns: int) -> Run:
    began = start()
    total = 0
    for number in range(turns):
        total += number * number
    return began.stop(turns)


def hoard(mebibytes: int) -> Run:
    began = start()
    kept = bytearray(mebibytes * 1024 * 1024)
    kept[::4096] = b"x" * len(kept[::4096])
    return began.stop(len(kept))
