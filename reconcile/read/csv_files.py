"""CSV of a snapshot, plain or compressed, with the types of the contract: RFC 4180, strictly, with a header.

A quoted field is never null, so `""` is the empty text and nothing at all is null, or whatever unquoted text the
configuration names.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.read.compression import open_plain
from reconcile.read.csv_guard import Guard
from reconcile.read.faults import ValueFaultError
from reconcile.read.text import batch_of, from_text
from reconcile.source_config import CsvForm

_KNOWN: Final = tuple(
    map(
        re.compile,
        (
            r"Row #\d+: Expected \d+ columns, got \d+",
            r"Expected \d+ columns, got \d+",
            r"[Ii]nvalid UTF-?8",
            r"Empty CSV file",
        ),
    )
)
"""What the parser says of a row without quoting it."""

_ROW: Final = re.compile(r"Row #(\d+)")
"""Of which row it says so: the header is the first one."""

_BLOCK_BYTES: Final = 1024 * 1024
"""How much is read and parsed at once; what a reader holds is some ten times that."""

_LONGEST_ROW_BYTES: Final = 8 * 1024 * 1024


def read_csv(
    store: ObjectStore, ref: ObjectRef, columns: dict[str, DataType], form: CsvForm
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file.

    Args:
        store: where the file lies.
        ref: the file; decompressed when it begins as gzip or Zstandard does.
        columns: the columns wanted, with their types; the file may have others.
        form: what stands between fields and for null.

    Yields:
        Batches with exactly those columns, in that order.

    Raises:
        UnreadableError: when the file is truncated, replaced or gone, is not CSV, or a value does not fit its column.
    """
    with open_plain(store, ref) as plain, _told(ref):
        header = _header(ref, plain, form, tuple(columns))
        guard = Guard(ref, plain, form.delimiter, len(header))
        # With no column wanted, one must be parsed all the same to count the rows.
        parsed = list(columns) or header[:1]
        known, rows = None, 0
        for piece in guard.pieces(_BLOCK_BYTES, _LONGEST_ROW_BYTES):
            with _told(ref, before=rows + 1 if known else 0):
                table = _parsed(piece, form, parsed, known)
            # The first piece begins with the header.
            known = header
            for batch in table.to_batches():
                yield _typed(ref, batch, columns, rows + 1)
                rows += batch.num_rows


def _parsed(piece: bytes, form: CsvForm, columns: list[str], header: list[str] | None) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(piece),
        read_options=pa_csv.ReadOptions(block_size=len(piece), use_threads=False, column_names=header),
        parse_options=pa_csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=columns,
            null_values=[form.null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


@contextmanager
def _told(ref: ObjectRef, *, before: int = 0) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise UnreadableError(f"{ref.uri}: is not a whole CSV file: {_words(error, before)}") from None


def _words(error: Exception, before: int) -> str:
    """Return what is wrong without the fields of the row, which the parser quotes, and with its number in the file."""
    found = next((found for words in _KNOWN if (found := words.search(str(error)))), None)
    if found is None:
        return "it cannot be parsed, or is not UTF-8"
    return _ROW.sub(lambda row: f"Row #{int(row[1]) + before}", found[0])


def _header(ref: ObjectRef, plain: "io.BufferedReader[Any]", form: CsvForm, wanted: tuple[str, ...]) -> list[str]:
    # What is peeked may end within a character; the header does not.
    text = plain.peek(1).decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter, strict=True), None)
    if not names:
        raise UnreadableError(f"{ref.uri}: is empty; a CSV file of no rows still has its header")
    for name in wanted:
        if names.count(name) != 1:
            what = "has no column" if name not in names else f"has {names.count(name)} columns called"
            # A file without a header has values there.
            known = ", ".join(sorted(set(names) & set(wanted))) or "none"
            raise UnreadableError(
                f"{ref.uri}: {what} {name!r}; of those wanted, its first line, which must be the header, has {known}"
            )
    return names


def _typed(ref: ObjectRef, batch: pa.RecordBatch, columns: dict[str, DataType], first: int) -> pa.RecordBatch:
    arrays = []
    for name, kind in columns.items():
        try:
            arrays.append(from_text(batch.column(name), kind))
        except ValueFaultError as error:
            row = first + error.row
            raise UnreadableError(f"{ref.uri}: row {row}: {name} is not {kind}: {error}") from None
    return batch_of(arrays, tuple(columns), batch.num_rows)
