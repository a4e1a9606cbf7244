"""The guard before the CSV parser: what RFC 4180 forbids and parsers take for something else is refused.

DuckDB and Arrow both take a quote that is never closed for text up to the end of the file, so that a truncated file
would read as fewer rows; Arrow takes quotes in the middle of a field as they stand and a blank line for a row of nulls.
"""

import io
from typing import Any, Final

from core.errors import UnreadableError
from core.pinned import ObjectRef

_QUOTE: Final = b'"'
_BLANK_LINES: Final = (b"\n\n", b"\n\r\n", b"\r\r")
_TAIL: Final = 3


class Guard(io.RawIOBase):
    """A CSV file, checked as it is read through.

    Args:
        ref: the file, for messages.
        source: its text.
        delimiter: what stands between fields.
        columns: how many fields a row has; with one, a blank line is a row.
    """

    def __init__(self, ref: ObjectRef, source: "io.BufferedReader[Any]", delimiter: str, columns: int) -> None:
        super().__init__()
        self._ref = ref
        self._source = source
        self._ends = frozenset(delimiter.encode() + b"\r\n")
        self._columns = columns
        self._is_inside = False
        self._is_first = True
        self._segment = b""
        self._last = b"\n"

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with text that is well formed so far; return how many bytes were there."""
        data = self._source.read(len(buffer))
        if data:
            self._check(data)
            self._last = data[-1:]
        else:
            self._finish()
        buffer[: len(data)] = data
        return len(data)

    def _check(self, data: bytes) -> None:
        """Look at what stands outside of quotes: it must touch them with a delimiter or the end of a line only."""
        parts = data.split(_QUOTE)
        parts[0] = self._segment + parts[0]
        first_outside = 1 if self._is_inside else 0
        outside = parts[first_outside::2]
        ends_outside = (len(parts) - 1) % 2 == first_outside
        begins_here = first_outside == 1 or not self._is_first
        closed = outside[:-1] if ends_outside else outside
        self._check_segments(closed, begins_after_quote=begins_here)
        if ends_outside:
            self._check_blank(outside[-1])
        if len(parts) > 1:
            self._is_first = False
        self._is_inside = not ends_outside
        self._segment = _summary(outside[-1]) if ends_outside else b""

    def _check_segments(self, closed: list[bytes], *, begins_after_quote: bool) -> None:
        """Check segments that end at a quote; all but the first of the file also begin after one."""
        for number, segment in enumerate(dict.fromkeys(closed) if begins_after_quote else closed):
            if not segment:
                continue
            touches = (begins_after_quote or number > 0, segment[0] in self._ends, segment[-1] in self._ends)
            if (touches[0] and not touches[1]) or not touches[2]:
                raise self._fault("a quote stands in the middle of a field")
            self._check_blank(segment)

    def _check_blank(self, segment: bytes) -> None:
        if self._columns > 1 and any(blank in segment for blank in _BLANK_LINES):
            raise self._fault("a line is blank")

    def _finish(self) -> None:
        if self._is_inside:
            raise self._fault("a quote is never closed")
        if not self._is_first and self._segment and self._segment[0] not in self._ends:
            raise self._fault("a quote stands in the middle of a field")
        if self._last not in (b"\n", b"\r"):
            raise self._fault("the last line does not end")

    def _fault(self, what: str) -> UnreadableError:
        return UnreadableError(f"{self._ref.uri}: is not a whole CSV file (RFC 4180): {what}")


def _summary(segment: bytes) -> bytes:
    """Return what later checks need to know of an open segment: how it begins, and its last bytes."""
    # Something that ends no line stands for what is left out.
    return segment if len(segment) <= _TAIL else segment[:1] + b"x" + segment[-_TAIL:]
