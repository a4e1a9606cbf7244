"""Rows of every type, and what a source hands over, as they are compared: one oracle for all sources."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from core.contracts import DataType
from reconcile.read.convert import to_stored
from reconcile.read.text import ARROW
from reconcile.sources.model import EVERY_ROW, Predicate, Source, Wanted

COLUMNS: dict[str, DataType] = {
    "id": "int64",
    "amount": "numeric",
    "big": "bignumeric",
    "ratio": "float64",
    "active": "bool",
    "name": "string",
    "digest": "bytes",
    "born_on": "date",
    "local_at": "datetime",
    "at": "time",
    "changed_at": "timestamp",
    "settings": "json",
    "tags": "array<string>",
    "scores": "array<int64>",
}
ROWS: tuple[tuple[Any, ...], ...] = (
    (
        1, Decimal("99999999999999999999999999999.999999999"), Decimal("1e-38"), 0.1, True,
        "a, \"b\"\n'c'\\", b"\x00\xff", date(1, 1, 1), datetime(2026, 1, 2, 3, 4, 5, 6), time(23, 59, 59, 999_999),
        datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC), '{"b":[1.10,null],"a":"}],"}', ["x", ""], [1, -(2**63)],
    ),
    (
        -(2**63), Decimal("-0.000000001"), Decimal("-1"), math.nextafter(0.1, 1), False, "", b"", date(9999, 12, 31),
        datetime(1, 1, 1), time(0), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), "[]", ["\U0001f600"], [2**63 - 1],
    ),
    (2, Decimal("1.1"), Decimal("0.5"), math.inf, None, "<null>", b"NULL", date(2024, 2, 29), None, None,
     datetime(1970, 1, 1, tzinfo=UTC), '"text"', ["null", "NULL"], [0]),
    (3, *[None] * 13),
)  # fmt: skip


def stored(arrays: list[pa.Array], kinds: dict[str, DataType] = COLUMNS) -> list[tuple[Any, ...]]:
    """Return values as they are compared; NaN as a text, for it equals nothing."""
    columns = [
        to_stored(array, kind, cast=False, numbers="value", where=name).to_pylist()
        for array, (name, kind) in zip(arrays, kinds.items(), strict=True)
    ]
    return [tuple("nan" if value != value else value for value in row) for row in zip(*columns, strict=True)]  # noqa: PLR0124 - NaN


def oracle(rows: tuple[tuple[Any, ...], ...] = ROWS, kinds: dict[str, DataType] = COLUMNS) -> set[str]:
    """Return rows as every source must hand them over, without order."""
    arrays = [pa.array([row[n] for row in rows], ARROW[kind]) for n, kind in enumerate(kinds.values())]
    return {repr(row) for row in stored(arrays, kinds)}


def read(
    source: Source, kinds: dict[str, DataType] = COLUMNS, predicate: Predicate = EVERY_ROW
) -> list[tuple[Any, ...]]:
    """Return the rows of a source, as they are compared."""
    rows = source.rows(tuple(Wanted(name, kind) for name, kind in kinds.items()), predicate)
    found = []
    for part in rows.parts:
        for batch in part.read():
            found += stored([batch.column(name) for name in kinds], kinds)
    rows.check()
    return found


def seen(source: Source, kinds: dict[str, DataType] = COLUMNS, predicate: Predicate = EVERY_ROW) -> set[str]:
    """Return the rows of a source as `oracle` does."""
    return {repr(row) for row in read(source, kinds, predicate)}
