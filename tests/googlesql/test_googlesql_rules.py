"""Rules of ranges, judged by GoogleSQL's own evaluator, where NaN is neither less nor more than any number."""

from pathlib import Path
from typing import Final

import jinja2
import pytest
from googlesql import evaluate_text

OUTSIDE: Final = Path(__file__).parents[2] / "macros/quality/outside.sql"


@pytest.mark.parametrize(("least", "greatest"), [(-1, 1), (-1, None), (None, 1)])
@pytest.mark.parametrize("value", ["0.5", "-1", "1", "2", "-2", "inf", "-inf"])
def test_a_number_lies_in_a_range_or_outside(value: str, least: int | None, greatest: int | None) -> None:
    number = float(value)
    is_in = (least is None or number >= least) and (greatest is None or number <= greatest)
    assert _answer(f"cast('{value}' as float64)", least, greatest) == str(not is_in).lower()


@pytest.mark.parametrize(("least", "greatest"), [(-1, 1), (-1, None), (None, 1)])
def test_nan_lies_outside_and_of_null_nothing_is_known(least: int | None, greatest: int | None) -> None:
    assert _answer("cast('nan' as float64)", least, greatest) == "true"
    assert _answer("cast(null as float64)", least, greatest) == "unknown"


def _answer(value: str, least: int | None, greatest: int | None) -> str:
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 # it renders SQL
    macros = environment.from_string(OUTSIDE.read_text()).module
    outside = macros.quality_outside(value, least, greatest).strip()  # type: ignore[attr-defined] # a macro
    return evaluate_text(f"select ifnull(cast({outside} as string), 'unknown')")
