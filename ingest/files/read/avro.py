"""Avro object container files (https://avro.apache.org/docs/1.12.0/specification/#object-container-files)."""

import io
import zlib
from collections.abc import Iterator
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException

from core.errors import DecodeError, UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile
from ingest.decode.avro.sizes import check_sizes
from ingest.files.read.row import RowBatch, batched, json_text, without_non_finite

_DAMAGE: Final = (
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)
_READ_BYTES: Final = 1024 * 1024


def read_avro(store: ObjectStore, ref: ObjectRef) -> Iterator[RowBatch]:
    """Yield the records of an object, block by block; see `read_rows`.

    A file cut exactly between two blocks is a whole file to every reader: the format has no end mark.
    """
    with io.BufferedReader(PinnedFile(store, ref), _READ_BYTES) as raw:
        yield from batched(
            (number, json_text(without_non_finite(record))) for number, record in enumerate(_records(ref, raw), 1)
        )


def _records(ref: ObjectRef, raw: "io.BufferedReader[PinnedFile]") -> Iterator[Any]:
    try:
        reader = fastavro.reader(raw)
        named: dict[str, Any] = {}
        check_sizes(fastavro.parse_schema(reader.writer_schema, named), named, is_repeated=True)
        yield from reader
    except DecodeError as error:
        raise UnreadableError(f"{ref.uri}: {error}") from error
    # What a damaged file holds is taken for lengths, indexes and times, with whatever comes of that.
    except (*_DAMAGE, SchemaParseException, zlib.error) as error:
        raise UnreadableError(f"{ref.uri}: is not a whole Avro file: {error or type(error).__name__}") from error
