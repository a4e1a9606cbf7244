"""Rows of an object, in its order and in bounded memory, one module per format."""

from collections.abc import Callable, Iterator
from typing import Final

from core.errors import DecodeError
from core.pinned import ObjectRef, ObjectStore
from ingest.files.read.avro import read_avro
from ingest.files.read.ndjson import read_ndjson
from ingest.files.read.parquet import read_parquet
from ingest.files.read.row import RowBatch

__all__ = ["FORMATS", "RowBatch", "read_rows"]

FORMATS: Final[dict[str, Callable[[ObjectStore, ObjectRef], Iterator[RowBatch]]]] = {
    ".ndjson": read_ndjson,
    ".jsonl": read_ndjson,
    ".json": read_ndjson,
    ".avro": read_avro,
    ".parquet": read_parquet,
}
"""Readers by the ending of an object's name; that of NDJSON may be followed by `.gz` or `.zst`."""

_COMPRESSED: Final = (".gz", ".zst")


def read_rows(store: ObjectStore, ref: ObjectRef) -> Iterator[RowBatch]:
    """Yield the rows of an object as JSON texts.

    Args:
        store: where it lies.
        ref: the object, in one version.

    Yields:
        A few hundred rows at a time, each with its number from 1.

    Raises:
        DecodeError: `unknown_format` when the name's ending is none of `FORMATS`.
        UnreadableError: when the object is truncated, corrupt, replaced or gone.
    """
    name = ref.path.lower()
    plain = next((name.removesuffix(ending) for ending in _COMPRESSED if name.endswith(ending)), name)
    for ending, reader in FORMATS.items():
        if plain.endswith(ending) and (plain == name or reader is read_ndjson):
            yield from reader(store, ref)
            return
    endings = ", ".join(FORMATS)
    raise DecodeError("unknown_format", f"{ref.uri}: its name ends in none of {endings} (NDJSON also .gz, .zst)")
