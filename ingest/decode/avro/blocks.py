"""The one record of an Avro object container file, out of its compression and still in Avro's binary form.

The format is described in https://avro.apache.org/docs/1.12.0/specification/#object-container-files. Blocks are taken
apart here rather than by the Avro library, which decompresses whatever it finds: a message of a few kilobytes may hold
gigabytes of zeros.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from core.errors import DecodeError

MAGIC: Final = b"Obj\x01"
"""The first bytes of every container."""

MAX_RECORD_BYTES: Final = 10_000_000
"""What a record may take in binary form: no more than Pub/Sub would carry of it without compression."""

DAMAGE: Final = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RecursionError,
    SchemaParseException, StopIteration, TypeError, UnknownType, ValueError, lzma.LZMAError, zlib.error,
)  # fmt: skip
"""What the library raises for bytes that are no Avro, or were not written by the schema."""

_SYNC_BYTES: Final = 16
_LONG_BYTES: Final = 10
_RAW_DEFLATE: Final = -15


class ContainedRecord(NamedTuple):
    """The record of a container that holds one.

    Attributes:
        data: the record in binary form.
        schema: what it was written by, as the library has parsed it.
        schema_text: the same as the container spells it.
    """

    data: bytes
    schema: Any
    schema_text: str


def contained_record(data: bytes) -> ContainedRecord:
    """Take the one record out of a container.

    Args:
        data: the container.

    Returns:
        The record. Whether the schema fits it is for the reader to see.

    Raises:
        DecodeError: `invalid_avro`; `batch_of_rows` when it holds more than one record; `too_large` when it would take
            more than `MAX_RECORD_BYTES`; `unsupported_codec`.
    """
    stream = io.BytesIO(data)
    try:
        header = fastavro.block_reader(stream)
        codec, text = header.metadata.get("avro.codec", "null"), header.metadata["avro.schema"]
        blocks = [(count, block) for count, block in _blocks(data, stream.tell()) if count]
    except DAMAGE as error:
        raise DecodeError("invalid_avro", f"the Avro container cannot be read: {type(error).__name__}") from error
    count = sum(count for count, _ in blocks)
    if count != 1:
        reason = "batch_of_rows" if count > 1 else "invalid_avro"
        raise DecodeError(reason, f"the Avro container holds {count} events; publish one event a message")
    decompress = _CODECS.get(codec)
    if decompress is None:
        raise DecodeError("unsupported_codec", f"the Avro container is not compressed by any of {', '.join(_CODECS)}")
    try:
        # One byte more tells whether there is more, and is all that is ever made of it.
        record = decompress(blocks[0][1], MAX_RECORD_BYTES + 1)
    except DAMAGE as error:
        raise DecodeError("invalid_avro", f"the Avro container cannot be read: {type(error).__name__}") from error
    if len(record) > MAX_RECORD_BYTES:
        raise DecodeError("too_large", f"the record in the Avro container has more than {MAX_RECORD_BYTES} bytes")
    return ContainedRecord(record, header.writer_schema, text)


def _blocks(data: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks behind the header, each as the number of its records and its bytes as they are stored.

    Raises:
        ValueError: when they do not fill the container.
    """
    sync = data[place - _SYNC_BYTES : place]
    while place < len(data):
        count, place = _long(data, place)
        size, place = _long(data, place)
        end = place + size
        if count < 0 or size < 0 or data[end : end + _SYNC_BYTES] != sync:
            raise ValueError("a block does not end where it says")
        yield count, data[place:end]
        place = end + _SYNC_BYTES


def _long(data: bytes, place: int) -> tuple[int, int]:
    """Read a number (zigzag, seven bits a byte) and return it with the place behind it."""
    value = 0
    for index, byte in enumerate(data[place : place + _LONG_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), place + index + 1
    raise ValueError("a number does not end")


def _stored(block: bytes, most: int) -> bytes:
    return block[:most]


def _deflate(block: bytes, most: int) -> bytes:
    return zlib.decompressobj(_RAW_DEFLATE).decompress(block, most)


def _bzip2(block: bytes, most: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(block, most)


def _xz(block: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=8 * MAX_RECORD_BYTES).decompress(block, most)


_CODECS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "null": _stored,
    "deflate": _deflate,
    "bzip2": _bzip2,
    "xz": _xz,
}
"""How a block is decompressed, into so many bytes at most. Each is of the standard library, which can be bounded."""
