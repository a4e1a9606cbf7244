"""The first differences of each kind, with their values as people can read them."""

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import duckdb

from core.contracts import DataType
from reconcile.compare.explain import decimal_text, hint
from reconcile.compare.lookup import history_sql, row_sql
from reconcile.compare.ranges import EVERYTHING, KeyRange, range_of
from reconcile.compare.statements import Side, Statements
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.read.canonical_json import canonicaliser
from reconcile.result import KINDS, Change, Difference, KeyValue, Kind

_LONGEST: Final = 240
_CONTEXT: Final = 60
_PAIRED: Final[frozenset[Kind]] = frozenset({"changed", "in_flight"})

Row = tuple[Any, ...]


Show = Callable[[KeyRange], None]
"""Has the views of both sides show a range of keys."""


def sample(
    connection: duckdb.DuckDBPyConnection, statements: Statements, count: int, show: Show
) -> tuple[Difference, ...]:
    """Look up the first differences of each kind.

    Args:
        connection: where the comparison's tables stand.
        statements: the comparison.
        count: most differences of each kind.
        show: called before values are looked up; the views are left as it made them last.

    Returns:
        The differences, kind by kind, in key order.
    """
    return tuple(found for kind in KINDS for found in _of_kind(connection, statements, kind, count, show))


def _of_kind(
    connection: duckdb.DuckDBPyConnection, statements: Statements, kind: Kind, count: int, show: Show
) -> list[Difference]:
    connection.execute(statements.pick(kind, count))
    picked = connection.execute(statements.picked()).fetchall()
    left: dict[int, Row] = {}
    right: dict[int, Row] = {}
    if picked and kind in _PAIRED:
        low, high, is_told = connection.execute(statements.picked_range()).fetchone() or (None, None, False)
        # The first differences often lie close together, and then in a few row groups.
        show(range_of(statements.plan, low, high) if is_told else EVERYTHING)
        left = _values(connection, statements, "warehouse")
        right = _values(connection, statements, "snapshot")
    return [
        _difference(statements.plan, kind, row, left.get(number), right.get(number))
        for number, row in enumerate(picked, start=1)
    ]


def _values(connection: duckdb.DuckDBPyConnection, statements: Statements, side: Side) -> dict[int, Row]:
    return {row[0]: row[1:] for row in connection.execute(statements.picked_values(side)).fetchall()}


def _difference(plan: ComparisonPlan, kind: Kind, row: Row, left: Row | None, right: Row | None) -> Difference:
    keys = len(plan.key)
    key, (warehouse_rows, snapshot_rows), flags = row[:keys], row[keys : keys + 2], row[keys + 2 :]
    changes: tuple[Change, ...] = ()
    if left is not None and right is not None:
        changes = tuple(
            _change(column, left[number], right[number])
            for number, (column, is_changed) in enumerate(zip(plan.values, flags, strict=True))
            if is_changed
        )
    return Difference(
        kind=kind,
        key=tuple(_key_value(column, value) for column, value in zip(plan.key, key, strict=True)),
        changes=changes,
        warehouse_rows=warehouse_rows,
        snapshot_rows=snapshot_rows,
        sql=row_sql(plan, key),
        history_sql=history_sql(plan, key),
    )


def _key_value(column: PlannedColumn, value: Any) -> KeyValue:
    text = as_text(value, column.data_type)
    return KeyValue(column.name, text if column.masked is None else _masked(value, column.masked), column.masked)


def _change(column: PlannedColumn, left: Any, right: Any) -> Change:
    if column.data_type == "json":
        left, right = (_canonical(column, value) for value in (left, right))
    told = hint(column.data_type, left, right)
    if column.masked is None:
        shown = _excerpts(as_text(left, column.data_type), as_text(right, column.data_type))
        return Change(column.name, *shown, masked=None, hint=told)
    # How much a masked number differs by would say something of the number; the form of a text does not.
    safe = told if column.data_type == "string" or left is None or right is None else None
    masked = column.masked
    return Change(column.name, _masked(left, masked), _masked(right, masked), masked=masked, hint=safe)


def _canonical(column: PlannedColumn, text: str | None) -> str | None:
    # As they are compared: the order of members and white space would only hide what differs.
    return None if text is None else canonicaliser(column.rule.numbers)(text)


def _masked(value: Any, personal: str) -> str | None:
    """Say that a value is there, and how long it is, but not what it is."""
    if value is None:
        return None
    if isinstance(value, str | bytes):
        unit = "character" if isinstance(value, str) else "byte"
        return f"{personal}, {len(value)} {unit}{'' if len(value) == 1 else 's'}"
    return personal


def as_text(value: Any, data_type: DataType) -> str | None:
    """Return a value as text that tells it from every other value of its type.

    Args:
        value: what the engine returned.
        data_type: the column's type.

    Returns:
        The text; None for null. Bytes are hexadecimal, arrays are JSON, points in time are ISO 8601.
    """
    if value is None:
        return None
    if data_type == "timestamp" and isinstance(value, datetime):
        return f"{value.isoformat(timespec='microseconds')}Z"
    if data_type == "bignumeric":
        return decimal_text(Decimal(value))
    for kind, spell in _SPELLINGS:
        if isinstance(value, kind):
            return spell(value)
    return str(value)


_SPELLINGS: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (bool, lambda value: "true" if value else "false"),
    (float, repr),
    (Decimal, decimal_text),
    (bytes, bytes.hex),
    (datetime, lambda value: value.isoformat(timespec="microseconds")),
    (date, date.isoformat),
    (time, lambda value: value.isoformat(timespec="microseconds")),
    (list, lambda value: json.dumps(value, ensure_ascii=False)),
)


def _excerpts(left: str | None, right: str | None) -> tuple[str | None, str | None]:
    """Cut long texts to the place where they part."""
    if left is None or right is None or max(len(left), len(right)) <= _LONGEST:
        return _cut(left, 0), _cut(right, 0)
    same = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, same - _CONTEXT)
    return _cut(left, start), _cut(right, start)


def _cut(text: str | None, start: int) -> str | None:
    if text is None or (start == 0 and len(text) <= _LONGEST):
        return text
    end = start + _LONGEST
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "") + f" ({len(text)} characters)"
