"""SQL for databases: identifiers quoted, values always bound."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol

from core.errors import ConfigurationError
from reconcile.config import Scalar
from reconcile.sources.model import Predicate


class Placeholder(Protocol):
    """How a database is told where a bound value stands, and of what type it is."""

    def __call__(self, number: int, kind: str) -> str:
        """Return the SQL of the value with this number, from 1, cast from its text."""


@dataclass(frozen=True)
class Bound:
    """SQL with the values it refers to.

    Attributes:
        sql: the SQL.
        values: texts, to be bound in this order.
    """

    sql: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlTypes:
    """What a database calls the types of constants.

    Attributes:
        integer: of an integer.
        decimal: of a decimal number.
        timestamp: of an instant.
        text_order: what makes a text compare by code point, put after it; nothing where it does so by itself.
    """

    integer: str
    decimal: str
    timestamp: str
    text_order: str = ""


def identifier(name: str) -> str:
    """Return a name, quoted as the SQL standard has it, so that it can stand for nothing but itself.

    Args:
        name: the name, in the letter case it has.

    Raises:
        ConfigurationError: when no identifier can hold it.
    """
    if not name or "\0" in name:
        raise ConfigurationError(f"{name!r} cannot be the name of a column or table")
    return '"' + name.replace('"', '""') + '"'


def where(
    predicate: Predicate, placeholder: Placeholder, types: SqlTypes, quote: Callable[[str], str] = identifier
) -> Bound:
    """Return a predicate as SQL.

    Args:
        predicate: which rows.
        placeholder: how bound values are referred to.
        types: what the database calls the types of constants.
        quote: returns a column's name as it stands in SQL.

    Returns:
        An expression with its values; `true` for every row.
    """
    values: list[str] = []

    def bind(value: Scalar) -> str:
        text, kind = _spelled(value, types)
        values.append(text)
        return placeholder(len(values), kind)

    tests = (
        " and ".join(found.database(quote(found.column), bind, types.text_order) for found in predicate.where) or "true"
    )
    if predicate.where and predicate.in_flight is not None:
        newer = f"{quote(predicate.in_flight.column)} > {bind(predicate.in_flight.after)}"
        tests = f"({tests}) or {newer}"
    return Bound(tests, tuple(values))


def _spelled(value: Scalar, types: SqlTypes) -> tuple[str, str]:
    """Return a constant as text, and the type to cast it to."""
    if isinstance(value, bool):
        return str(value).lower(), "boolean"
    if isinstance(value, int):
        return str(value), types.integer
    if isinstance(value, Decimal):
        return f"{value:f}", types.decimal
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return instant.isoformat(), types.timestamp
    if isinstance(value, date):
        return value.isoformat(), "date"
    return value, "varchar"
