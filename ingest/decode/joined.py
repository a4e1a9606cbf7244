"""Parsing many JSON texts by one call, such that none of them can reach into its neighbour.

The texts are joined to one array with a separator between each two: `[a,N,b,N,c]`, where N is a number that is drawn
once the texts are there, so that none of them can foresee it. What was parsed is believed only if every second value of
it is N, and there are as many values as there must be.

Then every text is one value, by counting. N stands in the document only where it was put, n - 1 times for n texts. A
separator that stands in a string, an array or an object, because a text left one open, is not a value of the array
itself, so that one N too few is found. If none is missing, the values between two of them are those of the text that
stands there; and if every second value is N, each text has one. It is the value that the text has alone, since no other
text has a part in it.
"""

from collections.abc import Callable, Sequence
from secrets import randbits
from typing import Any, Final

import msgspec

CHUNK: Final = 64
"""Texts joined at once. Between 32 and 128 it makes no odds. All of a batch of 500 takes longer than one by one: what
is parsed then no longer comes from memory that was freed just now, and is still in the processor's cache."""

LARGEST: Final = 16_384
"""Longer texts, in bytes, are left out of a chunk that is over a MiB, so that joining never takes more memory."""

LEFT_OUT: Final = b"0"
"""What stands for a text that is to be read on its own, and is parsed as the number it is."""

LONGEST_PAUSE: Final = 15
"""Chunks that are read one by one at most before joining is tried again."""

_SEPARATOR_BITS: Final = 63

JoinedParser = Callable[[bytes], list[Any]]
"""Parses an array of values of one class, and of numbers."""


def joined_parser(element: type) -> JoinedParser:
    """Return what parses joined texts.

    Args:
        element: the class of the value of every text.

    Returns:
        The parser; it raises what a parser of `msgspec` does.
    """
    return msgspec.json.Decoder(list[element | int]).decode  # type: ignore[valid-type]  # msgspec reads it at run time


def new_separator() -> int:
    """Return a number that no text which is there by now can foresee; every batch takes a new one."""
    return randbits(_SEPARATOR_BITS)


def join(texts: Sequence[bytes], separator: int) -> bytes:
    """Join texts to one array.

    Args:
        texts: one at least, up to `CHUNK`; long ones are left out, if they are long together.
        separator: a new one.

    Returns:
        The array, if every text is JSON.
    """
    parts = [*texts]
    if sum(map(len, parts)) > CHUNK * LARGEST:
        parts = [text if len(text) <= LARGEST else LEFT_OUT for text in parts]
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return (b",%d," % separator).join(parts)


def part(values: list[Any], count: int, separator: int) -> list[Any]:
    """Return the value of every text, once it is certain which is whose.

    Args:
        values: the array as it was parsed.
        count: how many texts were joined.
        separator: what stands between them.

    Returns:
        As many values, in the order of the texts; a number for one that is to be read on its own.

    Raises:
        LookupError: when it cannot be told which value is whose.
    """
    if len(values) != 2 * count - 1 or values[1::2].count(separator) != count - 1:
        raise LookupError
    return values[::2]


class Backoff:
    """Tells when joining is worth a try: less often the more often in a row it failed.

    A chunk that cannot be read joined costs the attempt beside what it costs one by one. That is little for a broken
    message now and then, and a third of all reading where there is one in each chunk.
    """

    def __init__(self) -> None:
        """Begin with a try."""
        self._pause = self._left = 0

    def is_due(self) -> bool:
        """Whether to join the next chunk."""
        if self._left:
            self._left -= 1
            return False
        return True

    def succeeded(self) -> None:
        """Take note that a chunk could be read joined."""
        self._pause = 0

    def failed(self) -> None:
        """Take note that a chunk could not: the first time in a row without consequence, then for ever longer."""
        self._left = self._pause
        self._pause = min(2 * self._pause + 1, LONGEST_PAUSE)
