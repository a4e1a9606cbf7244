"""Whether a source holds the compared columns in types that become the compared ones, told before rows are read."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import pyarrow as pa

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


def check_columns(
    source: Source,
    table: TableSpec,
    columns: tuple[PlannedColumn, ...],
    place: Callable[[PlannedColumn], str] = lambda _: "",
) -> tuple[str, ...]:
    """Refuse a source that lacks compared columns, or holds some in a type that needs a cast.

    Args:
        source: the source; of files, the first one is looked at, and the others as they are read.
        table: the same, for messages.
        columns: the compared columns, as the source has them; maps were checked when they were planned.
        place: returns where the configuration speaks of a column, to be put after what is said of it.

    Returns:
        The columns that the source holds beside these, and beside what their maps are made of.

    Raises:
        UnreadableError: naming every such column, and the fix.
    """
    if isinstance(source, FileSource) and isinstance(table, FileSet):
        schema = source.arrow_schema()
        if schema is None:
            return ()
        where = str(table) if table.declared is not None else table.objects[0].uri
        held: Iterable[str] = schema.names
        misfit = partial(_misfit_of_files, schema)
    else:
        types = source.schema()
        where, held = str(table), types
        misfit = partial(_misfit, types, isinstance(table, DatabaseSpec))
    told = [(column, misfit(column)) for column in columns if column.origin is None]
    faults = [f"{words}{place(column)}" for column, words in told if words is not None]
    if faults:
        raise UnreadableError(f"{where}: {'; '.join(faults)}")
    return _unused(held, columns)


def _misfit(held: Mapping[str, DataType | None], is_database: bool, column: PlannedColumn) -> str | None:
    name, kind = column.name, column.data_type
    if name not in held:
        return f"has no column {name!r}; build it anew, or ignore the column"
    if column.cast or held[name] == kind or (is_database and (held[name], kind) in _LOSSLESS):
        return None
    return (
        f"{name} is {held[name] or 'of a type that cannot be compared'}, which is not {kind}; to convert it all the "
        f"same, give the column `cast: {kind}`"
    )


def _misfit_of_files(schema: pa.Schema, column: PlannedColumn) -> str | None:
    if column.name not in schema.names:
        return f"has no column {column.name!r}"
    try:
        check_type(schema.field(column.name).type, column.data_type, cast=column.cast, where=column.name)
    except UnreadableError as error:
        return str(error)
    return None


def _unused(held: Iterable[str], columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    used = {column.name for column in wanted(columns)}
    return tuple(name for name in held if name not in used)
