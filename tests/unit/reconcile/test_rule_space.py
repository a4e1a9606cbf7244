"""White space is what Unicode says it is, no more and no less."""

import sys
from typing import Final, Literal

import pytest
from reconcile_tables import column, compared, planned

from reconcile.rules import Rule

# White_Space=yes in PropList.txt of the Unicode Character Database.
_RANGES: Final = ((9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A))
_MORE: Final = (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_WHITE: Final = {n for first, last in _RANGES for n in range(first, last + 1)} | set(_MORE)
_TRIED: Final = [n for n in range(1, sys.maxunicode + 1) if not 0xD800 <= n < 0xE000 and (n < 0x3100 or n % 997 == 0)]


@pytest.mark.parametrize("space", ["trim", "collapse"])
def test_every_white_space_of_unicode_is_dropped_and_nothing_else(space: Literal["trim", "collapse"]) -> None:
    key = column("id", "int64", is_key=True)
    plan = planned(key, column("v", "string", rule=Rule(space=space)))
    left = [(n, f"a{chr(n)}") for n in _TRIED]
    right = [(n, "a" if n in _WHITE else f"a{chr(n)}{chr(n)}") for n in _TRIED]
    found = compared(plan, left, right).counts
    assert (found.matched, found.changed) == (len(_WHITE), len(_TRIED) - len(_WHITE))
    assert {int(d.key[0].value or 0) for d in compared(plan, left, right).sample}.isdisjoint(_WHITE)
