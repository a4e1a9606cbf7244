"""JSON and blanks at the ends of texts: the local BigQuery makes of them what GoogleSQL's own evaluator does."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from google.cloud import bigquery
from google.protobuf.text_encoding import CUnescape
from googlesql import evaluate

from core.clients import bigquery_client
from core.settings import load_settings
from devstack.bigquery import running_bigquery

IMAGES: Final = (
    *('{"a":1}', ' {"a" : 1 } ', '{"a":NaN}', '{"a":-Infinity}', '{"a":"NaN, Infinity,]"}', '{"a":1,}', "[1,]", "[,]"),
    *('{"a":1e308}', '{"a":1e309}', '{"a":-1E+999}', '{"a":"1e999"}', '{"a":1e-999}', '{"a":0.12345678901234567890}'),
    *("{'a':1}", "{a:1}", '{"a":1}x', '{"a":1', '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', "", " ", "null", "tru"),
    *('{"a":"\t"}', r'{"a":"\t"}', r'{"a":"\x"}', r'{"a":"\ud83d"}', r'{"a":"\"NaN"}', r'{"a":"\\"}', r'{"a\":NaN}'),
    *('{"a":[1,{"b":null}]}', '{"a":1}//x', '"a"', "nan", "Infinity", "-", "1", "[]", "{}", '{"info":"nan"}'),
)
PARSED: Final = "cast(safe.parse_json(given, wide_number_mode => 'round') is not null as string)"
READ: Final = "json_value(given, '$.a')"
# What the engines write in two ways, or read in two ways although neither would get past `safe.parse_json`, is listed
# by test_googlesql_differences.
ROWS: Final = tuple(
    json.dumps({"a": value})
    for value in (
        *("x", "", "a\tb", 'a"b', "a\\b", "\u00e4\u20ac", "1.10", "NaN", "null", "{}"),
        1,
        -7,
        0.5,
        True,
        None,
    )
)
BLANKS: Final = (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200D), 0x2028, 0x2029,
                 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)  # fmt: skip
WRITTEN: Final = (
    *("'a'", "'a\"b\\\\c/d\\n\\t<&>'", "cast(null as string)", "cast(null as date)", "true", "1", "-9007199254740992"),
    *("9007199254740993", "-9007199254740993", "0.1", "1.0", "1e20", "-2.5e-7", "cast('nan' as float64)"),
    *("cast('-inf' as float64)", "numeric '1.50'", "numeric '-12'", "numeric '12345678901234567890'", "numeric '0'"),
    *("date '2024-01-05'", "time '10:00:00'", "datetime '2024-03-01 00:00:00.5'", "b'abc'", "b''", "from_hex('ff00')"),
    *(
        "timestamp '2024-03-01 00:00:00+00'",
        "timestamp '2024-03-01 12:34:56.000001+02'",
        "['a', 'b']",
        "[1, 2]",
        "[true]",
    ),
    *("json '{\"a\":[1,2,null]}'", "timestamp '9999-12-31 23:59:59.999999+00'"),
)


@pytest.fixture(scope="module")
def local() -> Iterator[bigquery.Client]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        with bigquery_client(load_settings()) as client:
            yield client


def test_what_is_json_is_told_as_by_googlesql(local: bigquery.Client) -> None:
    chosen = random.Random("json")
    texts = [*IMAGES, *dict.fromkeys(_changed(chosen.choice(IMAGES), chosen) for _ in range(500))]
    found = _local(local, PARSED, texts)
    assert found == _google(PARSED, texts)
    assert {"true", "false"} == set(found.values())


def test_a_value_is_read_from_json_as_by_googlesql(local: bigquery.Client) -> None:
    found = _local(local, READ, ROWS)
    assert found == _google(READ, ROWS)
    assert found['{"a": "a\\tb"}'] == "a\tb"


@pytest.mark.parametrize("function", ["trim", "ltrim", "rtrim"])
def test_blanks_are_taken_off_as_by_googlesql(local: bigquery.Client, function: str) -> None:
    texts = [f"{chr(blank)}a b{chr(blank)}" for blank in BLANKS]
    shown = f"to_hex(cast({function}(given) as bytes))"
    found = _local(local, shown, texts)
    assert found == _google(shown, texts)
    assert found["\ta b\t"] == {"trim": "612062", "ltrim": "61206209", "rtrim": "09612062"}[function]


@pytest.mark.parametrize("value", WRITTEN)
def test_a_value_is_written_as_json_as_by_googlesql(local: bigquery.Client, value: str) -> None:
    query = f"select to_json_string({value}) as answer"
    assert next(iter(local.query_and_wait(query, retry=None)))[0] == _text(evaluate(query)[0][0][1])


@pytest.mark.parametrize("micros", [253402300799999999, -62135596800000000, 162135596800000001, 1, -1])
def test_an_instant_of_microseconds_is_exact(local: bigquery.Client, micros: int) -> None:
    query = f"select cast(unix_micros(timestamp_micros({micros})) as string) as answer"
    assert next(iter(local.query_and_wait(query, retry=None)))[0] == _text(evaluate(query)[0][0][1]) == str(micros)


def _changed(text: str, chosen: random.Random) -> str:
    place, letter = chosen.randrange(len(text) + 1), chosen.choice('019eE+-.,:"[]{} N')
    return text[:place] + chosen.choice(("", letter)) + text[place + chosen.randrange(2) :]


def _query(shown: str, texts: Sequence[str]) -> str:
    given = ", ".join("'" + "".join(_escaped(letter) for letter in text) + "'" for text in texts)
    return f"select {shown} as answer from unnest([{given}]) as given with offset as place order by place"


def _escaped(letter: str) -> str:
    return {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(letter, letter)


def _local(client: bigquery.Client, shown: str, texts: Sequence[str]) -> dict[str, str | None]:
    rows = client.query_and_wait(_query(shown, texts), retry=None)
    return dict(zip(texts, (row[0] for row in rows), strict=True))


def _google(shown: str, texts: Sequence[str]) -> dict[str, str | None]:
    return dict(zip(texts, (_text(row[0][1]) for row in evaluate(_query(shown, texts))), strict=True))


def _text(answer: str) -> str | None:
    """What a value's protocol buffer says, in its text form, whose escapes are those of C."""
    if not answer:
        return None
    return CUnescape(answer.partition(": ")[2][1:-1]).decode()
