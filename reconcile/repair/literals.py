"""Values of every compared type as GoogleSQL literals; see "Lexical structure and syntax" in its reference."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from core.contracts import DataType
from reconcile.read.filters import googlesql_literal

SQL_TYPES: Final[dict[DataType, str]] = {
    "int64": "int64",
    "numeric": "numeric",
    "bignumeric": "bignumeric",
    "float64": "float64",
    "bool": "bool",
    "string": "string",
    "bytes": "bytes",
    "date": "date",
    "datetime": "datetime",
    "time": "time",
    "timestamp": "timestamp",
    "json": "json",
    "array<string>": "array<string>",
    "array<int64>": "array<int64>",
}
"""GoogleSQL's name of each type."""

_ELEMENTS: Final[dict[DataType, DataType]] = {"array<string>": "string", "array<int64>": "int64"}


def typed_literal(value: Any, data_type: DataType) -> str:
    """Return a value as a literal of exactly its type.

    Args:
        value: the value, as it is read from the Parquet of differences; None for null.
        data_type: the column's type.

    Returns:
        GoogleSQL that evaluates to the value.
    """
    if data_type in _ELEMENTS:
        # BigQuery stores no null array.
        elements = ", ".join(typed_literal(element, _ELEMENTS[data_type]) for element in value or ())
        return f"array<{_ELEMENTS[data_type]}>[{elements}]"
    if value is None:
        return f"cast(null as {SQL_TYPES[data_type]})"
    return _scalar(value, data_type)


def _text(value: str) -> str:
    """Return a text literal; the reviewer of a statement shall see line breaks as what they are."""
    return (
        googlesql_literal(value)
        .replace("\\U0000000a", "\\n")
        .replace("\\U0000000d", "\\r")
        .replace("\\U00000009", "\\t")
    )


def _scalar(value: Any, data_type: DataType) -> str:
    spell = _SPELLINGS.get(data_type)
    return googlesql_literal(value) if spell is None else spell(value)


def _timestamp(value: datetime) -> str:
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return f"timestamp '{utc.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')}+00:00'"


# A literal in digits would lose the sign of zero, and what is no number has no literal.
_SPELLINGS: Final[dict[DataType, Callable[[Any], str]]] = {
    "bytes": lambda value: f"from_hex('{value.hex()}')",
    "float64": lambda value: f"cast('{float(value)!r}' as float64)",
    "numeric": lambda value: f"numeric '{Decimal(value):f}'",
    "bignumeric": lambda value: f"bignumeric '{Decimal(value):f}'",
    "string": lambda value: _text(str(value)),
    "json": lambda value: f"json {_text(str(value))}",
    "datetime": lambda value: f"datetime '{value.isoformat(sep=' ', timespec='microseconds')}'",
    "time": lambda value: f"time '{value.isoformat(timespec='microseconds')}'",
    "timestamp": _timestamp,
}
