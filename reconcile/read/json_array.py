"""JSON files that are one array of objects (RFC 8259), taken apart without holding more than an object at a time."""

import io
import re
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.read.compression import READ_BYTES, open_plain
from reconcile.read.ndjson import LONGEST_ROW, read_records

_SPACE: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Up to the next bracket that is no part of a text; possessive, so that nothing is looked at twice.
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL)
_OPENS: Final = frozenset(b"{[")


def read_json_array(store: ObjectStore, ref: ObjectRef, columns: dict[str, DataType]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    Args:
        store: where the file lies.
        ref: the file; decompressed when it begins as gzip or Zstandard does.
        columns: the columns wanted, with their types; see `reconcile.read.ndjson.read_ndjson`.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is truncated, replaced or gone, is no array of objects, or a row does not fit.
    """
    with open_plain(store, ref) as plain:
        yield from read_records(ref, _elements(ref, plain), columns, "element")


def _elements(ref: ObjectRef, plain: "io.BufferedReader[Any]") -> Iterator[bytes]:
    """Yield the text of each element; whether it is well formed, its decoder will tell."""
    window = _Window(ref, plain)
    if window.next_mark() != b"[":
        raise _fault(ref, "it does not begin with [")
    window.drop(1)
    mark = window.next_mark()
    if mark != b"]":
        while True:
            yield window.take_element()
            mark = window.next_mark()
            if mark == b"]":
                break
            if mark != b",":
                raise _fault(ref, "elements are not separated by commas")
            window.drop(1)
    window.drop(1)
    if window.next_mark():
        raise _fault(ref, "something follows its last ]")


class _Window:
    """The part of a file that is being looked at."""

    def __init__(self, ref: ObjectRef, plain: "io.BufferedReader[Any]") -> None:
        self._ref = ref
        self._plain = plain
        self._text = plain.read(READ_BYTES).removeprefix(_BYTE_ORDER_MARK)
        self._at = 0

    def next_mark(self) -> bytes:
        """Skip white space; return the byte after it, or nothing at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at : self._at + 1]
            if not self._more():
                return b""

    def drop(self, count: int) -> None:
        self._at += count

    def take_element(self) -> bytes:
        """Return the object that begins after white space."""
        if self.next_mark() != b"{":
            raise _fault(self._ref, "an element is not an object, or the file is truncated")
        depth, at = 0, self._at
        while True:
            found = _TO_BRACKET.match(self._text, at)
            if found is None:
                # Only brackets that are passed for good are remembered; a text may reach into the next block.
                at -= self._at
                if not self._more():
                    raise _fault(self._ref, "it is truncated")
                at += self._at
                continue
            at = found.end()
            depth += 1 if self._text[at - 1] in _OPENS else -1
            if depth == 0:
                element = self._text[self._at : at]
                self._at = at
                return element

    def _more(self) -> bool:
        """Read on, dropping what was taken; return whether there was more."""
        left = self._text[self._at :]
        if len(left) > LONGEST_ROW:
            raise _fault(self._ref, f"an element has more than {LONGEST_ROW} bytes")
        data = self._plain.read(READ_BYTES)
        self._text, self._at = left + data, 0
        return bool(data)


def _fault(ref: ObjectRef, what: str) -> UnreadableError:
    return UnreadableError(f"{ref.uri}: is not a whole JSON array of objects: {what}")
