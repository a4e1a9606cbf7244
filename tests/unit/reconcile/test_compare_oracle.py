"""The comparison against an oracle that is too simple to be wrong: dictionaries of Python values."""

import math
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reconcile_tables import column, compared, planned

from core.contracts import DataType
from reconcile.compare.sample import as_text
from reconcile.plans import ComparisonPlan

_VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    "int64": st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
    "numeric": st.sampled_from(
        [Decimal(0), Decimal("0.000000001"), Decimal("99999999999999999999999999999.999999999")]
    ),
    "float64": st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 0.1, math.nextafter(0.1, 1)]),
    "bool": st.booleans(),
    "string": st.sampled_from(["", "<null>", "a", "A", "a ", "a|b", "é", "é", "'", "\\", "\U0001f600"]),
    "bytes": st.sampled_from([b"", b"\x00", b"a", b"\xff"]),
    "timestamp": st.sampled_from(
        [datetime(2026, 1, 1, 0, 0, 0, n, tzinfo=UTC) for n in (0, 1)] + [datetime(1, 1, 1, tzinfo=UTC)]
    ),
    "array<string>": st.lists(st.sampled_from(["", "a", "b"]), max_size=2),
}
_KEY_TYPES: list[DataType] = ["int64", "string", "bytes", "timestamp", "numeric"]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[ComparisonPlan, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    keys = draw(st.lists(st.sampled_from(_KEY_TYPES), min_size=1, max_size=3))
    types = draw(st.lists(st.sampled_from(list(_VALUES)), max_size=4))
    columns = [column(f"k{n}", kind, is_key=True) for n, kind in enumerate(keys)]
    columns += [column(f"v{n}", kind) for n, kind in enumerate(types)]
    row = st.tuples(*(st.none() | _VALUES[found.data_type] for found in columns))
    snapshot = draw(st.lists(row, max_size=8))
    # The warehouse starts as a copy and is then edited: rows lost, doubled, changed and added.
    warehouse: list[tuple[Any, ...]] = []
    for original in snapshot:
        warehouse += [original] * draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
        if warehouse and types and draw(st.booleans()):
            number = draw(st.integers(len(keys), len(columns) - 1))
            edited = list(warehouse[-1])
            edited[number] = draw(st.none() | _VALUES[columns[number].data_type])
            warehouse[-1] = tuple(edited)
    warehouse += draw(st.lists(row, max_size=2))
    return planned(*columns), warehouse, snapshot


def _comparable(value: Any) -> Any:
    """A value under the default rules as something Python compares with `==`."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, list):
        return tuple(value) or None
    return value


def _oracle(plan: ComparisonPlan, warehouse: list[Any], snapshot: list[Any]) -> dict[str, Any]:
    count = len(plan.key)
    sides = [[tuple(map(_comparable, row)) for row in rows] for rows in (warehouse, snapshot)]
    tallies = [Counter(row[:count] for row in rows) for rows in sides]
    doubled = {key for tally in tallies for key, times in tally.items() if times > 1}
    left, right = ({row[:count]: row[count:] for row in rows if row[:count] not in doubled} for rows in sides)
    both = left.keys() & right.keys()
    changed = {key: [n for n, (a, b) in enumerate(zip(left[key], right[key], strict=True)) if a != b] for key in both}
    return {
        "duplicated": doubled,
        "duplicated_rows": tuple(sum(tally[key] for key in doubled) for tally in tallies),
        "missing": right.keys() - both,
        "extra": left.keys() - both,
        "changed": {key: columns for key, columns in changed.items() if columns},
        "matched": sum(not columns for columns in changed.values()),
    }


def _spelled(plan: ComparisonPlan, keys: Any) -> set[tuple[str | None, ...]]:
    return {tuple(as_text(value, part.data_type) for value, part in zip(key, plan.key, strict=True)) for key in keys}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_cases())
def test_comparison_finds_exactly_what_the_oracle_finds(
    case: tuple[ComparisonPlan, list[tuple[Any, ...]], list[tuple[Any, ...]]],
) -> None:
    plan, warehouse, snapshot = case
    expected = _oracle(plan, warehouse, snapshot)
    found = compared(plan, warehouse, snapshot)
    counts = found.counts
    by_kind: dict[str, set[Any]] = {kind: set() for kind in ("missing", "extra", "changed", "duplicated")}
    for difference in found.sample:
        by_kind[difference.kind].add(tuple(part.value for part in difference.key))
    assert by_kind == {kind: _spelled(plan, expected[kind]) for kind in by_kind}
    assert counts.matched == expected["matched"]
    assert (counts.missing, counts.extra) == (len(expected["missing"]), len(expected["extra"]))
    assert (counts.changed, counts.duplicated_keys) == (len(expected["changed"]), len(expected["duplicated"]))
    assert (counts.duplicated_warehouse, counts.duplicated_snapshot) == expected["duplicated_rows"]
    per_column = Counter(number for columns in expected["changed"].values() for number in columns)
    assert [result.changed for result in found.columns if not result.is_key] == [
        per_column[number] for number in range(len(plan.values))
    ]
    assert counts.warehouse_rows == len(warehouse)
    assert counts.snapshot_rows == len(snapshot)
    assert counts.warehouse_rows == counts.matched + counts.changed + counts.extra + counts.duplicated_warehouse
    assert counts.snapshot_rows == counts.matched + counts.changed + counts.missing + counts.duplicated_snapshot
