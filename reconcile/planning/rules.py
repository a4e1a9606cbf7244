"""Rules held against the columns that they are for."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final

import duckdb

from core.contracts import DataType
from reconcile.rules import Rule, cast_of_text, misfits

_EXACT: Final[frozenset[DataType]] = frozenset({"int64", "numeric"})
"""Types to which the engine rounds what has more digits."""


def rule_faults(rule: Rule, data_type: DataType, *, is_key: bool) -> Iterator[tuple[str, str]]:
    """Yield what of a rule has no meaning for its column.

    Args:
        rule: the rule.
        data_type: type of the column.
        is_key: whether the column belongs to the key.

    Yields:
        The setting, and what is wrong with it.
    """
    found = tuple(misfits(rule, data_type, is_key=is_key))
    yield from found
    if rule.null_equivalents and "null_equivalents" not in dict(found):
        yield from _wrong_equivalents(rule, data_type)


def _wrong_equivalents(rule: Rule, data_type: DataType) -> Iterator[tuple[str, str]]:
    """Yield the null equivalents that no value of the type is spelled as; the engine would stop at them, or round."""
    with duckdb.connect(":memory:") as connection:
        for text in rule.null_equivalents:
            if not _is_value(connection, text, data_type):
                yield "null_equivalents", f"{text!r} is not {data_type}, so that no value could equal it"


def _is_value(connection: duckdb.DuckDBPyConnection, text: str, data_type: DataType) -> bool:
    try:
        [[found]] = connection.execute(f"select {cast_of_text(text, data_type)}").fetchall()
        return data_type not in _EXACT or Decimal(text) == found
    except (duckdb.Error, InvalidOperation):
        return False
