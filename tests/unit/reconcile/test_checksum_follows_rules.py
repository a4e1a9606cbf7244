"""The mode checksum says what the mode typed says, under every rule that it takes."""

import math
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest
from reconcile_files import compared_files
from reconcile_tables import column, kinds, planned

from core.contracts import DataType
from reconcile.compare.checksum import unhashable
from reconcile.compare.engine import How
from reconcile.rules import Rule

# Values that are near each other, or that engines are known to hash alike.
_VALUES: Final[dict[DataType, list[Any]]] = {
    "int64": [0, 1, -1, 2, 2**63 - 1, -(2**63)],
    "numeric": [Decimal(0), Decimal("0.000000001"), Decimal(1), Decimal("1.5")],
    "float64": [0.0, -0.0, 1.0, math.nextafter(1, 2), math.nan, -math.nan, math.inf],
    "bool": [False, True],
    "string": ["", " ", "a", "A", " a", "a  b", "a b", "\u00e9", "e\u0301", "<null>", "0"],
    "bytes": [b"", b"\x00", b"\x00\x00", b"a"],
    "timestamp": [datetime(2026, 1, 1, 0, 0, s, us, tzinfo=UTC) for s in (0, 1) for us in (0, 1)],
    "datetime": [datetime(1969, 12, 31, 23, 59, s, us) for s in (58, 59) for us in (0, 1)],
    "time": [time(0), time(0, 0, 1), time(0, 0, 1, 1)],
    "json": ['{"a": 1}', '{"a":1.0}', '{"a": 1, "b": null}', '{"b": null, "a": 1}', "1", "null"],
    "array<string>": [list(found) for n in range(3) for found in product((None, "", "a"), repeat=n)],
    "array<int64>": [list(found) for n in range(3) for found in product((None, 0, 1), repeat=n)] + [[0, 0, 1]],
}
_TOLERANT: Final = (Rule(absolute=Decimal("0.1")), Rule(relative=0.1))
_OF_ARRAYS: Final = (
    Rule(order="ignore"),
    Rule(order="set"),
    Rule(null_array="distinct"),
    Rule(order="ignore", null_array="distinct"),
    Rule(order="set", null_array="distinct"),
)
_NULLABLE: Final[tuple[DataType, ...]] = ("int64", "numeric", "float64", "string")
_ARRAYS: Final[tuple[DataType, ...]] = ("array<string>", "array<int64>")
_INSTANTS: Final[tuple[DataType, ...]] = ("timestamp", "datetime", "time")
_RULES: Final[tuple[tuple[DataType, Rule], ...]] = (
    *((data_type, Rule()) for data_type in _VALUES),
    *((data_type, Rule(null_equivalents=("0",))) for data_type in _NULLABLE),
    *(("float64", rule) for rule in _TOLERANT),
    ("float64", Rule(nan="distinct")),
    ("float64", Rule(zero="signed")),
    *((data_type, Rule(precision="second")) for data_type in _INSTANTS),
    ("string", Rule(case="ignore")),
    ("string", Rule(space="trim")),
    ("string", Rule(space="collapse")),
    ("string", Rule(unicode="nfc")),
    *((data_type, rule) for data_type in _ARRAYS for rule in _OF_ARRAYS),
    ("json", Rule(numbers="double")),
    ("json", Rule(numbers="text")),
)


def _named(found: DataType | Rule) -> str:
    if isinstance(found, str):
        return found
    return " ".join(str(v) for k, v in vars(found).items() if v != getattr(Rule(), k)) or "default"


def test_every_setting_of_every_rule_is_among_those_tried() -> None:
    tried = {(name, value) for _, rule in _RULES for name, value in vars(rule).items()}
    for name in Rule.__dataclass_fields__:
        assert {value for setting, value in tried if setting == name} > {getattr(Rule(), name)}, name


@pytest.mark.parametrize(("data_type", "rule"), _RULES, ids=_named)
def test_checksum_finds_what_typed_finds_of_every_pair_of_values(data_type: DataType, rule: Rule) -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", data_type, rule=rule))
    if unhashable(plan) is not None:
        assert rule in (*_TOLERANT, Rule(nan="distinct"), Rule(zero="signed"))
        return
    # Buckets hold a range of keys: each of these keys has one of its own, so that no neighbour gives a row away.
    pairs = list(enumerate(product([None, *_VALUES[data_type]], repeat=2)))
    left, right = ([(n, pair[side]) for n, pair in pairs] for side in (0, 1))
    typed = compared_files(plan, left, right)
    checksum = compared_files(plan, left, right, how=How("checksum"))
    assert kinds(checksum) == kinds(typed)
    assert (checksum.counts, checksum.columns) == (typed.counts, typed.columns)


@pytest.mark.parametrize(
    ("left", "right"),
    [([0, 7], [7]), ([None], None), ([0, None], [None]), ([], [None]), ([0], [0, 0])],
    ids=str,
)
def test_arrays_of_other_lengths_differ_by_checksum_and_by_aggregate(left: Any, right: Any) -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "array<int64>"))
    sides = ([(1, left)], [(1, right)])
    assert compared_files(plan, *sides, how=How("checksum")).counts.changed == 1
    told = compared_files(plan, *sides, how=How("aggregate")).evidence
    assert told is not None
    assert not all(measure.agrees for measure in told.measures)


def test_an_empty_array_differs_from_null_where_the_rule_says_so() -> None:
    distinct = column("v", "array<int64>", rule=Rule(null_array="distinct"))
    plan = planned(column("id", "int64", is_key=True), distinct)
    assert compared_files(plan, [(1, [])], [(1, None)], how=How("checksum")).counts.changed == 1


def test_elements_that_move_to_the_neighbouring_array_change_a_checksum() -> None:
    arrays = (column("v", "array<int64>"), column("w", "array<int64>"))
    plan = planned(column("id", "int64", is_key=True), *arrays)
    left: list[Any] = [(1, [7], None), (2, [7, 8], [9]), (3, None, [0])]
    right: list[Any] = [(1, None, [7]), (2, [7], [8, 9]), (3, [0], None)]
    assert compared_files(plan, left, right, how=How("checksum")).counts.changed == 3
