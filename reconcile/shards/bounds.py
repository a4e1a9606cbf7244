"""A range of keys as a filter that both sides push down."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.identifiers import check_name
from reconcile.read.filters import Bind, Condition, googlesql_literal
from reconcile.rules import literal, quoted

Bound = int | str | date

_COMPARED_BYTES: Final = 8


@dataclass(frozen=True)
class Between(Condition):
    """A column that must lie in a range. Its `values` are empty: it is a condition of another kind.

    Attributes:
        low: its first value; None for the range that begins before all.
        high: the first value after it; None for the range that ends after all.
        is_first: whether rows without a key are of it: those of no range would be compared by nobody.
    """

    low: Bound | None = None
    high: Bound | None = None
    is_first: bool = False

    def googlesql(self) -> str:
        """See `Condition.googlesql`."""
        name = check_name(self.column)
        tests = [f"{name} {sign} {googlesql_literal(bound)}" for sign, bound in self._bounds()]
        return self._with_null(" and ".join(tests) or "true", name)

    def database(self, name: str, bind: Bind, text_order: str) -> str:
        """See `Condition.database`."""
        tests = [
            f"{name}{text_order if isinstance(bound, str) else ''} {sign} {bind(bound)}"
            for sign, bound in self._bounds()
        ]
        return self._with_null(" and ".join(tests) or "true", name)

    def duckdb(self) -> str:
        """See `Condition.duckdb`."""
        name = quoted(self.column)
        tests = [f"{name} {sign} {_engine_literal(bound)}" for sign, bound in self._bounds()]
        return self._with_null(" and ".join(tests) or "true", name)

    def suits(self, schema: pa.Schema) -> bool:
        """See `Condition.suits`; bounds come from footers of the column's own type."""
        return self.column in schema.names

    def may_hold(self, low: object, high: object) -> bool:
        """See `Condition.may_hold`."""
        if self.is_first:
            # The engine does not tell by statistics that nothing is null.
            return True
        begins = self.low is None or _reaches(self.low, high, is_open=False)
        return begins and (self.high is None or _reaches(low, self.high, is_open=True))

    def mask(self, array: pa.Array) -> pa.Array:
        """See `Condition.mask`."""
        found = pa.repeat(pa.scalar(value=True), len(array))
        tests = {">=": pc.greater_equal, "<": pc.less}
        for sign, bound in self._bounds():
            held = tests[sign](array, pa.scalar(bound, array.type))
            found = pc.and_(found, pc.fill_null(held, fill_value=False))
        return pc.if_else(array.is_valid(), found, pa.scalar(self.is_first))

    def _bounds(self) -> list[tuple[str, Bound]]:
        return [(sign, bound) for sign, bound in ((">=", self.low), ("<", self.high)) if bound is not None]

    def _with_null(self, tests: str, name: str) -> str:
        return f"({tests} or {name} is null)" if self.is_first else f"({tests})"


def _reaches(left: object, right: object, *, is_open: bool) -> bool:
    """Return whether the engine takes it that one value may be less than another or, unless that is open, the same.

    Of texts it compares but the first bytes; see `StringStats` in DuckDB.
    """
    if isinstance(left, str) and isinstance(right, str):
        ours, theirs = left.encode(), right.encode()
        size = min(_COMPARED_BYTES, len(ours), len(theirs))
        return ours[:size] <= theirs[:size]
    if isinstance(left, int) and isinstance(right, int):
        return left < right if is_open else left <= right
    if isinstance(left, date) and isinstance(right, date):
        return left < right if is_open else left <= right
    return True


def _engine_literal(bound: Bound) -> str:
    if isinstance(bound, int):
        return f"cast({literal(str(bound))} as bigint)"
    return literal(bound) if isinstance(bound, str) else f"date {literal(bound.isoformat())}"
