"""Newline-delimited JSON (https://github.com/ndjson/ndjson-spec), plain, gzipped (RFC 1952) or Zstandard (RFC 8878)."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile
from ingest.files.read.row import RowBatch, batched

_READ_BYTES: Final = 1024 * 1024
_LONGEST_LINE: Final = 64 * 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def read_ndjson(store: ObjectStore, ref: ObjectRef) -> Iterator[RowBatch]:
    """Yield the lines of an object, byte by byte as they are; see `read_rows`. Empty lines are none."""
    try:
        with io.BufferedReader(PinnedFile(store, ref), _READ_BYTES) as raw, _plain(ref, raw) as source:
            yield from batched(_lines(ref, source))
    except (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException, OSError) as error:
        raise UnreadableError(f"{ref.uri}: is truncated or corrupt: {error}") from error


def _plain(ref: ObjectRef, raw: "io.BufferedReader[PinnedFile]") -> io.BufferedIOBase:
    start = raw.peek(len(_ZSTD_MAGIC))
    if start.startswith(_GZIP_MAGIC):
        return gzip.GzipFile(fileobj=raw)
    if start.startswith(_ZSTD_MAGIC):
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"), _READ_BYTES)
    if ref.path.lower().endswith((".gz", ".zst")):
        raise UnreadableError(f"{ref.uri}: is truncated or corrupt: it does not begin as its name says")
    if start.startswith(codecs.BOM_UTF8):
        raw.read(len(codecs.BOM_UTF8))
    return raw


def _lines(ref: ObjectRef, source: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := source.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise UnreadableError(f"{ref.uri}: line {number} has more than {_LONGEST_LINE} bytes")
        if text := line.strip():
            yield number, text
