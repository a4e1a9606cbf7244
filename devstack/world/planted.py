"""Differences planted in a copy of the truth, to see whether a reconciliation finds exactly these."""

import json
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from random import Random
from typing import Any, Final

from core.contracts import Contracts, DataType, TableContract
from devstack.world.changes import Key, Row, Truth
from devstack.world.jsonb import jsonb_text

MISSING_ROW: Final = "missing_row"
EXTRA_ROW: Final = "extra_row"

# The default context rounds to 28 digits; a NUMERIC has up to 38.
_EXACT: Final = Context(prec=60)
_CENT: Final = Decimal("0.01")
_NUMERIC_STEP: Final = Decimal("0.000000001")
_NUMERIC_LIMIT: Final = Decimal(10) ** 28
_INT64_MAX: Final = 2**63 - 1
_LAST_INSTANT: Final = datetime(9999, 12, 31, tzinfo=UTC)
_SMALL_FLOAT: Final = 1e-3
_LARGE_FLOAT: Final = 1e6
_TRIES: Final = 20_000


@dataclass(frozen=True, order=True)
class PlantedDifference:
    """One difference between the truth and its copy.

    Attributes:
        table: the table.
        key: the row's primary key.
        column: the column that differs; None for a row that only one side has.
        kind: what was done to it.
    """

    table: str
    key: Key
    column: str | None
    kind: str


@dataclass(frozen=True)
class _Alteration:
    """How to change a value of some type: `alter` returns None for a value it cannot change."""

    data_type: DataType
    alter: Callable[[Any], Any]
    needs_nullable: bool = False


def _numeric_plus(step: Decimal) -> Callable[[Decimal | None], Decimal | None]:
    return lambda value: None if value is None or abs(value) > _NUMERIC_LIMIT else _EXACT.add(value, step)


def _plus_microsecond(value: datetime | None) -> datetime | None:
    return None if value is None or value >= _LAST_INSTANT else value + timedelta(microseconds=1)


def _next_day(value: date | None) -> date | None:
    return None if value is None or value == date.max else value + timedelta(days=1)


def _other_unicode_form(value: str | None) -> str | None:
    if value is None:
        return None
    decomposed = unicodedata.normalize("NFD", value)
    return decomposed if decomposed != value else None


def _next_float(value: float | None) -> float | None:
    if value is None or not _SMALL_FLOAT < abs(value) < _LARGE_FLOAT:
        return None
    return math.nextafter(value, math.inf)


def _flip_first_bit(value: bytes | None) -> bytes | None:
    return bytes([value[0] ^ 1]) + value[1:] if value else None


def _json_with_more(value: str | None) -> str | None:
    document = None if value is None else json.loads(value)
    return jsonb_text({**document, "planted": 1}) if isinstance(document, dict) else None


def _reversed(value: tuple[str, ...]) -> tuple[str, ...] | None:
    return value[::-1] if value[::-1] != value else None


ALTERATIONS: Final[Mapping[str, _Alteration]] = {
    "one_cent": _Alteration("numeric", _numeric_plus(_CENT)),
    "last_decimal": _Alteration("numeric", _numeric_plus(_NUMERIC_STEP)),
    "one_microsecond": _Alteration("timestamp", _plus_microsecond),
    "one_day": _Alteration("date", _next_day),
    "one_more": _Alteration("int64", lambda value: None if value is None or value == _INT64_MAX else value + 1),
    "one_ulp": _Alteration("float64", _next_float),
    "flipped": _Alteration("bool", lambda value: None if value is None else not value),
    "empty_for_null": _Alteration("string", lambda value: "" if value is None else None, needs_nullable=True),
    "unicode_form": _Alteration("string", _other_unicode_form),
    "letter_case": _Alteration(
        "string", lambda value: value.swapcase() if value and value.isascii() and value.swapcase() != value else None
    ),
    "trailing_space": _Alteration("string", lambda value: None if value is None else f"{value} "),
    "one_bit": _Alteration("bytes", _flip_first_bit),
    "json_member": _Alteration("json", _json_with_more),
    "array_order": _Alteration("array<string>", _reversed),
}
"""Kinds of changed values; each makes the smallest difference its type can show."""

KINDS: Final = (MISSING_ROW, EXTRA_ROW, *ALTERATIONS)


def plant(
    contracts: Contracts, truth: Truth, seed: int, *, each: int = 1
) -> tuple[Truth, tuple[PlantedDifference, ...]]:
    """Plant differences in a copy of the truth.

    Args:
        contracts: the tables.
        truth: the rows; it stays as it is.
        seed: what the choice comes from.
        each: how many differences of each kind. Fewer are planted where hardly any row suits.

    Returns:
        The copy, and what was planted, sorted; no row has two differences.
    """
    rng = Random(f"{seed} planted")
    copy = {table: dict(rows) for table, rows in truth.items()}
    keys = {table: sorted(rows) for table, rows in truth.items() if rows}
    planted: dict[tuple[str, Key], PlantedDifference] = {}
    for kind in KINDS:
        tables = [contract for table, contract in contracts.items() if table in keys and _suits(contract, kind)]
        for _ in range(each if tables else 0):
            for contract, key in _candidates(tables, keys, rng):
                if (contract.name, key) in planted:
                    continue
                difference = _alter_row(contract, copy[contract.name], key, kind, rng)
                if difference is not None:
                    planted[difference.table, difference.key] = difference
                    break
    return copy, tuple(sorted(planted.values(), key=lambda d: (d.table, d.key, d.column or "")))


def _candidates(
    tables: list[TableContract], keys: Mapping[str, list[Key]], rng: Random
) -> Iterator[tuple[TableContract, Key]]:
    for _ in range(_TRIES):
        contract = rng.choice(tables)
        yield contract, rng.choice(keys[contract.name])


def _alter_row(
    contract: TableContract, rows: dict[Key, Row], key: Key, kind: str, rng: Random
) -> PlantedDifference | None:
    if kind == MISSING_ROW:
        del rows[key]
        return PlantedDifference(contract.name, key, None, kind)
    if kind == EXTRA_ROW:
        return _add_row(contract, rows, key)
    column = rng.choice(_columns(contract, kind))
    changed = ALTERATIONS[kind].alter(rows[key][column])
    if changed is None:
        return None
    rows[key] = {**rows[key], column: changed}
    return PlantedDifference(contract.name, key, column, kind)


def _add_row(contract: TableContract, rows: dict[Key, Row], like: Key) -> PlantedDifference | None:
    number = max(part for key in rows for part in key[:1] if isinstance(part, int)) + 1
    key: Key = (number, *like[1:])
    rows[key] = {**rows[like], **dict(zip((column.name for column in contract.key), key, strict=True))}
    return PlantedDifference(contract.name, key, None, EXTRA_ROW)


def _suits(contract: TableContract, kind: str) -> bool:
    if kind == EXTRA_ROW:
        return contract.key[0].data_type == "int64"
    return kind == MISSING_ROW or bool(_columns(contract, kind))


def _columns(contract: TableContract, kind: str) -> list[str]:
    alteration = ALTERATIONS[kind]
    return [
        column.name
        for column in contract.columns
        if column.data_type == alteration.data_type
        and not column.is_key
        and not column.allowed_values
        and (column.is_nullable or not alteration.needs_nullable)
    ]
