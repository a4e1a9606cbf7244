"""Pages of a Parquet file, held against their checksums and their footer without being decoded.

DuckDB decodes a page whatever its checksum says. So the bytes of every page that is to be read are looked at once
before: the CRC-32 that the writer left in the page's header, the number of values that the footer promises, and that
the pages fill their column chunk exactly. Headers are Thrift structs in the compact protocol; see "parquet.thrift"
(PageHeader) in https://github.com/apache/parquet-format and "thrift-compact-protocol.md" in
https://github.com/apache/thrift.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import UnreadableError

_WINDOW: Final = 4 * 1024 * 1024
_LONGEST_HEADER: Final = 1024 * 1024
_CRC_MASK: Final = 0xFFFF_FFFF

_DATA, _INDEX, _DICTIONARY, _DATA_V2 = 0, 1, 2, 3
_COUNTED: Final = {_DATA: 5, _DATA_V2: 8}
"""Field of the page header that holds the header of its kind, whose first field is the number of values."""


@dataclass(frozen=True)
class Chunk:
    """The pages of one column in one row group.

    Attributes:
        start: offset of its first page in the file, in bytes.
        size: length of all its pages with their headers, in bytes.
        values: values in its data pages, by the footer; nulls count.
    """

    start: int
    size: int
    values: int


@dataclass(frozen=True)
class _Header:
    kind: int
    length: int
    size: int
    crc: int | None
    values: int


def verify(path: Path, chunks: tuple[Chunk, ...], where: str) -> None:
    """Hold pages against their checksums and their footer.

    Args:
        path: the file on disk.
        chunks: the column chunks that will be read.
        where: name of the file, for messages.

    Raises:
        UnreadableError: when a page is damaged, or the pages are not those that the footer describes.
    """
    try:
        with path.open("rb", buffering=0) as file:
            for chunk in chunks:
                values = sum(_checked(header, body) for header, body in _pages(file.fileno(), chunk))
                _agree(values, chunk)
    except (OSError, ValueError, IndexError) as error:
        raise UnreadableError(f"{where}: is not a whole Parquet file: {error}") from error


def _agree(values: int, chunk: Chunk) -> None:
    if values != chunk.values:
        raise ValueError(f"a column chunk holds {values} values and should hold {chunk.values}")


def _checked(header: _Header, body: memoryview) -> int:
    if header.crc is not None and zlib.crc32(body) != header.crc:
        raise ValueError("could not verify page integrity, CRC checksum verification failed")
    return header.values


def _pages(descriptor: int, chunk: Chunk) -> Iterator[tuple[_Header, memoryview]]:
    position, end = chunk.start, chunk.start + chunk.size
    begin, window = position, memoryview(b"")
    while position < end:
        header = _parsed(window[position - begin :])
        if header is None or position + header.length + header.size > begin + len(window):
            # A page that does not fit the window is read with what follows it, or alone when it is a long one.
            wanted = _WINDOW if header is None else max(_WINDOW, header.length + header.size)
            begin, window = position, memoryview(_read(descriptor, position, min(wanted, end - position)))
            header = _parsed(window)
            if header is None:
                raise ValueError("a page header is cut short")
            if header.length + header.size > len(window):
                if header.length + header.size > end - position:
                    raise ValueError("a page exceeds its column chunk")
                window = memoryview(_read(descriptor, position, header.length + header.size))
        first = position - begin + header.length
        yield header, window[first : first + header.size]
        position += header.length + header.size


def _read(descriptor: int, position: int, size: int) -> bytes:
    data = os.pread(descriptor, size, position)
    if len(data) != size:
        raise ValueError(f"ends before its footer says: {size} bytes at {position} are not all there")
    return data


def _parsed(window: memoryview) -> _Header | None:
    """Parse the page header at the start of a window; None when the window ends before it does."""
    try:
        return _header(window)
    except IndexError:
        if len(window) >= _LONGEST_HEADER:
            raise
        return None


def _header(data: memoryview) -> _Header:
    fields: dict[int, int] = {}
    values = position = field = 0
    while True:
        field, kind, position = _field(data, position, field)
        if kind == 0:
            break
        if kind in _INTEGERS:
            fields[field], position = _integer(data, position)
        elif kind == _STRUCT and field == _COUNTED.get(fields.get(1, -1)):
            values, position = _counted(data, position)
        else:
            position = _skip(data, position, kind)
    kind, size = fields.get(1, -1), fields.get(3, -1)
    if size < 0 or values < 0 or kind not in (_DATA, _INDEX, _DICTIONARY, _DATA_V2):
        raise ValueError("a page header makes no sense")
    crc = fields.get(4)
    return _Header(kind, position, size, None if crc is None else crc & _CRC_MASK, values)


def _counted(data: memoryview, position: int) -> tuple[int, int]:
    """Return the first field of a struct, which is a number, and where the struct ends."""
    values = field = 0
    while True:
        field, kind, position = _field(data, position, field)
        if kind == 0:
            return values, position
        if field == 1:
            values, position = _integer(data, position)
        else:
            position = _skip(data, position, kind)


_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)
_FIXED: Final = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}
"""Length of the values of some types, in bytes; as fields, booleans are all in their type."""
_LONG_LIST: Final = 15


def _field(data: memoryview, position: int, last: int) -> tuple[int, int, int]:
    """Return the number and type of a struct's next field, and where its value begins; type 0 ends the struct."""
    byte = data[position]
    position += 1
    kind, delta = byte & 0x0F, byte >> 4
    if kind == 0:
        return 0, 0, position
    if delta:
        return last + delta, kind, position
    number, position = _integer(data, position)
    return number, kind, position


def _integer(data: memoryview, position: int) -> tuple[int, int]:
    value, position = _unsigned(data, position)
    return (value >> 1) ^ -(value & 1), position


def _unsigned(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit of a varint
            return value, position
        shift += 7


def _skip(data: memoryview, position: int, kind: int) -> int:
    if kind in _FIXED:
        return position + _FIXED[kind]
    if kind in _INTEGERS:
        return _unsigned(data, position)[1]
    if kind == _BINARY:
        length, position = _unsigned(data, position)
        return position + length
    if kind in (_LIST, _SET):
        return _skip_list(data, position)
    if kind == _STRUCT:
        return _counted_end(data, position)
    raise ValueError("a page header makes no sense")


def _skip_list(data: memoryview, position: int) -> int:
    count, kind = data[position] >> 4, data[position] & 0x0F
    position += 1
    if count == _LONG_LIST:
        count, position = _unsigned(data, position)
    for _ in range(count):
        # Booleans in a list take a byte each; as fields, their type is their value.
        position = position + 1 if kind in (_TRUE, _FALSE) else _skip(data, position, kind)
    return position


def _counted_end(data: memoryview, position: int) -> int:
    field = 0
    while True:
        field, kind, position = _field(data, position, field)
        if kind == 0:
            return position
        position = _skip(data, position, kind)
