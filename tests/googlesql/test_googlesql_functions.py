"""Every function our statements call: the local BigQuery answers as GoogleSQL's own evaluator does."""

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from dbt_statements import Recording
from google.cloud import bigquery
from google.protobuf.text_encoding import CUnescape
from googlesql import evaluate

from core.clients import bigquery_client
from core.settings import load_settings
from devstack.bigquery import running_bigquery

ROWS: Final = 100
COLUMNS: Final = {
    "place": "int64",
    "team": "int64",
    "moment": "timestamp",
    "later": "timestamp",
    "recent": "timestamp",
    "recently": "timestamp",
    "day": "date",
    "next_day": "date",
    "whole": "int64",
    "other": "int64",
    "small": "int64",
    "share": "float64",
    "ratio": "float64",
    "amount": "numeric",
    "price": "numeric",
    "words": "string",
    "name": "string",
    "flag": "bool",
    "sign": "bool",
}
MOMENTS: Final = (
    *("2026-01-01 00:09:59.5", "2026-01-01 00:09:59.999999", "2026-01-01 00:10:00", "2026-12-31 23:59:59.7"),
    *("1969-12-31 23:59:59.7", "1969-12-31 23:59:59.4996", "1970-01-01 00:00:00", "2024-02-29 12:34:56.123456"),
    *("0001-01-01 00:00:00.5", "9999-12-31 23:59:59.999999", "2026-03-29 01:30:00.5", "2026-01-01 00:00:00.000001"),
)
DAYS: Final = ("2024-02-29", "2023-02-28", "2026-12-31", "2027-01-01", "1969-12-31", "2000-01-31", "2024-12-30")
WORDS: Final = (
    *(
        "",
        "a",
        "ab",
        "Ab",
        "abc",
        "b",
        "ÀÉ",
        "straße",
        "ﬀ",
        "Ⅷ",
        "e\u0301",
        "日本語",
        "\U0001f600b",
        "ﬁn",
        "NULL",
        "\x01",
    ),
    *("  x ", "a  b\t c", "a\nb", "2024-01-05T10:00:00.1234567Z", "0123", "zZ", "12Z", "+49 (0)151 23-45", '{"a":1}'),
    *("a@b", "@", "a@b@c", "x@Y.de", "10117", "SW1A 1AA", "%", "a%b_c", "\\", "'"),
)
WHOLES: Final = (0, 1, -1, 2, -2, 7, -7, 300, 599, 600, -600, 601, 9007199254740993)
# No tie of rounding that a float only comes near to: those are known to differ.
SHARES: Final = (0.5, 1.5, 2.5, -2.5, 1e15, 1e16, 0.1, -0.30000000000000004, 1e-7, 123456.789, 0.0625, 0.03125)
AMOUNTS: Final = (
    "0",
    "0.5",
    "-0.5",
    "1.5",
    "2.675",
    "-2.675",
    "1.005",
    "0.000000001",
    "-1.45",
    "0.29",
    "1234567890.12",
)

# By function, what is asked of it: of each row, or of the rows that what stands behind a bar says.
FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "abs": ("abs(whole)", "abs(share)", "abs(amount)"),
    "any_value": (
        "any_value(whole having max place) | group by team",
        "any_value(struct(words as value, place as told_by) having max if(flag, place, null)).value | group by team",
    ),
    "array": ("array(select element from unnest([team, small, 3]) as element where element > 0 order by element)",),
    "array_agg": (
        "array_length(array_agg(distinct ifnull(small, 0) limit 2)) | group by team",
        "array_agg(distinct small ignore nulls order by small) | group by team",
        "array_agg(struct(place as place, whole as whole) order by place)[offset(0)].whole | group by team",
    ),
    "array_length": ("array_length([whole, other])", "array_length(regexp_extract_all(words, r'[a-z]'))"),
    "array_to_string": (
        "array_to_string([words, name, 'x'], ',')",
        "concat('{', array_to_string([words, if(flag, 'b', null), 'c'], ', '), '}')",
    ),
    "avg": (
        "round(avg(whole), 3) | where abs(whole) < 1000000 group by team",
        "avg(mod(amount, 1000)) | group by team",
    ),
    "char_length": ("char_length(words)",),
    "coalesce": ("coalesce(words, name, 'none')", "coalesce(whole, other)", "coalesce(amount, 0)"),
    "concat": ("concat(words, name)", "concat('a', words, cast(whole as string))"),
    "count": (
        "count(*) | where flag",
        "count(distinct words) | group by team",
        "count(whole) over (partition by team order by place)",
    ),
    "countif": ("countif(flag) | group by team",),
    "date": ("date(moment)", "date(datetime(moment))"),
    "date_add": (
        "date_add(day, interval small day)",
        "date_add(day, interval cast(round(least(abs(ratio), 99)) as int64) day)",
    ),
    "date_diff": (
        "date_diff(day, next_day, day)",
        "date_diff(day, next_day, month)",
        "date_diff(date(moment), day, day)",
    ),
    "date_from_unix_date": ("date_from_unix_date(mod(whole, 700000))",),
    "date_sub": ("date_sub(day, interval 1 day)", "date_sub(day, interval small month)"),
    "date_trunc": ("date_trunc(day, month)", "date_trunc(day, year)"),
    "datetime": ("datetime(moment)",),
    "div": ("div(whole, 600)", "div(whole, -7)"),
    "exp": ("round(exp(-abs(share) / 100), 9)",),
    "extract": (
        *(f"extract({part} from moment)" for part in ("second", "minute", "hour", "day", "month", "year", "date")),
        *(f"extract({part} from day)" for part in ("day", "month", "year")),
    ),
    "first_value": (
        "first_value(if(words is null, null, struct(words as value)) ignore nulls) over (order by team, place).value",
        "first_value(words) over (partition by team order by place)",
    ),
    "floor": ("floor(abs(share))", "cast(floor((ratio + 90) / 180 * 131072) as int64)"),
    "format": ("format('%s %020d %020d %d', words, whole, other, small)", "format(' %020d %s', whole, words)"),
    "format_date": ("format_date('%Y-%m', day)", "format_date('%m%d', day)"),
    "format_timestamp": (
        "format_timestamp('%F %H:%M:%E6S+00:00', moment)",
        "format_timestamp('read %Y-%m-%dT%H:%M', recent)",
    ),
    "generate_array": ("generate_array(1, small)", "generate_array(0, 40, 10)", "generate_array(5, 1)"),
    "greatest": ("greatest(whole, other)", "greatest(share, 0)", "greatest(moment, later)", "greatest(words, name)"),
    "if": ("if(flag, words, name)", "if(whole > other, 1, 0)"),
    "ifnull": ("ifnull(words, name)", "ifnull(whole, 0)"),
    "lag": (
        "lag(words) over (partition by team order by place)",
        "lag(recent) over (partition by team order by recent, place)",
    ),
    "initcap": ("initcap(if(words in ('ﬁn', 'ﬀ'), null, words))",),
    "last_day": ("last_day(day)",),
    "lead": ("lead(day) over (partition by team order by day, place)",),
    "least": ("least(whole, other)", "least(amount, price)", "least(day, next_day)", "least(moment, later)"),
    "length": ("length(words)", "length(regexp_replace(words, r'[^0-9]', ''))"),
    "ln": ("round(ln(abs(share) + 1), 9)",),
    "logical_or": (
        "logical_or(flag) | group by team",
        "logical_or(flag) | where flag is null",
    ),
    "lower": ("lower(words)",),
    "max": (
        "max(moment) | group by team",
        "max(words) over (partition by team order by place)",
    ),
    "md5": ("to_hex(md5(words))",),
    "min": (
        "min(amount) | group by team",
        "min(whole) over (partition by team order by place rows between 3 preceding and 1 preceding)",
    ),
    "mod": ("mod(whole, 600)", "mod(whole, -7)", "mod(unix_micros(moment), 600000000)"),
    "normalize_and_casefold": ("normalize_and_casefold(words)",),
    "nullif": ("nullif(whole, 0)", "nullif(words, '')", "nullif(moment, later)"),
    "or": ("flag or sign", "flag and sign", "not flag", "flag is not true", "flag is distinct from sign"),
    "in": ("words in ('a', name)", "words not in ('a', name)", "whole not in (1, 2)"),
    "range_bucket": ("range_bucket(whole, generate_array(0, 4000, 100))", "range_bucket(whole, [-5, 0, 7])"),
    "rank": (
        "rank() over (partition by team order by small)",
        "rank() over (order by words desc)",
    ),
    "regexp_contains": (
        r"regexp_contains(words, r'^[+-]?[0-9]+$')",
        r"regexp_contains(words, r'^[^@]+@[^@]+$')",
        r"regexp_contains(words, r'b$')",
        r"regexp_contains(words, r'^.+$')",
    ),
    "regexp_extract": (r"regexp_extract(words, r'@[^@]+$')", r"regexp_extract(words, r'@([^@]+)$')"),
    "regexp_extract_all": (r"regexp_extract_all(words, r'[a-z]')", r"regexp_extract_all(words, r'([a-z])@')"),
    "regexp_replace": (
        r"regexp_replace(words, r'\s+', ' ')",
        r"regexp_replace(words, r'\(0\)|[^0-9+]', '')",
        r"regexp_replace(words, r'([.][0-9]{6})[0-9]+', r'\1')",
        r"regexp_replace(words, r'$', '!')",
    ),
    "round": ("round(abs(share))", "round(amount)", "round(amount, 2)", "round(price * numeric '1.0837', 2)"),
    "row_number": (
        "row_number() over (partition by team order by small, place)",
        "row_number() over (order by whole desc, amount, place)",
    ),
    "rtrim": ("rtrim(words, 'Zz')", "rtrim(words)"),
    "safe_cast": ("safe_cast(words as int64)", "safe_cast(words as numeric)", "safe_cast(words as date)"),
    "cast": (
        *(f"cast({column} as string)" for column in COLUMNS if column not in ("share", "ratio")),
        "cast(ratio + 1000 as string)",
        "cast(time_add(time '00:00:00', interval whole microsecond) as string)",
        "cast(datetime(moment) as string)",
        "cast(amount as float64)",
    ),
    "safe_divide": (
        "safe_divide(mod(amount, 100), greatest(abs(price), 1))",
        "safe_divide(mod(amount, 1000), small)",
        "safe_divide(abs(whole), abs(other))",
    ),
    "sha256": ("to_hex(sha256(words))", "to_hex(sha256(concat('key', words)))"),
    "starts_with": ("starts_with(words, name)", "starts_with(words, 'a')"),
    "stddev_samp": (
        "round(stddev_samp(small), 9) | group by team",
        "stddev_samp(small) | where place = 1",
    ),
    "string": ("string(moment)",),
    "strpos": ("strpos(words, '@')", "strpos(words, name)"),
    "struct": ("struct(whole as a, words as b).a", "struct(place, small) = struct(team, small)"),
    "substr": ("substr(words, 1, 1)", "substr(words, 2)", "substr(words, small + 1, 2)", "substr(words, 1, small)"),
    "sum": (
        "sum(whole) | where abs(whole) < 1000000 group by team",
        "sum(amount) | group by team",
        "sum(amount) over (partition by team order by place)",
        "sum(amount) over (order by small)",
        "sum(whole) | where false",
    ),
    "time_add": ("time_add(time '00:00:00', interval whole microsecond)",),
    "timestamp_add": (
        *(f"timestamp_add(recent, interval small {part})" for part in ("second", "minute", "hour", "day")),
        "timestamp_add(lag(recent) over (order by place), interval 30 minute)",
    ),
    "timestamp_diff": tuple(
        f"timestamp_diff(recent, recently, {part})" for part in ("second", "minute", "hour", "day")
    ),
    "timestamp_micros": ("timestamp_micros(unix_micros(moment))", "timestamp_micros(whole)"),
    "timestamp_seconds": ("timestamp_seconds(unix_seconds(moment) - mod(unix_seconds(moment), 600))",),
    "timestamp_sub": ("timestamp_sub(recent, interval 10 minute)", "timestamp_sub(recent, interval small day)"),
    "timestamp_trunc": tuple(f"timestamp_trunc(moment, {part})" for part in ("minute", "hour", "day", "month")),
    "to_hex": ("to_hex(cast(words as bytes))",),
    "to_json_string": tuple(f"to_json_string({column})" for column in COLUMNS if column not in ("share", "ratio")),
    "trim": ("trim(words)",),
    "unix_micros": ("unix_micros(moment)",),
    "unix_seconds": ("unix_seconds(moment)", "div(unix_seconds(moment), 600) * 600"),
    "unnest": ("(select sum(element) from unnest([small, 2, null]) as element)",),
    "upper": ("upper(words)", "upper(substr(trim(words), 1, 1))"),
}
ELSEWHERE: Final = {
    "json_query": "test_googlesql_differences",
    "json_query_array": "tests/integration/bigquery",
    "json_type": "test_googlesql_differences",
    "json_value": "test_googlesql_texts",
    "parse_json": "test_googlesql_texts",
    "safe.parse_json": "test_googlesql_texts",
    "safe.json_value_array": "tests/integration/bigquery",
    "safe.from_base64": "test_googlesql_casts",
    "current_timestamp": "tells the time",
    "error": "ends the statement",
}
"""Where else a function is compared, or why it is not."""
CONTROL: Final = "date_trunc(day, week)"
"""Known to differ, in the day a week begins with."""
GRAMMAR: Final = frozenset(
    {"and", "as", "except", "exists", "from", "insert", "join", "key", "not", "numeric", "on", "options", "over"}
    | {"using", "values", "where"}
)
"""What stands before a parenthesis and is no function."""
_NO_CODE: Final = re.compile(r"""r?'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_CALL: Final = re.compile(r"(?<![\w.`])([a-z_][\w.]*)\s*\(")


@pytest.fixture(scope="module")
def rows() -> str:
    """Rows of all types, as a query."""
    chosen = random.Random("functions")
    structs = ", ".join(f"struct({', '.join(_row(chosen, place))})" for place in range(ROWS))
    return f"select {', '.join(COLUMNS)} from unnest([{structs}])"


@pytest.fixture(scope="module")
def local(rows: str) -> Iterator[bigquery.Client]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        with bigquery_client(load_settings()) as client:
            client.create_dataset("functions")
            columns = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
            client.query_and_wait(f"create table functions.rows_of ({columns})")
            client.query_and_wait(f"insert into functions.rows_of {rows}")
            yield client


@pytest.fixture(scope="module")
def google(rows: str) -> Mapping[str, list[str]]:
    """What GoogleSQL answers, by expression. Those of one condition are asked at once: it reads the rows each time."""
    asked: dict[str, list[str]] = {}
    for expression in {*itertools.chain.from_iterable(FUNCTIONS.values()), CONTROL}:
        asked.setdefault(expression.partition(" | ")[2], []).append(expression)
    return {
        expression: answers
        for expressions in asked.values()
        for expression, answers in zip(expressions, _google(rows, expressions), strict=True)
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_answers_as_googlesql_does(
    local: bigquery.Client, google: Mapping[str, list[str]], function: str
) -> None:
    for expression in FUNCTIONS[function]:
        assert _local(local, expression) == google[expression], expression


def test_the_comparison_tells_a_difference(local: bigquery.Client, google: Mapping[str, list[str]]) -> None:
    assert _local(local, CONTROL) != google[CONTROL]


def test_every_function_of_our_statements_is_compared(recording: Recording) -> None:
    texts = [_NO_CODE.sub("''", statement.sql.lower()) for statement in recording.statements]
    called = {name for text in texts for name in _CALL.findall(text)}
    assert called - GRAMMAR == FUNCTIONS.keys() | ELSEWHERE.keys()


def test_each_function_is_asked_something() -> None:
    for function, expressions in FUNCTIONS.items():
        assert re.search(rf"\b{function}\b", " ".join(expressions)), function


def _row(chosen: random.Random, place: int) -> Iterator[str]:
    """Yield a literal for each column; one in ten is null."""
    for column, data_type in COLUMNS.items():
        if column == "place":
            literal = str(place)
        elif column in ("team", "small"):
            literal = str(chosen.randrange(5))
        elif chosen.random() < 0.1:
            literal = f"cast(null as {data_type})"
        else:
            # not so far apart that a difference, or a sum, has no room
            known = chosen.random() < 0.5 and not column.startswith("recent")
            literal = (_known if known else _any)(chosen, data_type)
        yield f"{literal} as {column}"


def _known(chosen: random.Random, data_type: str) -> str:
    literals: Mapping[str, Sequence[str]] = {
        "timestamp": [f"timestamp '{moment}+00'" for moment in MOMENTS],
        "date": [f"date '{day}'" for day in DAYS],
        "int64": [str(whole) for whole in WHOLES],
        "float64": [repr(share) for share in SHARES],
        "numeric": [f"numeric '{amount}'" for amount in AMOUNTS],
        "string": ["'" + "".join(_escaped(letter) for letter in words) + "'" for words in WORDS],
        "bool": ["true", "false"],
    }
    return chosen.choice(literals[data_type])


def _any(chosen: random.Random, data_type: str) -> str:
    moment = datetime(1900, 1, 1, tzinfo=UTC) + timedelta(microseconds=chosen.randrange(200 * 365 * 86_400_000_000))
    literals = {
        "timestamp": f"timestamp '{moment}'",
        "date": f"date '{moment:%Y-%m-%d}'",
        "int64": str(chosen.randrange(-(10**6), 10**6)),
        "float64": repr(chosen.uniform(-1000, 1000)),
        "numeric": f"numeric '{chosen.randrange(-(10**8), 10**8) / 1000}'",
    }
    return literals.get(data_type) or _known(chosen, data_type)


def _escaped(letter: str) -> str:
    return {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(letter, letter)


def _query(expressions: Sequence[str]) -> str:
    """Return a query for expressions of one condition, the answers as texts of JSON."""
    condition = expressions[0].partition(" | ")[2]
    place = "min(place)" if condition else "place"
    asked = ", ".join(f"{each.partition(' | ')[0]} as answer_{n}" for n, each in enumerate(expressions))
    shown = ", ".join(f"to_json_string(answer_{n}) as shown_{n}" for n in range(len(expressions)))
    return f"select {shown} from (select {place} as place, {asked} from rows_of {condition}) order by place"


def _local(client: bigquery.Client, expression: str) -> list[str]:
    query = _query([expression]).replace("from rows_of", "from functions.rows_of")
    return [row[0] for row in client.query_and_wait(query, retry=None)]


def _google(rows: str, expressions: Sequence[str]) -> list[list[str]]:
    answers = evaluate(f"with rows_of as ({rows}) {_query(expressions)}")
    texts = [[CUnescape(text.partition(": ")[2][1:-1]).decode() for _, text in row] for row in answers]
    return [[row[n] for row in texts] for n in range(len(expressions))]
