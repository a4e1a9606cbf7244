"""Soft deletes: rows that are there and say of themselves that they are not."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from core.errors import ConfigurationError
from core.identifiers import check_name
from reconcile.config import DeletedBy
from reconcile.read.filters import Bind, Condition, googlesql_literal
from reconcile.rules import quoted

_INSTANTS: Final[frozenset[DataType]] = frozenset({"timestamp", "datetime", "date"})
_DEBEZIUM: Final = "true"
"""What Debezium's event flattening writes into `__deleted`, a text; see "New Record State Extraction" in its manual."""


@dataclass(frozen=True)
class Alive(Condition):
    """A column that must not say that its row is deleted. Its `values` are those that say so."""

    def googlesql(self) -> str:
        """See `Condition.googlesql`."""
        name = check_name(self.column)
        constants = ", ".join(googlesql_literal(value) for value in self.values if value is not None)
        return f"({name} is null or {name} not in ({constants}))"

    def database(self, name: str, bind: Bind, text_order: str) -> str:
        """See `Condition.database`."""
        return f"({name} is null or not {super().database(name, bind, text_order)})"

    def duckdb(self) -> str:
        """See `Condition.duckdb`."""
        return f"({quoted(self.column)} is null or not {super().duckdb()})"

    def mask(self, array: pa.Array) -> pa.Array:
        """See `Condition.mask`."""
        return pc.or_(array.is_null(), pc.invert(super().mask(array)))


def alive(deleted: DeletedBy, kind: DataType | None) -> Condition:
    """Return the condition that a row is not deleted.

    Args:
        deleted: what marks deleted rows.
        kind: type of the column that does; None when nobody says.

    Returns:
        The condition. A row whose column is null is not deleted, whatever the column is.

    Raises:
        ConfigurationError: when neither the configuration nor the type says which values mean deleted.
    """
    if deleted.values is not None:
        return Alive(deleted.column, deleted.values)
    if kind == "bool":
        return Condition(deleted.column, (False, None))
    if kind in _INSTANTS:
        return Condition(deleted.column, (None,))
    if kind == "string":
        return Alive(deleted.column, (_DEBEZIUM,))
    raise ConfigurationError(
        f"{deleted.column} is {kind or 'of no type that the format tells'}: say which of its values mean deleted, such "
        "as `values: [1]`"
    )
