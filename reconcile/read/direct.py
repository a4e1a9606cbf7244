"""A side whose Parquet files the engine scans as they are.

What the engine would not notice is checked before: that no page is damaged and every one is there (see
`reconcile.read.pages`), and that the object is still the version that was listed. Text that is not UTF-8 the engine
refuses by itself.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from core.errors import UnreadableError
from core.pinned import FileStore, ObjectRef, ObjectStore
from core.pinned.model import replaced
from reconcile.plans import PlannedColumn
from reconcile.read.filters import Condition
from reconcile.read.footers import Footer, Form, KeyGroup, read_footer
from reconcile.read.pages import Chunk, verify

_PIECE: Final = 8 * 1024 * 1024
_GAP: Final = 64 * 1024
_MAGIC: Final = 4
_TRAILER: Final = 8
"""Length of a footer's length and the magic number after it; see "File Format" in the specification of Parquet."""
_PATTERN_MARKS: Final = frozenset("*?[]{}")
"""What the engine would expand in the name of a file."""


@dataclass(frozen=True)
class DirectFile:
    """One file.

    Attributes:
        path: where it lies on disk.
        ref: the object it is, or is a copy of.
        rows: its rows, by its footer.
        groups: the first key column by row group; None when the footer leaves that open.
    """

    path: Path
    ref: ObjectRef
    rows: int
    groups: tuple[KeyGroup, ...] | None


@dataclass(frozen=True)
class Direct:
    """The rows of one side, in files that are scanned as they are.

    Attributes:
        contents: the files.
        forms: how every compared column is read.
        where: SQL of the filter; empty when there is none.
    """

    contents: tuple[DirectFile, ...]
    forms: tuple[Form, ...]
    where: str

    @property
    def files(self) -> tuple[Path, ...]:
        """The files on disk."""
        return tuple(file.path for file in self.contents)

    @property
    def rows(self) -> int:
        """Rows in all files, by their footers, before any filter."""
        return sum(file.rows for file in self.contents)

    @property
    def key_groups(self) -> tuple[tuple[KeyGroup, ...] | None, ...]:
        """The first key column by row group, of every file; None of one whose footer leaves that open."""
        return tuple(file.groups for file in self.contents)

    def only(self, contents: tuple[DirectFile, ...]) -> "Direct":
        """Return the side with some of its files."""
        return replace(self, contents=contents)


def read_footers(
    columns: tuple[PlannedColumn, ...],
    names: tuple[str, ...],
    where: tuple[Condition, ...],
    store: ObjectStore,
    refs: tuple[ObjectRef, ...],
    *,
    workers: int,
    absent_is_null: bool = False,
) -> tuple[Footer, ...] | None:
    """Read the footers of a side.

    Args:
        columns: the compared columns.
        names: their names in the files.
        where: conditions that rows must meet.
        store: where the files lie.
        refs: the files, pinned.
        workers: how many are read at once.
        absent_is_null: whether files may lack columns; those are read value by value.

    Returns:
        A footer each; None when some file must be read value by value.

    Raises:
        UnreadableError: when a file is not Parquet, truncated, replaced or gone, or lacks a column.
    """
    if isinstance(store, FileStore) and any(_PATTERN_MARKS & set(str(store.root / ref.path)) for ref in refs):
        return None
    read = partial(read_footer, columns, names, where, store, absent_is_null=absent_is_null)
    with ThreadPoolExecutor(workers, thread_name_prefix="reconcile-footer") as pool:
        footers = list(pool.map(read, refs))
    found = tuple(footer for footer in footers if footer is not None)
    # The engine would convert what one file holds in another type to the type of the first.
    return found if len(found) == len(refs) and len({footer.forms for footer in found}) == 1 else None


def read_direct(
    footers: tuple[Footer, ...],
    where: tuple[Condition, ...],
    store: ObjectStore,
    folder: Path,
    *,
    workers: int,
    stop: threading.Event,
    on_rows: Callable[[int], None],
) -> Direct:
    """Make a side ready to be scanned, every page that will be read verified.

    Files of this machine stay where they are. Of others, the column chunks that are read come to scratch space, each
    at its own offset, so that what is not compared is not fetched.

    Args:
        footers: what the footers say.
        where: conditions that rows must meet.
        store: where the files lie.
        folder: scratch space; it must exist.
        workers: how many files are read at once.
        stop: set to give up early, by whoever; it is set here when a file fails. What is returned after that is
            incomplete.
        on_rows: told of rows as their pages are verified.

    Returns:
        The side.

    Raises:
        UnreadableError: when a file is truncated, damaged, replaced or gone.
    """

    def ready(numbered: tuple[int, Footer]) -> DirectFile | None:
        number, footer = numbered
        if stop.is_set():
            return None
        finished = False
        try:
            path = _on_disk(store, footer, folder / f"{number:06}.parquet")
            verify(path, footer.chunks, footer.ref.uri)
            check_unchanged(store, footer.ref)
            on_rows(footer.rows_read)
            finished = True
            return DirectFile(path, footer.ref, footer.rows, footer.groups)
        finally:
            if not finished:
                stop.set()

    with ThreadPoolExecutor(workers, thread_name_prefix="reconcile-verify") as pool:
        ready_files = list(pool.map(ready, enumerate(footers)))
    tests = " and ".join(condition.duckdb() for condition in where)
    return Direct(tuple(file for file in ready_files if file is not None), footers[0].forms, tests)


def check_unchanged(store: ObjectStore, ref: ObjectRef) -> None:
    """Refuse a file of this machine that is no longer the one that was listed; others were copied.

    Args:
        store: where it lies.
        ref: the version that was listed.

    Raises:
        UnreadableError: when it was replaced or removed.
    """
    if isinstance(store, FileStore) and store.look_up(ref.path).etag != ref.etag:
        raise replaced(ref.uri)


def _on_disk(store: ObjectStore, footer: Footer, path: Path) -> Path:
    if isinstance(store, FileStore):
        return store.root / footer.ref.path
    size = footer.ref.size
    try:
        with path.open("wb", buffering=0) as file:
            # What lies between the pieces stays a hole, which takes no room.
            os.ftruncate(file.fileno(), size)
            for start, end in _ranges(footer.chunks, size - footer.size - _TRAILER, size):
                for first in range(start, end, _PIECE):
                    data = store.read(footer.ref, first, min(_PIECE, end - first))
                    os.pwrite(file.fileno(), data, first)
    except OSError as error:
        raise UnreadableError(
            f"{footer.ref.uri}: cannot be copied to scratch space: {error.strerror}; point TMPDIR at a larger disk"
        ) from error
    return path


def _ranges(chunks: tuple[Chunk, ...], footer: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield what to fetch: the magic number, the chunks, neighbours joined, and the footer."""
    parts = sorted([(0, min(_MAGIC, size)), *((c.start, c.start + c.size) for c in chunks), (max(0, footer), size)])
    start, end = parts[0]
    for first, last in parts[1:]:
        if first > end + _GAP:
            yield start, end
            start, end = first, last
        else:
            end = max(end, last)
    yield start, end
