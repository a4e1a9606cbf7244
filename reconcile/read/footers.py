"""Which Parquet files the engine may scan as they are: told from their footers alone.

A column is clean when the engine reads every value of it as `reconcile.read.convert` would. What it would read
otherwise, or could not hold, is left to the reader that checks value by value: nanoseconds and INT96, unsigned 64-bit
integers, decimals of too many digits, and names that differ in letter case only.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from core.contracts import DataType
from core.pinned import ObjectRef, ObjectStore
from reconcile.plans import PlannedColumn
from reconcile.read.convert import check_type
from reconcile.read.filters import Condition
from reconcile.read.pages import Chunk
from reconcile.read.parquet import check_columns, open_parquet, told
from reconcile.rules import quoted

_NUMERIC_SCALE: Final = 9
_NUMERIC_WHOLE: Final = 29
KEY_TYPES: Final = frozenset({int, str, date})
"""Types of keys whose order in a footer is the engine's order."""


@dataclass(frozen=True)
class Form:
    """How the engine reads one column.

    Attributes:
        stored: SQL of its value in the type that `reconcile.read.convert.STORED` says.
        native: SQL of its value as the file holds it.
        kind: its type in the file; natives of one kind compare alike.
    """

    stored: str
    native: str
    kind: str


@dataclass(frozen=True)
class KeyGroup:
    """What a footer says of the first key column in one row group.

    Attributes:
        low: its least value.
        high: its greatest value.
        rows: rows of the group.
    """

    low: Any
    high: Any
    rows: int


@dataclass(frozen=True)
class Footer:
    """A file that may be scanned as it is.

    Attributes:
        ref: the file.
        rows: its rows, of all row groups.
        size: length of the footer, in bytes.
        forms: how the engine reads each column.
        chunks: the column chunks that are read, in the order of the file; none of row groups that hold no key of the
            range that is read.
        groups: the first key column by row group, of those that are read; None when the footer leaves that open.
        bounds: the least and the greatest value of the first key column, nulls aside; None when the footer leaves that
            open, or there is no value.
    """

    ref: ObjectRef
    rows: int
    size: int
    forms: tuple[Form, ...]
    chunks: tuple[Chunk, ...]
    groups: tuple[KeyGroup, ...] | None
    bounds: tuple[Any, Any] | None = None

    @property
    def rows_read(self) -> int:
        """Rows of the row groups that are read."""
        return self.rows if self.groups is None else sum(group.rows for group in self.groups)


def read_footer(
    columns: tuple[PlannedColumn, ...],
    names: tuple[str, ...],
    where: tuple[Condition, ...],
    store: ObjectStore,
    ref: ObjectRef,
    *,
    absent_is_null: bool = False,
) -> Footer | None:
    """Read what a file's footer says of the compared columns.

    Args:
        columns: the compared columns, the key first.
        names: their names in the file.
        where: conditions that rows must meet.
        store: where the file lies.
        ref: the file.
        absent_is_null: whether a column may be missing; the file must then be read value by value.

    Returns:
        What it says; None when the file must be read value by value.

    Raises:
        UnreadableError: when the file is not Parquet, truncated, replaced or gone, lacks a column, or holds one in a
            type that needs a cast.
    """
    with told(ref), open_parquet(store, ref) as file:
        metadata, schema = file.metadata, file.schema_arrow
        if absent_is_null and not set(names) <= set(schema.names):
            return None
        check_columns(ref, schema, names)
        for column, name in zip(columns, names, strict=True):
            kind = schema.field(name).type
            check_type(kind, column.data_type, cast=column.cast, where=f"{ref.uri}: {name}")
        leaves = {metadata.schema.column(n).path: n for n in range(metadata.num_columns)}
        forms = [_form(column, name, schema, metadata, leaves) for column, name in zip(columns, names, strict=True)]
        if not all(condition.column in leaves and condition.suits(schema) for condition in where):
            return None
        if None in forms or not _told_apart(schema.names) or not _is_consistent(metadata):
            return None
        wanted = sorted({leaves[name] for name in (*names, *(condition.column for condition in where))})
        groups = _groups(metadata, leaves[names[0]])
        if groups is not None:
            ranges = [condition for condition in where if condition.column == names[0]]
            groups = {
                n: group for n, group in groups.items() if all(each.may_hold(group.low, group.high) for each in ranges)
            }
        return Footer(
            ref=ref,
            rows=metadata.num_rows,
            size=metadata.serialized_size,
            forms=tuple(form for form in forms if form is not None),
            chunks=tuple(
                _chunk(metadata, group, leaf)
                for group in range(metadata.num_row_groups)
                # Writers leave offsets of a group without rows to chance, and nobody reads it.
                if metadata.row_group(group).num_rows and (groups is None or group in groups)
                for leaf in wanted
            ),
            groups=None if groups is None else tuple(groups.values()),
            bounds=_bounds(metadata, leaves[names[0]]),
        )


def _told_apart(names: list[str]) -> bool:
    """Return whether no two names are one to the engine, which is blind to letter case."""
    return len({name.casefold() for name in names}) == len(names)


def _form(
    column: PlannedColumn, name: str, schema: pa.Schema, metadata: pq.FileMetaData, leaves: dict[str, int]
) -> Form | None:
    if name not in leaves or column.data_type not in _CLEAN or (column.data_type == "json" and not lazy(column)):
        return None
    leaf = metadata.schema.column(leaves[name])
    logical = json.loads(leaf.logical_type.to_json()).get("Type", "None") if leaf.logical_type else "None"
    kind = schema.field(name).type
    is_clean, logicals, stored = _CLEAN[column.data_type]
    if leaf.max_repetition_level or logical not in logicals or not is_clean(kind):
        return None
    return Form(stored.format(quoted(name)), quoted(name), str(kind))


def lazy(column: PlannedColumn) -> bool:
    """Return whether a JSON column stays as it came, for its documents are only parsed where their texts differ.

    Args:
        column: a column.
    """
    return column.data_type == "json" and not column.is_key and not column.rule.null_equivalents


def _is_integer(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind)) and kind != pa.uint64()


def _is_number(kind: pa.DataType) -> bool:
    if not types.is_decimal(kind):
        return _is_integer(kind)
    return bool(kind.scale <= _NUMERIC_SCALE and 0 <= kind.precision - kind.scale <= _NUMERIC_WHOLE)


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_instant(kind: pa.DataType, *, zoned: bool) -> bool:
    return bool(types.is_timestamp(kind)) and kind.unit in ("us", "ms") and (kind.tz is not None) == zoned


_CLEAN: Final[dict[DataType, tuple[Callable[[pa.DataType], bool], frozenset[str], str]]] = {
    "int64": (_is_integer, frozenset({"None", "Int"}), "cast({} as bigint)"),
    "numeric": (_is_number, frozenset({"None", "Int", "Decimal"}), "cast({} as decimal(38, 9))"),
    "float64": (
        lambda kind: types.is_float64(kind) or types.is_float32(kind),
        frozenset({"None"}),
        "cast({} as double)",
    ),
    "bool": (types.is_boolean, frozenset({"None"}), "{}"),
    "string": (_is_text, frozenset({"String"}), "{}"),
    "json": (_is_text, frozenset({"String"}), "{}"),
    "bytes": (lambda kind: types.is_binary(kind) or types.is_large_binary(kind), frozenset({"None"}), "{}"),
    "date": (types.is_date32, frozenset({"Date"}), "{}"),
    "datetime": (lambda kind: _is_instant(kind, zoned=False), frozenset({"Timestamp"}), "cast({} as timestamp)"),
    # Both count microseconds in UTC; a cast would ask the rules of the session's zone for every value.
    "timestamp": (
        lambda kind: _is_instant(kind, zoned=True),
        frozenset({"Timestamp"}),
        "make_timestamp(epoch_us({}))",
    ),
}
"""By compared type: the Arrow types and the logical types of Parquet that are clean, and the SQL of the stored type."""


def _chunk(metadata: pq.FileMetaData, group: int, column: int) -> Chunk:
    found = metadata.row_group(group).column(column)
    start = found.data_page_offset
    if found.has_dictionary_page and found.dictionary_page_offset is not None:
        start = min(start, found.dictionary_page_offset)
    # A column without repetition has a value a row; what its pages hold is held against that.
    return Chunk(start, found.total_compressed_size, metadata.row_group(group).num_rows)


def _is_consistent(metadata: pq.FileMetaData) -> bool:
    """Return whether the row groups add up to the file."""
    return bool(sum(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)) == metadata.num_rows)


def _groups(metadata: pq.FileMetaData, column: int) -> dict[int, KeyGroup] | None:
    """Return what the row groups that hold rows hold of a column, by their numbers."""
    found = {}
    for number in range(metadata.num_row_groups):
        rows = metadata.row_group(number).num_rows
        said = metadata.row_group(number).column(column).statistics
        if rows and (said is None or not said.has_min_max or not said.has_null_count or said.null_count):
            return None
        if rows and not (type(said.min) in KEY_TYPES and type(said.max) in KEY_TYPES):
            return None
        if rows:
            found[number] = KeyGroup(said.min, said.max, rows)
    return found


def _bounds(metadata: pq.FileMetaData, column: int) -> tuple[Any, Any] | None:
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        said = group.column(column).statistics
        if said is not None and said.has_min_max:
            found.append((said.min, said.max))
        elif group.num_rows and (said is None or not said.has_null_count or said.null_count != group.num_rows):
            return None
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None
