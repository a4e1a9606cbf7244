"""Where the local BigQuery is known to answer otherwise than GoogleSQL, and that no statement of ours depends on it.

A difference that goes away must leave this list; one that is found must enter it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from dbt_statements import Recording
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from googlesql import evaluate
from zetasql.core.exceptions import ServerError

from core.clients import bigquery_client
from core.settings import load_settings
from devstack.bigquery import running_bigquery

REFUSED = "refused"


@dataclass(frozen=True)
class Difference:
    """A question the two engines answer otherwise.

    Attributes:
        expression: the question.
        local: what the local BigQuery answers, as Python shows it, or `REFUSED`.
        google: what GoogleSQL answers, as the text of its protocol buffer, or `REFUSED`; empty for null.
        avoid: a pattern that none of our statements may match; None when the difference is told by the type checker, or
            touches nothing but values we never meet.
    """

    expression: str
    local: str
    google: str
    avoid: str | None = None


_PART = r"extract\(\s*(?:week|millisecond|microsecond)\b"

DIFFERENCES = (
    Difference("1 = '1'", "True", REFUSED),
    Difference("safe_cast('t' as bool)", "True", ""),
    Difference("substr('abc', 0, 2)", "'a'", 'string_value: "ab"', r"substr\([^()]*,\s*0\s*,"),
    Difference(
        "timestamp_trunc(timestamp '2026-03-01 12:34:56', week)",
        "datetime.datetime(2026, 2, 23, 0, 0, tzinfo=datetime.timezone.utc)",
        "timestamp_value { seconds: 1772323200 }",
        r"_trunc\([^()]*,\s*week\s*\)",
    ),
    Difference("extract(week from date '1933-01-08')", "1", "int64_value: 2", _PART),
    Difference("extract(millisecond from timestamp '2026-01-01 00:00:25.886')", "25886", "int64_value: 886", _PART),
    Difference("extract(microsecond from timestamp '2026-01-01 00:00:25.8')", "25800000", "int64_value: 800000", _PART),
    Difference("unix_date(date_trunc(date '2026-01-01', isoweek))", REFUSED, "int64_value: 20451"),
    # The years before 1000 are padded by %F alone there; ours names instants that are landed.
    Difference("format_timestamp('%Y', timestamp '0001-01-01 00:00:00')", "'0001'", 'string_value: "1"'),
    # What is cast to whole numbers has been rounded before, or is a text.
    Difference("(select cast(x as int64) from unnest([-2.5]) as x)", "-2", "int64_value: -3"),
    Difference(
        "(select cast(cast(x as numeric) as string) from unnest([1e16]) as x)",
        "'10000000000000000.905969664'",
        'string_value: "10000000000000000"',
    ),
    # A float that only comes near to a tie, and the quotient of sums of money beyond fifteen digits.
    Difference("round(2.675, 2)", "2.68", "double_value: 2.67"),
    Difference("cast(numeric '1234567890.12' / 3 as string)", "'411522630.039999936'", 'string_value: "411522630.04"'),
    Difference("cast(round(-0.3) as string)", "'-0'", 'string_value: "0"'),
    Difference(
        "struct(1 as a, cast(null as int64) as b) = struct(1 as a, 2 as b)",
        "False",
        "",
        r"struct\([^()]*\) *(?:=|!=|<>|in) ",
    ),
    Difference(
        "to_hex(concat(b'a', cast('\u00e9' as bytes)))",
        "'615c7843335c784139'",
        'string_value: "61c3a9"',
        r"concat\([^()]*\bb'",
    ),
    # `_carried` is null either way.
    Difference("array_to_string([cast(null as string)], ',')", "None", 'string_value: ""'),
    Difference("initcap('\ufb01n')", "'FIn'", 'string_value: "\ufb01n"'),
    Difference("reverse('e\u0301')", "'e\u0301'", 'string_value: "\u0301e"', r"\breverse\("),
    Difference(
        "to_json_string(struct(1.0 as a))", "'{\"a\":1.0}'", 'string_value: "{\\"a\\":1}"', r"to_json_string\(struct"
    ),
    Difference("format('%t', numeric '1.50')", REFUSED, 'string_value: "1.5"', r"format\('%t'"),
    Difference("lower('\u0130')", "'i'", 'string_value: "i\u0307"'),
    Difference(
        "(select array_agg(x ignore nulls order by x desc limit 2) from unnest([1, null, 3]) as x)",
        REFUSED,
        "array_value { element { int64_value: 3 } element { int64_value: 1 } }",
        r"array_agg\([^()]* limit \d+\)\s+from unnest",
    ),
    # What is no JSON gets not past `safe.parse_json`, by which raw rows are told from what goes to quarantine.
    Difference("json_value('{\"a\":NaN}', '$.a')", "'NaN'", ""),
    Difference("json_value('{\"a\":1}x', '$.a')", "None", 'string_value: "1"'),
    # A number is told by its digits there and by its value here: alike once cast, but for more than 17 digits.
    Difference("json_value('{\"a\":1.10}', '$.a')", "'1.1'", 'string_value: "1.10"'),
    Difference("json_query('{\"a\":[1.10]}', '$.a')", "'[1.1]'", 'string_value: "[1.10]"'),
    Difference(
        "cast(safe_cast(json_value('{\"a\":12345678901234567.89}', '$.a') as numeric) as string)",
        "'12345678901234568'",
        'string_value: "12345678901234567.89"',
    ),
    Difference("json_query('{\"a\":null}', '$.a')", "'null'", ""),  # `cdc_json_query` makes them one
    # The fields of an object: sorted there, each once.
    Difference('to_json_string(json \'{"b":1,"a":2}\')', '\'{"b":1,"a":2}\'', 'string_value: "{\\"a\\":2,\\"b\\":1}"'),
    Difference(
        'to_json_string(safe.parse_json(\'{"a":1,"a":2}\'))', '\'{"a":1,"a":2}\'', 'string_value: "{\\"a\\":1}"'
    ),
    Difference("to_json_string([numeric '1.5'])", "'[1.500000000]'", 'string_value: "[\\"1.5\\"]"'),
    Difference("to_json_string(chr(8232))", "'\"\\u2028\"'", 'string_value: "\\"\\\\u2028\\""'),
    Difference("json_type(json '1')", "'ubigint'", 'string_value: "number"', r"= 'number'|= 'string'"),
    # NaN is neither greater than a number nor equal to itself there.
    Difference("cast('nan' as float64) > 1", "True", "bool_value: false"),
    Difference("cast('nan' as float64) = cast('nan' as float64)", "True", "bool_value: false"),
    Difference(r"'\u00a0'", r"'\\u00a0'", 'string_value: "\u00a0"', r"(?<!r)'[^']*\\u[0-9a-f]{4}"),
)


@pytest.fixture(scope="module")
def local() -> Iterator[bigquery.Client]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        with bigquery_client(load_settings()) as client:
            yield client


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.expression)
def test_the_engines_still_differ(local: bigquery.Client, difference: Difference) -> None:
    assert _local(local, difference.expression) == difference.local
    assert _google(difference.expression) == difference.google
    assert difference.local.strip("'") != difference.google.partition(": ")[2].strip('"')


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("timestamp_diff(timestamp '2026-01-01 00:58:30', timestamp '2026-01-01 00:00:00', minute)", "58"),
        ("cast(1e15 as string)", "1e+15"),
        ("string(json '\"a\"')", "a"),
        ("safe_cast(' 7 ' as int64)", "7"),
        ("mod(-7, 2)", "-1"),
        ("round(-2.5)", "-3.0"),
    ],
)
def test_the_engines_agree(local: bigquery.Client, expression: str, answer: str) -> None:
    assert _local(local, expression).strip("'") == answer
    assert _google(expression).partition(": ")[2].strip('"') == answer


def test_no_statement_depends_on_a_difference(recording: Recording) -> None:
    avoided = [re.compile(difference.avoid) for difference in DIFFERENCES if difference.avoid]
    found = {(s.node, p.pattern) for s in recording.statements for p in avoided if p.search(s.sql.lower())}
    assert found == set()


def _local(client: bigquery.Client, expression: str) -> str:
    try:
        return repr(next(iter(client.query_and_wait(f"select {expression} as answer", retry=None)))[0])
    except GoogleAPICallError:
        return REFUSED


def _google(expression: str) -> str:
    try:
        return evaluate(f"select {expression} as answer")[0][0][1]
    except ServerError:
        return REFUSED
