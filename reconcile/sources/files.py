"""Files on S3, on Cloud Storage or on disk, in any of the formats, each read only while it is the version listed."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.compare.tree import Leaves
from reconcile.plans import FileSet, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.read.avro import read_avro, read_avro_schema
from reconcile.read.csv_files import read_csv
from reconcile.read.direct import Direct, check_unchanged, read_direct, read_footers
from reconcile.read.footers import Footer
from reconcile.read.json_array import read_json_array
from reconcile.read.ndjson import read_ndjson
from reconcile.read.parquet import open_parquet, read_parquet, read_schema, told
from reconcile.read.text import ARROW, batch_of, from_text
from reconcile.source_config import FileFormat
from reconcile.sources.arrow_types import data_type_of
from reconcile.sources.checksums import local_checksums
from reconcile.sources.model import EVERY_ROW, Part, Pin, Predicate, Rows, Wanted
from reconcile.sources.predicates import constant_types, kept

_Reader = Callable[[ObjectStore, ObjectRef, dict[str, DataType], FileSet], Iterator[pa.RecordBatch]]


_READERS: Final[dict[FileFormat, _Reader]] = {
    "parquet": lambda store, ref, columns, _: read_parquet(store, ref, tuple(columns)),
    "ndjson": lambda store, ref, columns, _: read_ndjson(store, ref, columns),
    "json": lambda store, ref, columns, _: read_json_array(store, ref, columns),
    "avro": lambda store, ref, columns, _: read_avro(store, ref, columns),
    "csv": lambda store, ref, columns, files: read_csv(store, ref, columns, files.csv),
}


@dataclass(frozen=True)
class FileSource:
    """Files that together hold a table.

    Attributes:
        store: where they lie.
        files: which they are, pinned.
    """

    store: ObjectStore
    files: FileSet

    @property
    def pin(self) -> Pin:
        """See `Source.pin`."""
        return Pin(words=self.files.words, objects=self.files.objects)

    def schema(self) -> dict[str, DataType | None]:
        """See `Source.schema`; of the first file, the others are held against it as they are read."""
        found = self.arrow_schema()
        if found is None:
            raise UnreadableError(
                f"{self.files}: {self.files.format} says nothing of types; name a contract for the comparison"
            )
        return {field.name: data_type_of(field.type) for field in found}

    def arrow_schema(self) -> pa.Schema | None:
        """Return the Arrow schema of the table, or of the first file; None when the format has none.

        Raises:
            UnreadableError: when the file is truncated, replaced or gone.
        """
        if self.files.declared is not None:
            return self.files.declared
        first = self.files.objects[0]
        if self.files.format == "parquet":
            return read_schema(self.store, first)
        return read_avro_schema(self.store, first) if self.files.format == "avro" else None

    def count(self, predicate: Predicate = EVERY_ROW) -> int:
        """See `Source.count`; from the footers alone where they tell."""
        if self.files.format == "parquet" and predicate == EVERY_ROW and not self.files.selections:
            tally = _Tally(self.files)
            for ref in self.files.objects:
                tally.add(self._footer_rows(ref))
            tally.check()
            return tally.rows
        rows = self.rows((), predicate)
        found = int(sum(batch.num_rows for part in rows.parts for batch in part.read()))
        rows.check()
        return found

    def checksums(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate = EVERY_ROW
    ) -> Leaves:
        """See `Source.checksums`."""
        return local_checksums(self, columns, buckets, predicate)

    def rows(self, columns: tuple[Wanted, ...], predicate: Predicate = EVERY_ROW) -> Rows:
        """See `Source.rows`; a part is a file."""
        tally = _Tally(self.files)
        parts = tuple(Part(ref.uri, partial(self._read, ref, columns, predicate, tally)) for ref in self.files.objects)
        return Rows(parts, check=tally.check)

    def footers(
        self, columns: tuple[PlannedColumn, ...], names: tuple[str, ...], predicate: Predicate, *, workers: int
    ) -> tuple[Footer, ...] | None:
        """Return what the footers of Parquet files say, if the engine reads the files as we would.

        Args:
            columns: the compared columns, as this side has them.
            names: their names in the files.
            predicate: which rows.
            workers: how many files are read at once.

        Returns:
            A footer each; None when the files must be read by `rows`.

        Raises:
            UnreadableError: when a file is truncated, replaced or gone, or the rows are not as many as stated.
        """
        files = self.files
        needed = {*names, *predicate.columns}
        in_metadata = any(needed & set(values) for values in files.constants.values())
        is_mapped = any(column.origin for column in columns)
        if (
            files.format != "parquet"
            or in_metadata
            or is_mapped
            or files.selections
            or predicate.in_flight
            or not files.objects
        ):
            return None
        footers = read_footers(
            columns,
            names,
            predicate.where,
            self.store,
            files.objects,
            workers=workers,
            absent_is_null=files.declared is not None,
        )
        if footers is not None:
            tally = _Tally(self.files)
            tally.add(sum(footer.rows for footer in footers))
            tally.check()
        return footers

    def ready(
        self,
        footers: tuple[Footer, ...],
        predicate: Predicate,
        folder: Path,
        *,
        workers: int,
        stop: threading.Event,
        on_rows: Callable[[int], None],
    ) -> Direct:
        """Make some of the files ready for the engine to scan where they lie.

        Args:
            footers: those of the files, at least one.
            predicate: which rows.
            folder: scratch space; it must exist.
            workers: how many files are read at once.
            stop: set to give up early; what is returned after that is incomplete.
            on_rows: told of rows as their pages are verified.

        Returns:
            The files, verified.

        Raises:
            UnreadableError: when a file is truncated, damaged, replaced or gone.
        """
        return read_direct(footers, predicate.where, self.store, folder, workers=workers, stop=stop, on_rows=on_rows)

    def scanned(
        self,
        columns: tuple[PlannedColumn, ...],
        names: tuple[str, ...],
        predicate: Predicate,
        folder: Path,
        *,
        workers: int,
        stop: threading.Event,
        on_rows: Callable[[int], None],
    ) -> Direct | None:
        """Make all files ready for the engine to scan; None when they must be read by `rows`.

        Args and errors are those of `footers` and `ready`.
        """
        footers = self.footers(columns, names, predicate, workers=workers)
        if footers is None:
            return None
        return self.ready(footers, predicate, folder, workers=workers, stop=stop, on_rows=on_rows)

    def check_unchanged(self) -> None:
        """Refuse what was read where it lies when a file is no longer the one that was listed.

        Raises:
            UnreadableError: naming the file.
        """
        for ref in self.files.objects:
            check_unchanged(self.store, ref)

    def _footer_rows(self, ref: ObjectRef) -> int:
        with told(ref), open_parquet(self.store, ref) as file:
            return int(file.metadata.num_rows)

    def _read(
        self, ref: ObjectRef, columns: tuple[Wanted, ...], predicate: Predicate, tally: "_Tally"
    ) -> Iterator[pa.RecordBatch]:
        types = constant_types(predicate) | {column.name: column.data_type for column in columns}
        first = 0
        for batch in self._batches(ref, types):
            tally.add(batch.num_rows)
            yield kept(self._selected(ref, batch, first), predicate)
            first += batch.num_rows

    def _batches(self, ref: ObjectRef, types: dict[str, DataType]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file with the columns that the table has and the file has not."""
        read = _READERS[self.files.format]
        if self.files.declared is None:
            yield from read(self.store, ref, types, self.files)
            return
        constants = self.files.constants.get(ref.path, {})
        held = set(read_schema(self.store, ref).names)
        there = {name: kind for name, kind in types.items() if name in held and name not in constants}
        for batch in read(self.store, ref, there, self.files):
            arrays = [
                batch.column(name) if name in there else self._constant(name, constants.get(name), batch.num_rows)
                for name in types
            ]
            yield batch_of(arrays, tuple(types), batch.num_rows)

    def _constant(self, name: str, text: str | None, rows: int) -> pa.Array:
        """Return the column that a file lacks: the value of its partition, or null."""
        declared = self.schema()
        if name not in declared:
            raise UnreadableError(f"{self.files}: has no column {name!r}; it has {', '.join(declared)}")
        kind = declared[name]
        if text is None or kind is None:
            return pa.nulls(rows, ARROW[kind] if kind else None)
        try:
            return pa.repeat(from_text(pa.array([text]), kind)[0], rows)
        except ValueError as error:
            raise UnreadableError(f"{self.files}: the partition {name} is not {kind}: {error}") from error

    def _selected(self, ref: ObjectRef, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Leave out the rows that a deletion vector marks."""
        selection = self.files.selections.get(ref.path)
        if selection is None:
            return batch
        part = selection.slice(first, batch.num_rows)
        rest = pa.repeat(pa.scalar(value=True), batch.num_rows - len(part))
        return batch.filter(pa.concat_arrays([part, rest]))


class _Tally:
    """Counts the rows the files hold, before any filter, over several threads."""

    def __init__(self, files: FileSet) -> None:
        self._files = files
        self._lock = threading.Lock()
        self.rows = 0

    def add(self, rows: int) -> None:
        with self._lock:
            self.rows += rows

    def check(self) -> None:
        expected = self._files.expected_rows
        if expected is not None and expected != self.rows:
            raise UnreadableError(f"{self._files}: the manifest says {expected} rows and the files hold {self.rows}")
