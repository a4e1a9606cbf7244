"""The guard before the CSV parser: what RFC 4180 forbids and parsers take for something else is refused.

DuckDB and Arrow both take a quote that is never closed for text up to the end of the file, so that a truncated file
would read as fewer rows; Arrow takes quotes in the middle of a field as they stand and a blank line for a row of nulls.
Arrow also reads a file up to 32 blocks ahead of whoever takes its rows (`arrow::MakeBackgroundGenerator`), so it is
given one piece of whole rows after the other instead.
"""

import io
from collections.abc import Iterator
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


class Guard:
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
        self._ref = ref
        self._source = source
        kept = frozenset(delimiter.encode() + _QUOTE + b"\r\n")
        self._kinds = bytes(byte if byte in kept else _OTHER[0] for byte in range(256))
        self._columns = columns
        self._is_inside = False
        self._outside = b""
        self._last = b"\n"

    def pieces(self, block: int, longest: int) -> Iterator[bytes]:
        """Yield the file in pieces of whole rows, which together are the file.

        Args:
            block: how many bytes are read at once.
            longest: how many bytes a row may have.

        Raises:
            UnreadableError: when it is not well formed, or a row is longer.
        """
        rest = b""
        while data := self._source.read(block):
            end = self._row_end(data)
            self._check(data)
            self._last = data[-1:]
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
            if len(rest) > longest:
                raise self._fault(f"a row is longer than {longest:,} bytes")
        self._finish()
        if rest:
            yield rest

    def _row_end(self, data: bytes) -> int:
        """Return how much of the data the last end of a row leaves behind it; 0 when none ends in it."""
        # Where lines end in a carriage return alone, the last byte may still be half of an end.
        return self._behind_last(b"\n", data) or self._behind_last(b"\r", data[:-1])

    def _behind_last(self, end: bytes, data: bytes) -> int:
        parts = data.split(_QUOTE)
        position = len(data)
        for number in reversed(range(len(parts))):
            position -= len(parts[number])
            if (number % 2 == 1) == self._is_inside and (found := parts[number].rfind(end)) >= 0:
                return position + found + len(end)
            position -= len(_QUOTE)
        return 0

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
