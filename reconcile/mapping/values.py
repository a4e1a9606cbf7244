"""The values of compared columns from what was read of a side: as they are, or by their maps."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import pyarrow as pa

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from reconcile.config import Scalar
from reconcile.mapping.expressions import Evaluator, evaluator
from reconcile.mapping.origins import Origin
from reconcile.mapping.paths import value_at
from reconcile.plans import PlannedColumn
from reconcile.read.text import from_text

ValueOf = Callable[[PlannedColumn, pa.RecordBatch], pa.Array]
"""Returns a compared column's values, from a batch that holds what it is made of."""

_TEXTS: Final = frozenset({"string", "json", "bytes", "time"})
_PYTHON_TYPES: Final[dict[DataType, tuple[type, ...]]] = {
    "int64": (int,),
    "numeric": (int, Decimal),
    "bignumeric": (int, Decimal),
    "float64": (int, Decimal),
    "bool": (bool,),
    "date": (date,),
    "datetime": (datetime,),
    "timestamp": (datetime,),
}


@contextmanager
def mapped_values(columns: tuple[PlannedColumn, ...], where: str) -> Iterator[ValueOf]:
    """Be ready to make values of columns.

    Args:
        columns: the compared columns, as one side has them.
        where: what is read, for messages.

    Yields:
        What makes them; it raises `UnreadableError` when it cannot.
    """
    with ExitStack() as stack:
        uses_engine = any(column.origin and column.origin.kind == "expression" for column in columns)
        engine = stack.enter_context(evaluator()) if uses_engine else None

        def value_of(column: PlannedColumn, batch: pa.RecordBatch) -> pa.Array:
            if column.origin is None:
                return batch.column(column.name)
            try:
                return _made(column.origin, column, batch, engine)
            except (ValueError, OverflowError) as error:
                raise UnreadableError(f"{where}: {column.name}, {column.origin}: {error}") from error

        yield value_of


def constant_text(value: Scalar, data_type: DataType) -> str:
    """Return a constant as text that `reconcile.read.text` reads as its type.

    Args:
        value: the constant.
        data_type: type of the compared column.

    Raises:
        ConfigurationError: when it is none of that type, or would lose something.
    """
    fits = isinstance(value, str) if data_type in _TEXTS else isinstance(value, _PYTHON_TYPES.get(data_type, ()))
    # To Python, true is 1 and a point in time is a date.
    is_other = (isinstance(value, bool) and data_type != "bool") or (
        isinstance(value, datetime) and data_type == "date"
    )
    if not fits or is_other:
        raise ConfigurationError(f"the constant {value!r} is not {data_type}; quote texts, and nothing else")
    text = _spelled(value, data_type)
    try:
        from_text(pa.array([text]), data_type)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"the constant {value!r} is not {data_type}: {error}") from error
    return text


def _spelled(value: Scalar, data_type: DataType) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime) and data_type == "timestamp":
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return instant.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _made(origin: Origin, column: PlannedColumn, batch: pa.RecordBatch, engine: Evaluator | None) -> pa.Array:
    if origin.kind == "constant":
        text = None if origin.is_null else origin.text
        return pa.repeat(from_text(pa.array([text], pa.string()), column.data_type)[0], batch.num_rows)
    if origin.kind == "expression":
        if engine is None:
            raise ValueError("no engine was started for it")
        return engine.values(origin.text, batch.select([name for name, _ in origin.inputs]))
    [(name, _)] = origin.inputs
    parts = tuple(origin.text.removeprefix(name).split(".")[1:])
    return value_at(batch.column(name), parts, column.data_type, cast=column.cast)
