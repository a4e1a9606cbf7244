"""The aggregates of every column, in the same words to BigQuery and to DuckDB."""

from collections.abc import Iterator
from typing import Final

from core.contracts import DataType
from reconcile.plans import PlannedColumn
from reconcile.pushdown.forms import Dialect, row_hash, text_form
from reconcile.pushdown.suits import unhashable_column
from reconcile.rules import EXACT

_ORDERED: Final[frozenset[DataType]] = frozenset(
    {"int64", "numeric", "float64", "string", "date", "datetime", "time", "timestamp"}
)


def measures(columns: tuple[PlannedColumn, ...]) -> list[tuple[int, str]]:
    """Return which aggregates there are.

    Args:
        columns: the compared columns.

    Returns:
        The place of a column and one of `count`, `min`, `max` and `checksum`: for each column the number of values
        that are not null and, where its type and its rule have them, the least value, the greatest and the sum of
        hashes.
    """
    return [(place, name) for place, column in enumerate(columns) for name in _of(column)]


def aggregates(columns: tuple[PlannedColumn, ...], dialect: Dialect) -> list[tuple[str, str]]:
    """Return the name and the SQL of every aggregate, as text or an exact number.

    Args:
        columns: the compared columns, which the SQL calls `c0`, `c1`, ...
        dialect: which engine will read it.
    """
    return [
        (f"{columns[place].name} {name}", _sql(columns[place], name, f"c{place}", dialect))
        for place, name in measures(columns)
    ]


def _of(column: PlannedColumn) -> Iterator[str]:
    yield "count"
    if unhashable_column(column) is None:
        if column.data_type in _ORDERED:
            yield "min"
            yield "max"
        yield "checksum"


def _sql(column: PlannedColumn, name: str, value: str, dialect: Dialect) -> str:
    if name == "count":
        return f"count({_counted(column, value, dialect)})"
    if name == "checksum":
        exact = "numeric" if dialect == "googlesql" else "hugeint"
        return f"sum(cast({row_hash([(column.data_type, value)], dialect)} as {exact}))"
    return _extreme(column, name, value, dialect)


def _counted(column: PlannedColumn, value: str, dialect: Dialect) -> str:
    # BigQuery counts an empty array, which is null by the default rule.
    is_array = column.data_type.startswith("array<") and column.rule.null_array == EXACT.null_array
    return text_form(column.data_type, value, dialect) if is_array else value


def _extreme(column: PlannedColumn, name: str, value: str, dialect: Dialect) -> str:
    if column.data_type == "float64":
        # NaN is the greatest of all to DuckDB, and both the least and the greatest to BigQuery.
        is_nan = "is_nan" if dialect == "googlesql" else "isnan"
        value = f"case when not {is_nan}({value}) then {value} end"
    return text_form(column.data_type, f"{name}({value})", dialect)
