"""Constant filters: pushed down to the warehouse as GoogleSQL, applied to the snapshot in Arrow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import UnreadableError
from core.identifiers import check_name
from reconcile.config import Scalar, Where
from reconcile.rules import literal, quoted

Bind = Callable[[Scalar], str]
"""Binds a constant to a statement, and returns the SQL that refers to it."""

_ENGINE_TYPES: Final[dict[type, pa.DataType]] = {bool: pa.bool_(), int: pa.int64(), str: pa.string(), date: pa.date32()}


@dataclass(frozen=True)
class Condition:
    """A column that must be one of some constants.

    Attributes:
        column: the column.
        values: what it may be; None is null.
    """

    column: str
    values: tuple[Scalar | None, ...]

    def googlesql(self) -> str:
        """Return the condition as GoogleSQL, fit for a row restriction of the Storage Read API."""
        name = check_name(self.column)
        constants = [googlesql_literal(value) for value in self.values if value is not None]
        parts = []
        if len(constants) == 1:
            parts.append(f"{name} = {constants[0]}")
        elif constants:
            parts.append(f"{name} in ({', '.join(constants)})")
        if None in self.values:
            parts.append(f"{name} is null")
        return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"

    def database(self, name: str, bind: Bind, text_order: str) -> str:
        """Return the condition as SQL of a database.

        Args:
            name: the column, quoted.
            bind: binds a constant.
            text_order: what makes texts compare by code point, such as ` collate "C"`; put after the column.
        """
        del text_order  # of what is equal or not, the order says nothing
        tests = [f"{name} = {bind(value)}" for value in self.values if value is not None]
        if None in self.values:
            tests.append(f"{name} is null")
        return f"({' or '.join(tests)})" if tests else "false"

    def duckdb(self) -> str:
        """Return the condition as SQL of the engine; only for one that `suits`."""
        name = quoted(self.column)
        parts = [f"{name} = {_duckdb_literal(value)}" for value in self.values if value is not None]
        if None in self.values:
            parts.append(f"{name} is null")
        return f"({' or '.join(parts)})" if parts else "false"

    def suits(self, schema: pa.Schema) -> bool:
        """Return whether the engine compares the constants as Arrow does: all are of the column's own type."""
        kind = schema.field(self.column).type
        return all(value is None or _ENGINE_TYPES.get(type(value)) == kind for value in self.values)

    def may_hold(self, low: object, high: object) -> bool:
        """Return whether the engine looks at values of the column that lie between two, to see which meet it.

        Args:
            low: the least of them; there is no null.
            high: the greatest of them.
        """
        del low, high
        return True

    def mask(self, array: pa.Array) -> pa.Array:
        """Return which rows meet the condition.

        Args:
            array: the column's values.

        Returns:
            Booleans without nulls.

        Raises:
            UnreadableError: when a constant is not of the column's type.
        """
        constants = [_as_float(value, array.type) for value in self.values if value is not None]
        if pa.types.is_null(array.type):
            return pa.repeat(pa.scalar(None in self.values), len(array))
        if not constants:
            return array.is_null()
        try:
            found = pc.is_in(array, pa.array(constants, array.type), skip_nulls=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            raise UnreadableError(
                f"the filter on {self.column} does not suit its type {array.type}: {error}"
            ) from error
        return pc.or_(found, array.is_null()) if None in self.values else found


def conditions(where: Where) -> tuple[Condition, ...]:
    """Return the conditions of a configured filter.

    Args:
        where: constants, or lists of them, by column.

    Returns:
        One condition a column, all of which must hold.
    """
    return tuple(
        Condition(column, values if isinstance(values, tuple) else (values,)) for column, values in where.items()
    )


def restriction(found: Sequence[Condition]) -> str:
    """Return the conditions as one GoogleSQL expression.

    Args:
        found: conditions that must all hold.

    Returns:
        The expression; empty when there are none.
    """
    return " and ".join(condition.googlesql() for condition in found)


def all_hold(found: Sequence[Condition], batch: pa.RecordBatch) -> pa.Array:
    """Return which rows meet every condition.

    Args:
        found: the conditions.
        batch: rows that hold the conditions' columns.

    Returns:
        Booleans without nulls.

    Raises:
        UnreadableError: when a column is not there, or a constant is not of its type.
    """
    mask = pa.repeat(pa.scalar(value=True), batch.num_rows)
    for condition in found:
        if condition.column not in batch.schema.names:
            raise UnreadableError(f"the filter's column {condition.column} is not there")
        mask = pc.and_(mask, condition.mask(batch.column(condition.column)))
    return mask


def googlesql_literal(value: Scalar) -> str:
    """Return a constant as a GoogleSQL literal.

    Args:
        value: the constant; a datetime without a zone is taken as UTC.

    Returns:
        The literal. See "Lexical structure and syntax" in the GoogleSQL reference for the escapes.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"numeric '{value}'"
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"timestamp '{instant:%Y-%m-%d %H:%M:%S.%f}+00:00'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return "'" + "".join(_escaped(letter) for letter in value) + "'"


def _as_float(value: Scalar, kind: pa.DataType) -> Scalar | float:
    # Decimals are read as they are spelled; a column of doubles holds the nearest one.
    return float(value) if isinstance(value, Decimal) and pa.types.is_floating(kind) else value


def _duckdb_literal(value: Scalar) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    return f"date {literal(value.isoformat())}" if isinstance(value, date) else literal(str(value))


def _escaped(letter: str) -> str:
    if letter in "\\'":
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
