"""Scratch space: the rows of one side as Parquet files that the engine joins without holding them.

Units of reading (a file, a stream) are shared out among a few workers; each writes one file, a row group
at a time, so memory is bounded by the workers and not by the rows.
"""

import errno
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UnreadableError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 16 * 1024 * 1024

Unit = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Spill:
    """The rows of one side.

    Attributes:
        files: Parquet files of one schema; at least one, if only without rows.
        rows: rows in all of them.
    """

    files: tuple[Path, ...]
    rows: int


def spill(
    units: Sequence[Unit],
    schema: pa.Schema,
    folder: Path,
    *,
    workers: int,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> Spill:
    """Read every unit and write its rows to scratch space.

    Args:
        units: each yields batches of `schema`.
        schema: columns of the files.
        folder: where to write; it must exist and be empty.
        workers: how many units are read at once.
        stop: set to give up early, by whoever; it is set here when a unit fails. What is returned after that is
            incomplete.
        on_rows: told of rows as they are written.

    Returns:
        The files.

    Raises:
        UnreadableError: when scratch space is full.
        Exception: the first fault of any unit, as it was; the other units are then given up.
    """
    pending: queue.SimpleQueue[Unit] = queue.SimpleQueue()
    for unit in units:
        pending.put(unit)
    paths = [folder / f"{number:03}.parquet" for number in range(max(1, min(workers, len(units))))]
    with ThreadPoolExecutor(len(paths), thread_name_prefix="reconcile-read") as pool:
        works = [pool.submit(_work, pending, schema, path, stop, on_rows) for path in paths]
        rows = sum(work.result() for work in works)
    # Arrow keeps what it freed, and the engine's memory would come on top of it.
    pa.default_memory_pool().release_unused()
    return Spill(tuple(paths), rows)


def _work(
    pending: "queue.SimpleQueue[Unit]",
    schema: pa.Schema,
    path: Path,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> int:
    finished = False
    try:
        rows = _written(pending, schema, path, stop, on_rows)
    except OSError as error:
        if error.errno in _FULL:
            raise UnreadableError(
                f"scratch space is full ({path.parent}): point TMPDIR at a larger disk, or split the run into shards"
            ) from error
        raise
    else:
        finished = True
        return rows
    finally:
        if not finished:
            stop.set()


def _written(
    pending: "queue.SimpleQueue[Unit]",
    schema: pa.Schema,
    path: Path,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> int:
    with _Writer(path, schema) as writer:
        for batch in _batches(pending, stop):
            writer.write(batch)
            on_rows(batch.num_rows)
    return writer.rows


def _batches(pending: "queue.SimpleQueue[Unit]", stop: threading.Event) -> Iterator[pa.RecordBatch]:
    while not stop.is_set():
        try:
            unit = pending.get_nowait()
        except queue.Empty:
            return
        for batch in unit():
            if stop.is_set():
                return
            yield batch


class _Writer:
    """Collects batches, however small, into row groups worth scanning."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        # Encoded for speed: the files live for seconds and are read once or twice.
        self._writer = pq.ParquetWriter(
            path, schema, compression="lz4", use_dictionary=False, write_statistics=False, store_schema=False
        )
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
        self._held, self._held_rows, self._held_bytes = [], 0, 0
