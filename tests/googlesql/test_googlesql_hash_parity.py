"""Every text form of push-down, evaluated by GoogleSQL's reference evaluator and by DuckDB: letter for letter alike.

Values travel as text that both read exactly: decimal digits, ISO 8601, hexadecimal. 100,000 of each type: awkward ones
first, the others random over the whole range of the type.
"""

import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from googlesql import evaluate_text

from core.contracts import DataType
from reconcile.pushdown.forms import HASH_BITS, field, has_form, row_hash

VALUES = 100_000
SEED = 20_260_131
_BATCH = 5_000
_NULL, _EMPTY = "~", "-"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds from the epoch to the first and the last instant of GoogleSQL."""
_LETTERS = [*"aZ |:N0\t\0", *"\u00e9\u00df\u0130\u200b\u00a0\U0001f600", "e\u0301"]


def _micros(rng: random.Random) -> int:
    # Half of them near today, where a trimmed digit would show; the others anywhere.
    wide = rng.random() < 0.5
    micros = rng.randint(_FIRST, _LAST) if wide else rng.randint(1_700_000_000_000_000, 1_800_000_000_000_000)
    return max(_FIRST, micros - micros % rng.choice([1, 1, 1_000, 1_000_000, 86_400_000_000]))


def _instant(rng: random.Random) -> str:
    return (_EPOCH + timedelta(microseconds=_micros(rng))).replace(tzinfo=None).isoformat(" ", "microseconds")


def _double(rng: random.Random) -> str:
    return repr(
        rng.choice(
            [
                struct.unpack("<d", rng.randbytes(8))[0],
                rng.randint(-(10**9), 10**9) / 10 ** rng.randint(0, 6),
                float(rng.randint(-(2**63), 2**63)),
                math.nextafter(rng.randint(-1000, 1000) / 10, rng.choice([-1e9, 1e9])),
            ]
        )
    )


def _numeric(rng: random.Random) -> str:
    whole, part = rng.randrange(10 ** rng.randint(0, 29)), rng.randrange(10 ** rng.randint(0, 9))
    return f"{rng.choice(['', '-'])}{whole}.{part:09}"


def _text(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randint(0, 6)))


def _hex(text: str) -> str:
    return text.encode().hex()


@dataclass(frozen=True)
class Case:
    """How a type is tried.

    Attributes:
        make: makes the text of a random value, without a comma or a quote.
        edges: texts of awkward values.
        googlesql: SQL of the value whose text is `t`.
        duckdb: the same for DuckDB.
    """

    make: Callable[[random.Random], str]
    edges: tuple[str, ...]
    googlesql: str
    duckdb: str


_INSTANTS = ("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999")
CASES: dict[DataType, Case] = {
    "int64": Case(
        lambda rng: str(rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 63)),
        (str(2**63 - 1), str(-(2**63)), "0", "-1"),
        "cast(t as int64)",
        "cast(t as bigint)",
    ),
    "numeric": Case(
        _numeric,
        ("0", "-0", "1.10", "-0.000000001", f"{'9' * 29}.{'9' * 9}", f"-{'9' * 29}.{'9' * 9}"),
        "cast(t as numeric)",
        "cast(t as decimal(38, 9))",
    ),
    "float64": Case(
        _double,
        ("nan", "-nan", "inf", "-inf", "0.0", "-0.0", "5e-324", "1.7976931348623157e+308", "9007199254740993", "1e22"),
        "cast(t as float64)",
        "cast(t as double)",
    ),
    "bool": Case(lambda rng: rng.choice(["true", "false"]), (), "cast(t as bool)", "cast(t as boolean)"),
    "string": Case(
        lambda rng: _hex(_text(rng)),
        tuple(map(_hex, ("", "N|", "<null>", "1:a", "\0", "a\0b", "\U0010ffff"))),
        "safe_convert_bytes_to_string(from_hex(t))",
        "decode(unhex(t))",
    ),
    "bytes": Case(lambda rng: rng.randbytes(rng.randint(0, 9)).hex(), ("", "00", "ff"), "from_hex(t)", "unhex(t)"),
    "date": Case(
        lambda rng: _instant(rng)[:10],
        ("0001-01-01", "9999-12-31", "1582-10-04", "1582-10-15", "1900-02-28", "2000-02-29"),
        "cast(t as date)",
        "cast(t as date)",
    ),
    "datetime": Case(_instant, _INSTANTS, "cast(t as datetime)", "cast(t as timestamp)"),
    "time": Case(lambda rng: _instant(rng)[11:], ("00:00:00", "23:59:59.999999"), "cast(t as time)", "cast(t as time)"),
    "timestamp": Case(_instant, _INSTANTS, "cast(t || '+00' as timestamp)", "cast(t as timestamp)"),
    "array<string>": Case(
        lambda rng: _hex(";".join(_text(rng) for _ in range(rng.randint(1, 3)))),
        (_EMPTY, "", *map(_hex, (";", "a|b", "a;b", "1:a;b", "1;:a"))),
        f"case when t = '{_EMPTY}' then [] else split(safe_convert_bytes_to_string(from_hex(t)), ';') end",
        f"case when t = '{_EMPTY}' then [] else string_split(decode(unhex(t)), ';') end",
    ),
    "array<int64>": Case(
        lambda rng: ";".join(str(rng.randint(-9, 99)) for _ in range(rng.randint(1, 2))),
        (_EMPTY, "1;2", "12", str(-(2**63))),
        f"case when t = '{_EMPTY}' then [] when strpos(t, ';') = 0 then [cast(t as int64)] "
        "else [cast(split(t, ';')[offset(0)] as int64), cast(split(t, ';')[offset(1)] as int64)] end",
        f"case when t = '{_EMPTY}' then [] else string_split(t, ';')::bigint[] end",
    ),
}


def _values(case: Case, count: int) -> list[str]:
    rng = random.Random(SEED)
    return [_NULL, *case.edges, *(case.make(rng) for _ in range(count - 1 - len(case.edges)))]


def _googlesql(case: Case, selected: str, values: list[str]) -> list[str]:
    # The evaluator's texts end at a mebibyte.
    return [text for n in range(0, len(values), _BATCH) for text in _evaluated(case, selected, values[n : n + _BATCH])]


def _evaluated(case: Case, selected: str, values: Sequence[str]) -> list[str]:
    value = f"case when t = '{_NULL}' then null else {case.googlesql} end"
    rows = f"select {value} as v, n from unnest(split('{','.join(values)}')) as t with offset as n"
    return evaluate_text(f"select array_to_string(array(select {selected} from ({rows}) order by n), ',')").split(",")


def _duckdb(case: Case, selected: str, values: list[str]) -> list[str]:
    value = f"case when t = '{_NULL}' then null else {case.duckdb} end"
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create table given as select unnest(?::varchar[]) as t", [values])
        rows = connection.execute(f"select {selected} from (select {value} as v from given)").fetchall()
    return [text for (text,) in rows]


def test_every_type_that_is_hashed_is_proven() -> None:
    every: tuple[DataType, ...] = ("json", "bignumeric", *CASES)
    assert [data_type for data_type in every if has_form(data_type)] == list(CASES)


@pytest.mark.parametrize("data_type", CASES)
def test_both_engines_write_every_value_alike(data_type: DataType) -> None:
    case = CASES[data_type]
    values = _values(case, VALUES)
    assert len(values) == VALUES
    theirs = _googlesql(case, field(data_type, "v", "googlesql"), values)
    ours = _duckdb(case, field(data_type, "v", "duckdb"), values)
    assert [
        (t, bytes.fromhex(a), bytes.fromhex(b)) for t, a, b in zip(values, theirs, ours, strict=True) if a != b
    ] == []


@pytest.mark.parametrize("data_type", CASES)
def test_both_engines_hash_rows_alike(data_type: DataType) -> None:
    case = CASES[data_type]
    values = _values(case, 500)
    fields: list[tuple[DataType, str]] = [(data_type, "v"), ("string", "'a|b'"), (data_type, "v")]
    theirs = _googlesql(case, f"cast({row_hash(fields, 'googlesql')} as string)", values)
    ours = _duckdb(case, f"cast({row_hash(fields, 'duckdb')} as varchar)", values)
    assert theirs == ours
    assert all(0 <= int(text) < 2**HASH_BITS for text in ours)
