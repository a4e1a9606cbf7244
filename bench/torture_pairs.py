"""Pairs of values that tools for comparing tables get wrong, and what each is: equal or different.

They are held against ours in the tests, and against the peers by `python -m bench.torture`.
"""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from core.contracts import DataType

EQUAL, DIFFERENT = True, False
NFC, NFD = "caf\u00e9", "cafe\u0301"
ULP = math.nextafter(0.1, 1)
BIG = Decimal("9" * 29 + "." + "9" * 9)
BIGGEST = Decimal("5" * 37 + "." + "5" * 38)


def at(micros: int) -> datetime:
    """Return an instant in an hour that clocks of Central Europe skip.

    Args:
        micros: microseconds within its first second.
    """
    return datetime(2026, 3, 29, 1, 30, 0, micros, tzinfo=UTC)


PAIRS: dict[DataType, list[tuple[Any, Any, bool]]] = {
    "string": [
        (None, None, EQUAL),
        (None, "", DIFFERENT),
        (None, "<null>", DIFFERENT),
        (None, "NULL", DIFFERENT),
        ("", " ", DIFFERENT),
        ("a", "a ", DIFFERENT),
        ("a", " a", DIFFERENT),
        ("a b", "a\u00a0b", DIFFERENT),
        ("a\n", "a\r\n", DIFFERENT),
        ("a", "A", DIFFERENT),
        (NFC, NFD, DIFFERENT),
        ("\u200b", "", DIFFERENT),
        ("a\u0000b", "a", DIFFERENT),
        ("1", "1.0", DIFFERENT),
        ("\U0001f600", "\U0001f600", EQUAL),
        ("ß", "ss", DIFFERENT),
        ("'; drop table x; --", "'; drop table x; --", EQUAL),
    ],
    "bytes": [
        (None, b"", DIFFERENT),
        (b"", b"", EQUAL),
        (b"\x00", b"", DIFFERENT),
        (b"\x00a", b"\x00b", DIFFERENT),
        (b"\xff\xfe", b"\xff\xfe", EQUAL),
        (b"\xff", b"\xfe", DIFFERENT),
        (b"a", b"A", DIFFERENT),
    ],
    "float64": [
        (0.1, 0.1, EQUAL),
        (0.1, ULP, DIFFERENT),
        (1e308, math.inf, DIFFERENT),
        (math.inf, -math.inf, DIFFERENT),
        (math.nan, math.nan, EQUAL),
        (math.nan, -math.nan, EQUAL),
        (math.nan, None, DIFFERENT),
        (math.nan, math.inf, DIFFERENT),
        (-0.0, 0.0, EQUAL),
        (5e-324, 0.0, DIFFERENT),
        (0.1 + 0.2, 0.3, DIFFERENT),
        (2.0**53, 2.0**53 + 1, EQUAL),  # the same double
    ],
    "numeric": [
        (Decimal("1.10"), Decimal("1.1"), EQUAL),
        (Decimal("0.000000001"), Decimal("0.000000002"), DIFFERENT),
        (BIG, BIG, EQUAL),
        (BIG, Decimal("9" * 29 + "." + "9" * 8 + "8"), DIFFERENT),
        (Decimal("-0"), Decimal("0"), EQUAL),
        (Decimal(0), None, DIFFERENT),
    ],
    "bignumeric": [
        (BIGGEST, BIGGEST, EQUAL),
        (BIGGEST, Decimal("5" * 37 + "." + "5" * 37 + "6"), DIFFERENT),
        (Decimal("1.10"), Decimal("1.1"), EQUAL),
        (Decimal("1e-38"), Decimal(0), DIFFERENT),
    ],
    "int64": [
        (2**53, 2**53 + 1, DIFFERENT),
        (2**63 - 1, 2**63 - 1, EQUAL),
        (-(2**63), 2**63 - 1, DIFFERENT),
        (0, None, DIFFERENT),
    ],
    "bool": [(False, None, DIFFERENT), (True, True, EQUAL), (True, False, DIFFERENT)],
    "date": [
        (date(1, 1, 1), date(1, 1, 1), EQUAL),
        (date(1582, 10, 4), date(1582, 10, 15), DIFFERENT),
        (date(9999, 12, 31), None, DIFFERENT),
    ],
    "time": [(time(0, 0, 0, 1), time(0, 0), DIFFERENT), (time(23, 59, 59, 999_999), time(23, 59, 59, 999_999), EQUAL)],
    "timestamp": [
        (at(1), at(1), EQUAL),
        (at(1), at(2), DIFFERENT),
        (at(0), datetime(2026, 3, 29, 2, 30, 0, tzinfo=UTC), DIFFERENT),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), EQUAL),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), None, DIFFERENT),
    ],
    "datetime": [(datetime.fromisoformat("2026-03-29T02:30"), datetime.fromisoformat("2026-03-29T03:30"), DIFFERENT)],
    "json": [
        ('{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}', EQUAL),
        ("[1, 2]", "[2, 1]", DIFFERENT),
        ("1.10", "1.1", EQUAL),
        ("1e2", "100", EQUAL),
        ("1.0", "1", EQUAL),
        ("-0.0", "0", EQUAL),
        ("0.1", "0.10000000000000000000000000001", DIFFERENT),
        ("9007199254740993", "9007199254740992", DIFFERENT),
        ("1e400", "1e401", DIFFERENT),
        ('"1"', "1", DIFFERENT),
        ("null", None, DIFFERENT),
        ('""', None, DIFFERENT),
        ("{}", "[]", DIFFERENT),
        ('{"a":null}', "{}", DIFFERENT),
        ('"\\u00e9"', '"\u00e9"', EQUAL),
        (f'"{NFC}"', f'"{NFD}"', DIFFERENT),
        ("true", "1", DIFFERENT),
        ("not json", "not json", EQUAL),
        ("not json", "not  json", DIFFERENT),
    ],
    "array<string>": [
        (["a", "b"], ["a", "b"], EQUAL),
        (["a", "b"], ["b", "a"], DIFFERENT),
        (["a|b"], ["a", "b"], DIFFERENT),
        (["a,b"], ["a", "b"], DIFFERENT),
        ([""], [], DIFFERENT),
        ([None], [], DIFFERENT),
        ([None], [""], DIFFERENT),
        ([None], [None], EQUAL),
        (None, [], EQUAL),  # BigQuery stores no null array
        (["a"], ["a", "a"], DIFFERENT),
    ],
    "array<int64>": [([1, 2], [1, 2], EQUAL), ([1, 2], [2, 1], DIFFERENT), ([2**53], [2**53 + 1], DIFFERENT)],
}
