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
_OTHER: Final = b"\0"
"""Stands for whatever ends no field."""
_MISPLACED: Final = (_QUOTE + _OTHER, _OTHER + _QUOTE)
_TAIL: Final = 2
"""Bytes that decide with those after them: the longest fault has one more."""


class Guard(io.RawIOBase):
    """A CSV file, checked as it is read through.

    What is checked is the file without what stands within quotes, of which the opening quote is left: quotes must
    touch delimiters and ends of lines there, or each other, where one was doubled.

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
        kept = frozenset(delimiter.encode() + _QUOTE + b"\r\n")
        self._kinds = bytes(byte if byte in kept else _OTHER[0] for byte in range(256))
        self._columns = columns
        self._is_inside = False
        self._outside = b""
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
        parts = data.split(_QUOTE)
        outside = parts[1 if self._is_inside else 0 :: 2]
        if len(parts) % 2 == 0:
            self._is_inside = not self._is_inside
        found = _QUOTE.join(outside) + (_QUOTE if self._is_inside and outside else b"")
        text = self._outside + found.translate(self._kinds)
        if any(fault in text for fault in _MISPLACED):
            raise self._fault("a quote stands in the middle of a field")
        if self._columns > 1 and any(blank in text for blank in _BLANK_LINES):
            raise self._fault("a line is blank")
        self._outside = text[-_TAIL:]

    def _finish(self) -> None:
        if self._is_inside:
            raise self._fault("a quote is never closed")
        if self._last not in (b"\n", b"\r"):
            raise self._fault("the last line does not end")

    def _fault(self, what: str) -> UnreadableError:
        return UnreadableError(f"{self._ref.uri}: is not a whole CSV file (RFC 4180): {what}")
