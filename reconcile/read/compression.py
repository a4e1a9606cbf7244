"""Files as they are or compressed: gzip (RFC 1952) and Zstandard (RFC 8878), told by how they begin."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile

READ_BYTES: Final = 4 * 1024 * 1024
_MAGIC: Final = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
SUFFIXES: Final = tuple(_MAGIC)
"""How the names of compressed files end."""
_NAMES: Final = {".gz": "gzip", ".zst": "Zstandard"}


@contextmanager
def open_plain(store: ObjectStore, ref: ObjectRef) -> "Iterator[io.BufferedReader[Any]]":
    """Open a file and decompress it as it is read.

    Args:
        store: where the file lies.
        ref: the file; decompressed when it begins as gzip or Zstandard does.

    Yields:
        A reader of what was compressed; it raises `UnreadableError` where the file is truncated or corrupt.

    Raises:
        UnreadableError: when the file's name promises a compression that its first bytes do not show.
    """
    with io.BufferedReader(PinnedFile(store, ref), READ_BYTES) as raw:
        begins = raw.peek(4)
        found = next((suffix for suffix, magic in _MAGIC.items() if begins.startswith(magic)), None)
        promised = next((suffix for suffix in SUFFIXES if ref.path.endswith(suffix)), None)
        if promised and found != promised:
            raise UnreadableError(f"{ref.uri}: is truncated or corrupt: it does not begin as {_NAMES[promised]} does")
        if found is None:
            yield raw
        else:
            source = gzip.GzipFile(fileobj=raw) if found == ".gz" else _zstandard(raw)
            with io.BufferedReader(_Decompressed(ref, source), READ_BYTES) as plain:
                yield plain


def _zstandard(raw: "io.BufferedReader[Any]") -> pa.NativeFile:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")


class _Decompressed(io.RawIOBase):
    """What a decompressor yields; its faults are ours."""

    def __init__(self, ref: ObjectRef, source: Any) -> None:
        super().__init__()
        self._ref = ref
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise UnreadableError(f"{self._ref.uri}: is truncated or corrupt: {error}") from error
        buffer[: len(data)] = data
        return len(data)
