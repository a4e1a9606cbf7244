"""Random rows for any contract, with the values that break pipelines among them."""

import math
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from core.contracts import Column, DataType, TableContract

_NULL_SHARE = 0.15
_LONG_TEXT_SHARE = 0.3
_LONG_TEXT_COLUMNS = frozenset({"biography", "body"})
_LONG_TEXT_LENGTH = 9_000
"""Longer than a page can hold even compressed, so that PostgreSQL stores it out of line (TOAST)."""

_TEXTS = (
    "",
    " ",
    "plain",
    'O\'Brien "Bob" \\ backslash',
    "line\nbreak\ttab",
    "Zoë Müller-Łukasz",
    "李小龙",
    "👩‍👩‍👧‍👦 family",
    "مرحبا",
    "e\u0301 decomposed",
    "<null>",
    "null",
    "a|b,c;d",
    '{"json": true}',
    "x" * 500,
)
_NUMBERS = (0, 1, -1, 2**31, -(2**63), 2**63 - 1)
_DECIMALS = ("0", "-0.01", "0.000000001", "12345678901234567890123456789.123456789", "-99999.99", "10.10")
_FLOATS = (0.0, -0.0, 0.1, -1.5, 1e-300, 1.7976931348623157e308, math.nan, math.inf, -math.inf)
_DOCUMENTS: tuple[Any, ...] = (
    {},
    [],
    {"a": 1, "b": {"c": [1, 2.5, None, "é"]}},
    "text",
    17,
    {"big": 12345678901234567890, "quote": "\"'\\"},
)
_FIRST_INSTANT = datetime(1900, 1, 1, tzinfo=UTC)
_FIRST_DATE = date(1900, 1, 1)


def random_row(contract: TableContract, key: tuple[Any, ...], chooser: random.Random) -> dict[str, Any]:
    """Return a row of a contract's table.

    Args:
        contract: the table.
        key: values of the key columns, in the contract's order.
        chooser: source of randomness.

    Returns:
        Python value by column name; null only where the contract allows it.
    """
    keys = dict(zip((column.name for column in contract.key), key, strict=True))
    return {
        column.name: keys[column.name] if column.is_key else random_value(column, chooser)
        for column in contract.columns
    }


def random_value(column: Column, chooser: random.Random) -> Any:
    """Return a value that a column may hold.

    Args:
        column: the column.
        chooser: source of randomness.

    Returns:
        A Python value of the column's type, or None where the contract allows it.
    """
    if column.is_nullable and chooser.random() < _NULL_SHARE:
        return None
    if column.allowed_values:
        return chooser.choice(column.allowed_values)
    if column.name in _LONG_TEXT_COLUMNS and chooser.random() < _LONG_TEXT_SHARE:
        return "".join(chooser.choices("abcdefghijklmnopqrstuvwxyzäöü0123456789", k=_LONG_TEXT_LENGTH))
    return _MAKERS[column.data_type](chooser)


def _instant(chooser: random.Random) -> datetime:
    return _FIRST_INSTANT + timedelta(microseconds=chooser.randrange(200 * 365 * 86_400 * 10**6))


def _text(chooser: random.Random) -> str:
    return chooser.choice(_TEXTS)


_MAKERS: dict[DataType, Callable[[random.Random], Any]] = {
    "int64": lambda chooser: chooser.choice(_NUMBERS),
    "numeric": lambda chooser: Decimal(chooser.choice(_DECIMALS)),
    "bignumeric": lambda chooser: Decimal(chooser.choice(_DECIMALS)),
    "float64": lambda chooser: chooser.choice(_FLOATS),
    "bool": lambda chooser: chooser.random() < 0.5,  # noqa: PLR2004 - a coin
    "string": _text,
    "bytes": lambda chooser: chooser.randbytes(chooser.choice((0, 1, 32, 300))),
    "date": lambda chooser: _FIRST_DATE + timedelta(days=chooser.randrange(200 * 365)),
    "datetime": lambda chooser: _instant(chooser).replace(tzinfo=None),
    "time": lambda chooser: time(chooser.randrange(24), chooser.randrange(60), microsecond=chooser.randrange(10**6)),
    "timestamp": _instant,
    "json": lambda chooser: chooser.choice(_DOCUMENTS),
    "array<string>": lambda chooser: [_text(chooser) for _ in range(chooser.randrange(4))],
    "array<int64>": lambda chooser: [chooser.choice(_NUMBERS) for _ in range(chooser.randrange(4))],
}
