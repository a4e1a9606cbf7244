"""Differences of each kind, with their values as people can read them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from core.contracts import DataType
from reconcile.causes import column_cause, missing_cause
from reconcile.compare.explain import decimal_text, hint
from reconcile.compare.lookup import history_sql, row_sql
from reconcile.compare.ranges import ranges_of
from reconcile.compare.statements import Side
from reconcile.compare.workspace import Workspace
from reconcile.conclusions import Cause
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.read.canonical_json import canonicaliser
from reconcile.result import KINDS, Change, Difference, KeyValue, Kind

_LONGEST: Final = 240
_CONTEXT: Final = 60
_PAIRED: Final[frozenset[Kind]] = frozenset({"changed", "in_flight"})

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Asked:
    """How much to look up.

    Attributes:
        count: differences of each kind to tell; one of each changed column is told beyond that.
        found: how many differences there are of each kind.
        columns: numbers of the value columns that differ somewhere.
        for_causes: most changed rows to look for likely causes in.
        taken_at: when the snapshot was taken (UTC), to tell late rows; None when nobody says.
    """

    count: int
    found: Mapping[Kind, int]
    columns: tuple[int, ...] = ()
    for_causes: int = 0
    taken_at: datetime | None = None


@dataclass(frozen=True)
class Sample:
    """What was looked up.

    Attributes:
        differences: kind by kind, in key order; which, is told in `reconcile.examples`.
        causes: what they probably come from.
    """

    differences: tuple[Difference, ...] = ()
    causes: tuple[Cause, ...] = ()


def sample(space: Workspace, asked: Asked) -> Sample:
    """Look up some differences of each kind.

    Args:
        space: both sides, and the table of all differences; its views are left as the last lookup made them.
        asked: how much.

    Returns:
        The differences, and their likely causes.
    """
    found = [_of_kind(space, kind, asked) for kind in KINDS]
    return Sample(
        tuple(difference for part in found for difference in part.differences),
        tuple(cause for part in found for cause in part.causes),
    )


def _of_kind(space: Workspace, kind: Kind, asked: Asked) -> Sample:
    plan = space.plan
    marked = _picked(space, kind, asked) if asked.found.get(kind) else []
    picked = [row[1:] for row in marked]
    is_dated = kind == "missing" and asked.taken_at is not None and bool(_timestamps(plan))
    sides: tuple[Side, ...] = ("warehouse", "snapshot") if kind in _PAIRED else ("snapshot",) if is_dated else ()
    values = _values(space, sides, _needed(plan, kind, asked)) if picked and sides else {}
    left, right = values.get("warehouse", {}), values.get("snapshot", {})
    differences = tuple(
        _difference(plan, kind, row[1:], left.get(number), right.get(number))
        for number, row in enumerate(marked, start=1)
        if row[0]
    )
    if kind == "changed":
        return Sample(differences, tuple(_column_causes(plan, picked, left, right)))
    if is_dated and asked.taken_at is not None and picked:
        late = missing_cause([_newest(plan, right.get(number)) for number in range(1, len(picked) + 1)], asked.taken_at)
        return Sample(differences, (late,) if late is not None else ())
    return Sample(differences)


def _picked(space: Workspace, kind: Kind, asked: Asked) -> list[Row]:
    """Pick differences of a kind; return of each whether it is shown, its key, its rows and its flags."""
    columns = asked.columns if kind == "changed" and asked.count else ()
    count = max(asked.count, asked.for_causes if kind == "changed" else 0)
    space.connection.execute(space.statements.pick(kind, count, shown=asked.count, columns=columns))
    rows: list[Row] = space.connection.execute(space.statements.picked()).fetchall()
    return rows


def _column_causes(
    plan: ComparisonPlan, picked: list[Row], left: dict[int, Row], right: dict[int, Row]
) -> Iterator[Cause]:
    flags = len(plan.key) + 2
    for place, column in enumerate(plan.values):
        pairs = [
            (left[number][place], right[number][place])
            for number, row in enumerate(picked, start=1)
            if row[flags + place] and number in left and number in right
        ]
        cause = column_cause(column.name, column.data_type, pairs)
        if cause is not None:
            yield cause


def _timestamps(plan: ComparisonPlan) -> list[int]:
    return [place for place, column in enumerate(plan.values) if column.data_type == "timestamp"]


def _newest(plan: ComparisonPlan, row: Row | None) -> datetime | None:
    return None if row is None else max((row[n] for n in _timestamps(plan) if row[n] is not None), default=None)


def _needed(plan: ComparisonPlan, kind: Kind, asked: Asked) -> frozenset[int]:
    """Return the numbers of the value columns that are told of differences of a kind: those that differ are."""
    keys = len(plan.key)
    if kind == "missing":
        return frozenset(keys + place for place in _timestamps(plan))
    return frozenset(asked.columns if kind == "changed" else range(keys, len(plan.columns)))


def _values(space: Workspace, sides: tuple[Side, ...], columns: frozenset[int]) -> dict[Side, dict[int, Row]]:
    """Look up values of what was picked, where it lies: the first differences often do close together."""
    keys = [key for (key,) in space.connection.execute(space.statements.picked_keys()).fetchall()]
    found: dict[Side, dict[int, Row]] = {side: {} for side in sides}
    for part in ranges_of(space.plan, keys, space.warehouse, space.snapshot):
        for side in sides:
            space.show_side(side, part)
            rows = space.connection.execute(space.statements.picked_values(side, columns)).fetchall()
            found[side] |= {row[0]: row[1:] for row in rows}
    return found


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
