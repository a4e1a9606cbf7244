"""What kind of difference it is, where two values look alike to the eye."""

import math
import unicodedata
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final

from core.contracts import DataType

_DIGITS: Final = 80
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000
_UNITS: Final = ((86_400 * _SECOND, "d"), (3_600 * _SECOND, "h"), (60 * _SECOND, "min"), (_SECOND, "s"))
"""Microseconds of each unit, the largest first."""


def hint(data_type: DataType, left: Any, right: Any) -> str | None:
    """Return what two differing values differ in, where that is easily overlooked.

    Args:
        data_type: type of the column.
        left: the warehouse's value; None for null.
        right: the snapshot's value; None for null.

    Returns:
        A few words; None when the values speak for themselves.
    """
    if left is None or right is None:
        return _null_hint(left, right)
    if data_type == "string":
        return _text_hint(left, right)
    if data_type == "float64":
        return _float_hint(left, right)
    if data_type in ("array<string>", "array<int64>") and _sorted(left) == _sorted(right):
        return "order of elements only"
    if isinstance(left, Decimal | datetime) and isinstance(right, Decimal | datetime):
        return f"warehouse is {_apart(left, right)}"
    return None


def decimal_text(value: Decimal) -> str:
    """Return a decimal in plain digits, without trailing zeros.

    Args:
        value: a finite decimal.

    Returns:
        Such as `-12.5`, and never with an exponent.
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _null_hint(left: Any, right: Any) -> str | None:
    present, side = (right, "warehouse") if left is None else (left, "snapshot")
    if present in ("", [], b""):
        return f"null in the {side}, empty on the other side"
    return None


def _text_hint(left: str, right: str) -> str | None:
    if unicodedata.normalize("NFC", left) == unicodedata.normalize("NFC", right):
        return "Unicode normalization form only"
    if "".join(left.split()) == "".join(right.split()):
        return "white space only"
    if left.casefold() == right.casefold():
        return "letter case only"
    return None


def _float_hint(left: float, right: float) -> str | None:
    if not (math.isfinite(left) and math.isfinite(right)):
        return None
    if left == right:
        return "sign of zero only"
    if math.nextafter(left, right) == right:
        return "neighbouring doubles (one unit in the last place)"
    return f"warehouse is {left - right:+.3g}"


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (value is None, value if value is not None else 0))


def _apart(left: Any, right: Any) -> str:
    """Return how far a decimal or an instant is from another, in the largest unit that says it without a fraction."""
    # The default context would round to 28 digits.
    with localcontext(prec=_DIGITS):
        gap = left - right
    if isinstance(gap, Decimal):
        return f"{'+' if gap > 0 else ''}{decimal_text(gap)}"
    micros = abs(gap) // _MICROSECOND
    size, unit = next(((size, unit) for size, unit in _UNITS if micros % size == 0), (_SECOND, "s"))
    return f"{decimal_text(Decimal(micros) / size)} {unit} {'later' if left > right else 'earlier'}"
