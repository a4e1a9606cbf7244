"""Likely causes: what the values of differing rows have plainly in common.

A pattern is told only when nine of ten rows that were looked at show it, and at least three do. It is a lead for who
looks further, and never changes a verdict. No cause repeats a value, so that those of personal columns can be told.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, Final

from core.contracts import DataType
from reconcile.conclusions import Cause

Pair = tuple[Any, Any]
"""A warehouse's value and the snapshot's, in the types they are stored in; None for null."""

LEAST_ROWS: Final = 3
"""Fewer rows may look alike by chance."""
PLAIN_SHARE: Final = 0.9
"""Share of the rows that must show a pattern."""
LAG_WINDOW: Final = timedelta(hours=6)
"""How long before the snapshot missing rows may have changed to be called late."""

_QUARTER: Final = timedelta(minutes=15)
_LARGEST_OFFSET: Final = timedelta(hours=14)
"""Offsets from UTC are multiples of a quarter of an hour, from -12 to +14 hours (IANA time zone database)."""
_SUMMER_TIME: Final = timedelta(hours=1)
_DIGITS: Final = 80
_UNITS: Final = {
    "milliseconds": timedelta(milliseconds=1),
    "seconds": timedelta(seconds=1),
    "minutes": timedelta(minutes=1),
    "days": timedelta(days=1),
}
_FACTORS: Final = (10, 100, 1_000, 10_000, 1_000_000)
_WORD: Final = 2**32


def column_cause(column: str, data_type: DataType, pairs: Sequence[Pair]) -> Cause | None:
    """Return what the changed values of one column probably come from.

    Args:
        column: its name.
        data_type: type it is compared in.
        pairs: both values of rows in which they differ.

    Returns:
        The pattern that explains most of them; None when none is plain.
    """
    if data_type in ("timestamp", "datetime"):
        shifted = _shift(column, pairs)
        if shifted is not None:
            return shifted
    told = Counter(found for left, right in pairs if (found := _pattern(data_type, left, right)) is not None)
    for (name, words), rows in told.most_common(1):
        if _is_plain(rows, len(pairs)):
            return Cause(name, column, words, rows, len(pairs))
    return _stale(column, data_type, pairs)


def missing_cause(newest: Sequence[datetime | None], taken_at: datetime) -> Cause | None:
    """Return what missing rows probably come from.

    Args:
        newest: the newest instant in each missing row of the snapshot (UTC, without a zone); None when it has none.
        taken_at: when the snapshot was taken (UTC).

    Returns:
        `lag` when the rows all changed shortly before the snapshot was taken; else None.
    """
    instant = taken_at.replace(tzinfo=None)
    recent = [at for at in newest if at is not None and instant - LAG_WINDOW <= at <= instant]
    if not _is_plain(len(recent), len(newest)):
        return None
    behind = max(instant - at for at in recent)
    words = (
        f"the missing rows changed in the last {_length(behind)} before the snapshot: they may still be on their way"
    )
    return Cause("lag", None, words, len(recent), len(newest))


def merged(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return the causes of several parts of one comparison as those of the whole.

    Args:
        causes: causes of the parts.

    Returns:
        One for each pattern and column, with the rows of all parts.
    """
    rows: dict[tuple[str, str | None, str], tuple[int, int]] = {}
    for cause in causes:
        known = rows.get((cause.name, cause.column, cause.words), (0, 0))
        rows[cause.name, cause.column, cause.words] = (known[0] + cause.rows, known[1] + cause.looked_at)
    return tuple(Cause(name, column, words, *counts) for (name, column, words), counts in rows.items())


def _is_plain(rows: int, of: int) -> bool:
    return rows >= LEAST_ROWS and rows >= PLAIN_SHARE * of


def _shift(column: str, pairs: Sequence[Pair]) -> Cause | None:
    """Look for one offset from UTC in all rows, or two that are an hour apart: summer time."""
    gaps = Counter(
        left - right for left, right in pairs if left is not None and right is not None and _is_offset(left - right)
    )
    if not gaps:
        return None
    usual = gaps.most_common(1)[0][0]
    for partner in (usual - _SUMMER_TIME, usual + _SUMMER_TIME):
        rows = gaps[usual] + (gaps[partner] if partner else 0)
        if _is_plain(rows, len(pairs)):
            seasons = " or an hour beside it (summer time)" if gaps[partner] and partner else ""
            return Cause("time zone shift", column, f"the warehouse is {_signed(usual)}{seasons}", rows, len(pairs))
    return None


def _is_offset(gap: timedelta) -> bool:
    return bool(gap) and not gap % _QUARTER and abs(gap) <= _LARGEST_OFFSET


def _stale(column: str, data_type: DataType, pairs: Sequence[Pair]) -> Cause | None:
    if data_type not in ("timestamp", "datetime"):
        return None
    older = sum(left is not None and right is not None and left < right for left, right in pairs)
    if not _is_plain(older, len(pairs)):
        return None
    return Cause("lag", column, "the warehouse holds an older version of the rows", older, len(pairs))


def _pattern(data_type: DataType, left: Any, right: Any) -> tuple[str, str] | None:
    if left is None or right is None:
        return _null(left, right)
    test = _TESTS.get(data_type)
    return None if test is None else test(left, right)


def _null(left: Any, right: Any) -> tuple[str, str] | None:
    side = "warehouse" if left is None else "snapshot"
    if (right if left is None else left) in ("", b"", []):
        return "null and empty", f"null in the {side}, empty on the other side"
    return "lost values", f"null in the {side}, a value on the other side"


def _text(left: str, right: str) -> tuple[str, str] | None:
    for name, words, form in _FORMS:
        if form(left) == form(right):
            return name, words
    return _zeros(left, right) or _cut_text(left, right) or _charset(left, right)


def _cut_text(left: str, right: str) -> tuple[str, str] | None:
    short, long, side = (left, right, "warehouse") if len(left) < len(right) else (right, left, "snapshot")
    if short and long.startswith(short):
        return "truncation", f"cut after {len(short)} characters in the {side}"
    return None


def _zeros(left: str, right: str) -> tuple[str, str] | None:
    if left.isdecimal() and right.isdecimal() and left.lstrip("0") == right.lstrip("0"):
        return "trimmed zeros", f"leading zeros are gone in the {'warehouse' if len(left) < len(right) else 'snapshot'}"
    try:
        same = Decimal(left) == Decimal(right)
    except InvalidOperation:
        return None
    if same and len(left) != len(right):
        return (
            "trimmed zeros",
            f"trailing zeros are gone in the {'warehouse' if len(left) < len(right) else 'snapshot'}",
        )
    return None


def _charset(left: str, right: str) -> tuple[str, str] | None:
    for wrong, fine, side in ((left, right, "warehouse"), (right, left, "snapshot")):
        for charset in ("latin-1", "cp1252"):
            try:
                if wrong.encode(charset).decode("utf-8") == fine:
                    return "wrong character set", f"UTF-8 was read as {charset} in the {side}"
            except UnicodeError:
                continue
    return None


def _number(left: Any, right: Any) -> tuple[str, str] | None:
    with localcontext(prec=_DIGITS):
        ours, theirs = (value if isinstance(value, Decimal) else Decimal(str(value)) for value in (left, right))
        if not (ours.is_finite() and theirs.is_finite()):
            return None
        return _rounded(ours, theirs) or _scaled(ours, theirs) or _wrapped(ours, theirs)


def _rounded(left: Decimal, right: Decimal) -> tuple[str, str] | None:
    coarse, fine, side = (left, right, "warehouse") if _places(left) < _places(right) else (right, left, "snapshot")
    places = _places(coarse)
    if places == _places(fine):
        return None
    # Zeros at the end are not kept: what was rounded to two places may show one.
    for kept in range(places, _places(fine)):
        if abs(coarse - fine) < Decimal(1).scaleb(-kept) and round(fine, kept) == coarse:
            return "rounding", f"rounded in the {side}"
        if abs(coarse - fine) < Decimal(1).scaleb(-kept) and int(fine.scaleb(kept)) == coarse.scaleb(kept):
            return "truncation", f"decimals cut in the {side}"
    return None


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _scaled(left: Decimal, right: Decimal) -> tuple[str, str] | None:
    if left == -right:
        return "sign", "the sign is turned round"
    for factor in _FACTORS:
        if left == right * factor:
            return "unit", f"the warehouse is {factor:,} times the snapshot"
        if right == left * factor:
            return "unit", f"the snapshot is {factor:,} times the warehouse"
    return None


def _wrapped(left: Decimal, right: Decimal) -> tuple[str, str] | None:
    if left % 1 or right % 1 or (left - right) % _WORD:
        return None
    return "overflow", "apart by a multiple of 2^32: one side kept 32 bits"


def _instant(left: datetime, right: datetime) -> tuple[str, str] | None:
    coarse, fine, side = (left, right, "warehouse") if left < right else (right, left, "snapshot")
    for unit, length in _UNITS.items():
        if fine - coarse < length and not _since_midnight(coarse) % length:
            return "truncation", f"cut to {unit} in the {side}"
    return None


def _since_midnight(at: datetime) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond)


def _day(left: date, right: date) -> tuple[str, str] | None:
    gap = (left - right).days
    return ("time zone shift", f"the warehouse is {gap:+} day") if abs(gap) == 1 else None


def _elements(left: list[Any], right: list[Any]) -> tuple[str, str] | None:
    if Counter(left) == Counter(right):
        return "order", "the elements are the same in another order"
    return ("doubled elements", "the elements are the same but for repeated ones") if set(left) == set(right) else None


def _signed(gap: timedelta) -> str:
    ahead = "ahead" if gap > timedelta(0) else "behind"
    return f"{_length(abs(gap))} {ahead}"


def _length(gap: timedelta) -> str:
    minutes = max(1, round(gap.total_seconds() / 60))
    hours, rest = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)


_FORMS: Final[tuple[tuple[str, str, Callable[[str], str]], ...]] = (
    (
        "unicode form",
        "the same but for the Unicode normalization form",
        lambda text: unicodedata.normalize("NFC", text),
    ),
    ("white space", "the same but for white space", lambda text: "".join(text.split())),
    ("letter case", "the same but for letter case", str.casefold),
)
_TESTS: Final[dict[DataType, Callable[[Any, Any], tuple[str, str] | None]]] = {
    "string": _text,
    "int64": _number,
    "numeric": _number,
    "bignumeric": _number,
    "float64": _number,
    "timestamp": _instant,
    "datetime": _instant,
    "date": _day,
    "array<string>": _elements,
    "array<int64>": _elements,
}
