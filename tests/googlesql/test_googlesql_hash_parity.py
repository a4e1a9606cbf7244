"""Every text form of push-down, evaluated by GoogleSQL's reference evaluator and by DuckDB: letter for letter alike.

Values travel as text that both read exactly: decimal digits, ISO 8601, hexadecimal. 100,000 of each type: awkward ones
first, the others random over the whole range of the type.
"""

import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import duckdb
import pytest
from googlesql import evaluate_text

from core.contracts import DataType
from reconcile.pushdown.forms import HASH_BITS, has_form, row_hash, row_text

VALUES = 100_000
SEED = 20_260_131
_BATCH = 5_000
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds from the epoch to the first and the last instant of GoogleSQL."""
_LETTERS = [*"aZ |:N0\t\0", *"\u00e9\u00df\u0130\u200b\u00a0\U0001f600", "e\u0301"]


def _micros(rng: random.Random) -> int:
    # Half of them near today, where a trimmed digit would show; the others anywhere.
    wide = rng.random() < 0.5
    micros = rng.randint(_FIRST, _LAST) if wide else rng.randint(1_700_000_000_000_000, 1_800_000_000_000_000)
    return max(_FIRST, micros - micros % rng.choice([1, 1, 1_000, 1_000_000, 86_400_000_000]))


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
    """How some types are tried: several from one text, since most of the time goes into bringing texts in and out.

    Attributes:
        make: makes a random text, without a comma or a quote.
        edges: texts of awkward values.
        fields: by type, the value whose text is `t` as GoogleSQL and as DuckDB's SQL.
    """

    make: Callable[[random.Random], str]
    edges: tuple[str, ...]
    fields: dict[DataType, tuple[str, str]]


_GOOGLESQL_TEXT, _DUCKDB_TEXT = "safe_convert_bytes_to_string(from_hex(t))", "decode(unhex(t))"
_DUCKDB_LETTER = f"unicode(substr({_DUCKDB_TEXT}, n, 1))::bigint"
CASES = {
    "integers": Case(
        lambda rng: str(rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 63)),
        (str(2**63 - 1), str(-(2**63)), "0", "-1"),
        {
            "int64": ("cast(t as int64)", "cast(t as bigint)"),
            "bool": ("mod(cast(t as int64), 2) = 0", "cast(t as bigint) % 2 = 0"),
        },
    ),
    "decimals": Case(
        _numeric,
        ("0", "-0", "1.10", "-0.000000001", f"{'9' * 29}.{'9' * 9}", f"-{'9' * 29}.{'9' * 9}"),
        {"numeric": ("cast(t as numeric)", "cast(t as decimal(38, 9))")},
    ),
    "floats": Case(
        _double,
        ("nan", "-nan", "inf", "-inf", "0.0", "-0.0", "5e-324", "1.7976931348623157e+308", "9007199254740993", "1e22"),
        {"float64": ("cast(t as float64)", "cast(t as double)")},
    ),
    "texts": Case(
        lambda rng: _hex(_text(rng)),
        tuple(map(_hex, ("", "N|", "<null>", "1:a", "\0", "a\0b", "\U0010ffff"))),
        # Read backwards, the digits are bytes that are no UTF-8.
        {"string": (_GOOGLESQL_TEXT, _DUCKDB_TEXT), "bytes": ("from_hex(reverse(t))", "unhex(reverse(t))")},
    ),
    "instants": Case(
        lambda rng: str(_micros(rng)),
        (*map(str, (_FIRST, _LAST, -1, 0, 1, -86_400_000_000, 951_782_400_000_000)), str(_FIRST + 86_399_999_999)),
        {
            "timestamp": ("timestamp_micros(cast(t as int64))", "make_timestamp(cast(t as bigint))"),
            "datetime": ("datetime(timestamp_micros(cast(t as int64)))", "make_timestamp(cast(t as bigint))"),
            "date": ("date(timestamp_micros(cast(t as int64)))", "cast(make_timestamp(cast(t as bigint)) as date)"),
            "time": ("time(timestamp_micros(cast(t as int64)))", "cast(make_timestamp(cast(t as bigint)) as time)"),
        },
    ),
    "arrays": Case(
        lambda rng: _hex(";".join(_text(rng)[:2] for _ in range(rng.choice([1, 1, 2])))),
        ("", *map(_hex, (";", "a|b", "a;b", "1:a;b", "1;:a"))),
        {
            "array<string>": (f"split({_GOOGLESQL_TEXT}, ';')", f"string_split({_DUCKDB_TEXT}, ';')"),
            "array<int64>": (
                f"to_code_points({_GOOGLESQL_TEXT})",
                f"list_transform(range(1, length({_DUCKDB_TEXT}) + 1), lambda n: {_DUCKDB_LETTER})",
            ),
        },
    ),
}


def _values(case: Case, count: int) -> list[str]:
    rng = random.Random(SEED)
    return [*case.edges, *(case.make(rng) for _ in range(count - len(case.edges)))]


def _googlesql(case: Case, selected: str, values: list[str]) -> list[str]:
    # The evaluator's texts end at a mebibyte.
    return [
        text
        for first in range(0, len(values), _BATCH)
        for text in _evaluated(case, selected, values[first : first + _BATCH])
    ]


def _evaluated(case: Case, selected: str, values: Sequence[str]) -> list[str]:
    made = ", ".join(f"{sql} as v{n}" for n, (sql, _) in enumerate(case.fields.values()))
    rows = f"select {made}, n from unnest(split('{','.join(values)}')) as t with offset as n"
    return evaluate_text(f"select array_to_string(array(select {selected} from ({rows}) order by n), ',')").split(",")


def _duckdb(case: Case, selected: str, values: list[str]) -> list[str]:
    made = ", ".join(f"{sql} as v{n}" for n, (_, sql) in enumerate(case.fields.values()))
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create table given as select unnest(?::varchar[]) as t", [values])
        rows = connection.execute(f"select {selected} from (select {made} from given)").fetchall()
    return [text for (text,) in rows]


def _named(case: Case) -> list[tuple[DataType, str]]:
    return [(data_type, f"v{n}") for n, data_type in enumerate(case.fields)]


def test_every_type_that_is_hashed_is_proven() -> None:
    proven = {data_type for case in CASES.values() for data_type in case.fields}
    assert {data_type for data_type in get_args(DataType) if has_form(data_type)} == proven


@pytest.mark.parametrize("name", CASES)
def test_both_engines_write_every_value_alike(name: str) -> None:
    case = CASES[name]
    values = _values(case, VALUES)
    assert len(values) == VALUES
    theirs = _googlesql(case, row_text(_named(case), "googlesql"), values)
    ours = _duckdb(case, row_text(_named(case), "duckdb"), values)
    assert [found for found in zip(values, theirs, ours, strict=True) if found[1] != found[2]] == []


@pytest.mark.parametrize("name", CASES)
def test_both_engines_hash_rows_and_nulls_alike(name: str) -> None:
    case = CASES[name]
    values = _values(case, 500)
    present = _named(case)
    # Each value once as it is and once as null, between texts that hold what separates fields.
    absent = [(data_type, f"case when {value} is null then {value} end") for data_type, value in present]
    fields: list[tuple[DataType, str]] = [*present, ("string", "'a|b'"), *absent, ("string", "'N|'")]
    theirs = _googlesql(case, f"cast({row_hash(fields, 'googlesql')} as string)", values)
    ours = _duckdb(case, f"cast({row_hash(fields, 'duckdb')} as varchar)", values)
    assert theirs == ours
    assert all(0 <= int(text) < 2**HASH_BITS for text in ours)
