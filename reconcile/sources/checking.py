"""Whether a source holds the compared columns in types that become the compared ones, told before rows are read."""

from collections.abc import Iterable
from typing import Final

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.plans import DatabaseSpec, FileSet, PlannedColumn, TableSpec
from reconcile.read.convert import check_type
from reconcile.sources.files import FileSource
from reconcile.sources.model import Source, wanted

_LOSSLESS: Final[frozenset[tuple[DataType, DataType]]] = frozenset(
    {
        ("string", "json"),
        ("int64", "numeric"),
        ("int64", "bignumeric"),
        ("numeric", "bignumeric"),
        # A database's decimals are wider than BigQuery's; whether each value fits is checked as it is read.
        ("bignumeric", "numeric"),
        # A database's arrays may be of anything; each element is checked, too.
        ("array<string>", "array<int64>"),
    }
)
"""Types of a database that become another one without loss."""


def held_types(source: Source) -> dict[str, DataType | None] | None:
    """Return the types of a source's columns; None when its format says nothing of types.

    Args:
        source: the source.

    Raises:
        UnreadableError: when the source cannot be read.
    """
    if isinstance(source, FileSource) and source.arrow_schema() is None:
        return None
    return source.schema()


def check_columns(source: Source, table: TableSpec, columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    """Refuse a source that lacks a compared column, or holds it in a type that needs a cast.

    Args:
        source: the source; of files, the first one is looked at, and the others as they are read.
        table: the same, for messages.
        columns: the compared columns, as the source has them; maps were checked when they were planned.

    Returns:
        The columns that the source holds beside these, and beside what their maps are made of.

    Raises:
        UnreadableError: naming the column and the fix.
    """
    if isinstance(source, FileSource) and isinstance(table, FileSet):
        return _check_files(source, table, columns)
    held = source.schema()
    for column in columns:
        name = column.name
        if column.origin is not None:
            continue
        if name not in held:
            raise UnreadableError(f"{table}: has no column {name!r}; build it anew, or ignore the column")
        if column.cast or held[name] == column.data_type:
            continue
        if not (isinstance(table, DatabaseSpec) and (held[name], column.data_type) in _LOSSLESS):
            raise UnreadableError(
                f"{table}: {name} is {held[name] or 'of a type that cannot be compared'}, which is not "
                f"{column.data_type}; to convert it all the same, give the column `cast: {column.data_type}`"
            )
    return _unused(held, columns)


def _unused(held: Iterable[str], columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    used = {column.name for column in wanted(columns)}
    return tuple(name for name in held if name not in used)


def _check_files(source: FileSource, table: FileSet, columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    schema = source.arrow_schema()
    where = str(table) if table.declared is not None else table.objects[0].uri
    if schema is None:
        return ()
    for column in columns:
        name = column.name
        if column.origin is not None:
            continue
        if name not in schema.names:
            raise UnreadableError(f"{where}: has no column {name!r}")
        kind = schema.field(name).type
        check_type(kind, column.data_type, cast=column.cast, where=f"{where}: {name}")
    return _unused(schema.names, columns)
