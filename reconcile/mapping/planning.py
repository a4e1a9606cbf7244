"""Column maps planned: resolved against what a side holds, and checked for loss before a row is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import MapConfig, Stated
from reconcile.mapping.expressions import references, type_of
from reconcile.mapping.origins import Origin
from reconcile.mapping.paths import type_at
from reconcile.mapping.values import constant_text
from reconcile.plans import PlannedColumn
from reconcile.read.convert import check_type
from reconcile.read.text import ARROW
from reconcile.sources.arrow_types import data_type_of
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.files import FileSource
from reconcile.sources.model import Source


@dataclass(frozen=True)
class Held:
    """What one side holds.

    Attributes:
        where: the side, for messages.
        schema: its columns; None when its format says nothing of them.
        declared: types of columns by the contract, for formats that have none.
    """

    where: str
    schema: pa.Schema | None
    declared: Mapping[str, DataType]

    def type_of_input(self, name: str) -> DataType:
        """Return the type that a column is read as, where its own is none that is compared: as a document."""
        if self.schema is None:
            return self.declared.get(name, "string")
        return data_type_of(self.schema.field(name).type) or "json"


def held_by(source: Source, where: str, declared: Mapping[str, DataType]) -> Held:
    """Return what a source holds, nested values included.

    Args:
        source: the source.
        where: the source, for messages.
        declared: types of columns by the contract.

    Raises:
        UnreadableError: when it cannot be read.
    """
    if isinstance(source, FileSource):
        return Held(where, source.arrow_schema(), declared)
    if isinstance(source, BigQuerySource):
        return Held(where, source.arrow_schema(), declared)
    # What a database has no compared type for is handed over as text.
    types = [(name, ARROW[kind] if kind else pa.string()) for name, kind in source.schema().items()]
    return Held(where, pa.schema(types), declared)


def inputs_of(stated: Stated, held: Held) -> tuple[str, ...]:
    """Return the columns of a side that a map reads.

    Args:
        stated: the map, as the configuration states it.
        held: what the side holds.

    Raises:
        ConfigurationError: when an expression is not allowed.
    """
    if isinstance(stated, str):
        return (_column_of(stated, held),)
    if stated.expression is None:
        return ()
    found = references(stated.expression)
    known = found if held.schema is None else found & set(held.schema.names)
    return tuple(sorted(known))


def mapped_type(stated: Stated, held: Held) -> DataType | None:
    """Return the compared type of a map's values; None when they do not tell.

    Args:
        stated: the map, as the configuration states it.
        held: what the side holds.

    Raises:
        ConfigurationError: when an expression is not allowed.
        UnreadableError: when a path leads nowhere.
    """
    kind = _arrow_type(_resolved(stated, held), held)
    return None if kind is None else data_type_of(kind)


def with_map(column: PlannedColumn, stated: Stated | None, held: Held) -> PlannedColumn:
    """Return a column with its map on one side, checked.

    Args:
        column: the column, as that side has it.
        stated: the map, as the configuration states it; None for the column of that name.
        held: what the side holds.

    Raises:
        ConfigurationError: when a constant is not of the column's type, or an expression is not allowed.
        UnreadableError: when a path leads nowhere, or a value could lose something on its way to the compared type.
    """
    if stated is None or (isinstance(stated, str) and _column_of(stated, held) == stated == column.name):
        return column
    if isinstance(stated, MapConfig) and stated.expression is None:
        is_null = stated.constant is None
        text = "" if stated.constant is None else constant_text(stated.constant, column.data_type)
        return replace(column, origin=Origin("constant", text, is_null=is_null))
    origin = _resolved(stated, held)
    kind = _arrow_type(origin, held)
    if kind is not None:
        check_type(kind, column.data_type, cast=column.cast, where=f"{held.where}: {column.name}, {origin},")
    return replace(column, origin=origin)


def _column_of(path: str, held: Held) -> str:
    """Return the column that a path begins with; a column of just this name, dots and all, comes first."""
    if held.schema is not None and path in held.schema.names:
        return path
    return path.split(".", maxsplit=1)[0]


def _resolved(stated: Stated, held: Held) -> Origin:
    if isinstance(stated, str):
        name = _column_of(stated, held)
        if held.schema is not None and name not in held.schema.names:
            raise UnreadableError(f"{held.where}: has no column {name!r}; it has {', '.join(held.schema.names)}")
        kind = held.type_of_input(name) if name == stated or held.schema is not None else "json"
        return Origin("column" if name == stated else "path", stated, ((name, kind),))
    if stated.expression is None:
        return Origin("constant", "" if stated.constant is None else str(stated.constant), (), stated.constant is None)
    names = inputs_of(stated, held)
    if not names:
        raise ConfigurationError(f"the expression {stated.expression!r} refers to no column of {held.where}")
    return Origin("expression", stated.expression, tuple((name, held.type_of_input(name)) for name in names))


def _arrow_type(origin: Origin, held: Held) -> pa.DataType | None:
    if origin.kind == "constant":
        return None
    if origin.kind == "expression":
        fields = [(name, held.schema.field(name).type if held.schema else ARROW[kind]) for name, kind in origin.inputs]
        return type_of(origin.text, pa.schema(fields))
    if held.schema is None:
        return None
    [(name, _)] = origin.inputs
    parts = tuple(origin.text.removeprefix(name).split(".")[1:])
    return type_at(held.schema.field(name).type, parts, f"{held.where}: {name}")
