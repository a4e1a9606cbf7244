"""Filters that planning passes are those that GoogleSQL's analyzer takes, for every type and kind of constant."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, get_args

from googlesql import Catalog

from core.contracts import DataType
from core.errors import ConfigurationError
from reconcile.config import Scalar
from reconcile.planning.filters import Filtered, check_condition
from reconcile.read.filters import Condition, conditions
from reconcile.read.warehouse import WarehouseTable

CONSTANTS: Final[tuple[Scalar, ...]] = (
    1, Decimal("0.1"), True, "2026-01-01", "10:00:00", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)
)  # fmt: skip


def test_a_filter_passes_where_googlesql_takes_it() -> None:
    catalog = Catalog("p")
    kinds = get_args(DataType)
    catalog.add("d", "t", {_name(kind): kind for kind in kinds})
    side = Filtered(WarehouseTable("p", "d", "t"), {_name(kind): kind for kind in kinds}, None, ())
    wrong = []
    for kind in kinds:
        for values in [*((constant,) for constant in CONSTANTS), (None,)]:
            [condition] = conditions({_name(kind): values})
            refusal = catalog.analyze(f"select 1 from p.d.t where {condition.googlesql()}")
            # Whether a text spells a value is another question, and not asked beforehand.
            if "Could not cast literal" not in (refusal or "") and (refusal is None) != _passes(condition, side):
                wrong.append((kind, values, refusal))
    assert wrong == []


def _name(kind: DataType) -> str:
    return f"v_{kind.replace('<', '_').rstrip('>')}"


def _passes(condition: Condition, side: Filtered) -> bool:
    try:
        check_condition(condition, side)
    except ConfigurationError:
        return False
    return True
