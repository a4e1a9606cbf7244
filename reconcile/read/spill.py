"""Scratch space: the rows of one side as Parquet files that the engine joins without holding them.

Units of reading (a file, a stream) are shared out among a few workers; each writes one file, a row group
at a time, so memory is bounded by the workers and not by the rows.
"""

import errno
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import UnreadableError
from reconcile.read.footers import KeyGroup
from reconcile.read.heap import return_large_blocks

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HELD_ROWS: Final = 65_536
_HELD_BYTES: Final = 16 * 1024 * 1024
_GROUP_ROWS: Final = 16_384
"""Rows of a row group: few, so that a range of keys reads little that is not of it."""

_ORDERED: Final = frozenset({pa.int64(), pa.string(), pa.date32()})
"""Types of scratch space whose order in Arrow is the engine's and Python's; see `reconcile.read.footers.KEY_TYPES`."""

Unit = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Spill:
    """The rows of one side.

    Attributes:
        files: Parquet files of one schema; at least one, if only without rows.
        rows: rows in all of them.
        groups: the first key column by row group, a tuple for each file; None for a file of which it is not known.
            Empty when it is known of none.
        size: bytes of all rows in memory; 0 when it is not known.
    """

    files: tuple[Path, ...]
    rows: int
    groups: tuple[tuple[KeyGroup, ...] | None, ...] = ()
    size: int = 0

    @property
    def key_groups(self) -> tuple[tuple[KeyGroup, ...] | None, ...]:
        """The first key column by row group, of every file; None of one of which it is not known."""
        return self.groups or (None,) * len(self.files)


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
    return_large_blocks()
    pending: queue.SimpleQueue[Unit] = queue.SimpleQueue()
    for unit in units:
        pending.put(unit)
    paths = [folder / f"{number:03}.parquet" for number in range(max(1, min(workers, len(units))))]
    with ThreadPoolExecutor(len(paths), thread_name_prefix="reconcile-read") as pool:
        works = [pool.submit(_work, pending, schema, path, stop, on_rows) for path in paths]
        written = [work.result() for work in works]
    # Arrow keeps what it freed, and the engine's memory would come on top of it.
    pa.default_memory_pool().release_unused()
    return Spill(
        files=tuple(paths),
        rows=sum(file.rows for file in written),
        groups=tuple(file.groups for file in written),
        size=sum(file.size for file in written),
    )


@dataclass(frozen=True)
class _Written:
    """One file, written."""

    rows: int
    groups: tuple[KeyGroup, ...] | None
    size: int


def _work(
    pending: "queue.SimpleQueue[Unit]",
    schema: pa.Schema,
    path: Path,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> _Written:
    finished = False
    try:
        written = _written(pending, schema, path, stop, on_rows)
    except OSError as error:
        if error.errno in _FULL:
            raise UnreadableError(
                f"scratch space is full ({path.parent}): point TMPDIR at a larger disk, or split the run into shards"
            ) from error
        raise
    else:
        finished = True
        return written
    finally:
        if not finished:
            stop.set()


def _written(
    pending: "queue.SimpleQueue[Unit]",
    schema: pa.Schema,
    path: Path,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> _Written:
    with _Writer(path, schema) as writer:
        for batch in _batches(pending, stop):
            rows = batch.num_rows
            writer.write(batch)
            # What was written may be the last of a message of many MiB, and the next one is made before it is replaced.
            del batch
            on_rows(rows)
    return _Written(writer.rows, writer.groups, writer.size)


def _batches(pending: "queue.SimpleQueue[Unit]", stop: threading.Event) -> Iterator[pa.RecordBatch]:
    while not stop.is_set():
        try:
            unit = pending.get_nowait()
        except queue.Empty:
            return
        yield from itertools.takewhile(lambda _: not stop.is_set(), unit())


class _Writer:
    """Collects batches, however small, into row groups worth scanning."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(
            path,
            schema,
            # Encoded for speed: the files live for seconds and are read once or twice.
            compression="lz4",
            use_dictionary=False,
            store_schema=False,
            # By them the engine finds a range of keys in few row groups.
            write_statistics=schema.names[:1],
        )
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._groups: list[KeyGroup | None] = []
        self.rows = 0
        self.size = 0

    @property
    def groups(self) -> tuple[KeyGroup, ...] | None:
        """The first key column by row group; None when some group has no order that the engine shares."""
        known = tuple(group for group in self._groups if group is not None)
        return known if len(known) == len(self._groups) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
            self._writer.close()
            return
        # What failed is told, and not what then cannot be written either; the file is dropped.
        self._held = []
        with suppress(OSError, pa.ArrowException):
            self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        self.size += batch.nbytes
        if self._held_rows >= _HELD_ROWS or self._held_bytes >= _HELD_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held_rows:
            table = pa.Table.from_batches(self._held, self._schema)
            key = table.column(0)
            self._groups += [_key_group(key[first : first + _GROUP_ROWS]) for first in range(0, len(key), _GROUP_ROWS)]
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)
        self._held, self._held_rows, self._held_bytes = [], 0, 0


def _key_group(key: pa.ChunkedArray) -> KeyGroup | None:
    if key.null_count or key.type not in _ORDERED:
        return None
    found = pc.min_max(key).as_py()
    return KeyGroup(found["min"], found["max"], len(key))
