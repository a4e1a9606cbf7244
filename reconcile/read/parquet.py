"""Parquet files of a snapshot, in batches of bounded size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore, PinnedFile

_BATCH_ROWS: Final = 32_768


def read_schema(store: ObjectStore, ref: ObjectRef) -> pa.Schema:
    """Return the schema of a file from its footer alone.

    Args:
        store: where the file lies.
        ref: the file.

    Returns:
        Its Arrow schema.

    Raises:
        UnreadableError: when the file is not Parquet, truncated, replaced or gone.
    """
    with told(ref), open_parquet(store, ref) as file:
        return file.schema_arrow


def read_parquet(store: ObjectStore, ref: ObjectRef, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    One row group is fetched at a time, with a request for each run of adjacent columns; page checksums are
    verified wherever the writer left them.

    Args:
        store: where the file lies.
        ref: the file.
        columns: the columns wanted.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is not Parquet, truncated, corrupt, replaced or gone, or lacks a column.
    """
    with told(ref), open_parquet(store, ref) as file:
        check_columns(ref, file.schema_arrow, columns)
        for group in range(file.metadata.num_row_groups):
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(columns)):
                yield batch.select(list(columns))


@contextmanager
def told(ref: ObjectRef) -> Iterator[None]:
    """Turn the reader's errors into ours.

    Args:
        ref: the file that is read.

    Raises:
        UnreadableError: naming the file.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(f"{ref.uri}: is not a whole Parquet file: {error}") from error


def open_parquet(store: ObjectStore, ref: ObjectRef) -> pq.ParquetFile:
    """Open a file and read its footer.

    Args:
        store: where the file lies.
        ref: the file.

    Returns:
        The file, which verifies page checksums; a context manager.
    """
    return pq.ParquetFile(
        pa.PythonFile(PinnedFile(store, ref), mode="r"),
        page_checksum_verification=True,
        # INT96 of years outside 1677 to 2262 would wrap around as nanoseconds.
        coerce_int96_timestamp_unit="us",
        pre_buffer=True,
    )


def check_columns(ref: ObjectRef, schema: pa.Schema, columns: tuple[str, ...]) -> None:
    """Refuse a file that lacks a column, or has several of its name.

    Args:
        ref: the file.
        schema: its schema.
        columns: the columns wanted.

    Raises:
        UnreadableError: naming the column.
    """
    for name in columns:
        count = len(schema.get_all_field_indices(name))
        if count != 1:
            what = "has no column" if count == 0 else f"has {count} columns called"
            raise UnreadableError(f"{ref.uri}: {what} {name!r}; it has {', '.join(schema.names)}")
