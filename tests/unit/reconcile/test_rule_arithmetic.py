"""Tolerances to the last digit, against Python's exact decimals."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_tables import column, compared, planned

from core.contracts import DataType
from reconcile.rules import Rule

_BILLIONTHS = st.integers(0, 5).map(lambda n: Decimal(n).scaleb(-9))


def _changed(data_type: DataType, absolute: Decimal, pairs: list[tuple[Any, Any]]) -> list[bool]:
    rule = Rule(absolute=absolute)
    plan = planned(column("id", "int64", is_key=True), column("v", data_type, rule=rule))
    left, right = ([(n, pair[side]) for n, pair in enumerate(pairs)] for side in (0, 1))
    found = {int(difference.key[0].value or 0) for difference in compared(plan, left, right).sample}
    return [n in found for n, _ in enumerate(pairs)]


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 60).map(lambda n: Decimal(n).scaleb(-10)),
    st.lists(st.tuples(_BILLIONTHS, _BILLIONTHS), min_size=1, max_size=20),
)
def test_a_tolerance_finer_than_a_numeric_is_not_rounded(
    absolute: Decimal, pairs: list[tuple[Decimal, Decimal]]
) -> None:
    assert _changed("numeric", absolute, pairs) == [abs(one - other) > absolute for one, other in pairs]


@pytest.mark.parametrize("data_type", ["numeric", "int64"])
def test_a_tolerance_beyond_every_value_lets_all_pass(data_type: DataType) -> None:
    pairs: list[tuple[Any, Any]] = [(Decimal(0), Decimal(10**18)), (Decimal(7), Decimal(7))]
    values = pairs if data_type == "numeric" else [(int(one), int(other)) for one, other in pairs]
    assert _changed(data_type, Decimal("1e30"), values) == [False, False]
    assert _changed(data_type, Decimal("0.9999999999"), values) == [True, False]
