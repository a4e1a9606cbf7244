"""Functions and casts that CDC models use, with the results GoogleSQL documents for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

Rows = Callable[[str], list[tuple[Any, ...]]]


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


EXPECTED: dict[str, Any] = {
    # NUMERIC has 38 digits, 9 after the point
    "cast('1.123456789' as numeric)": Decimal("1.123456789"),
    "numeric '12345678901234567890.123456789'": Decimal("12345678901234567890.123456789"),
    "safe_cast('12345678901234567890.123456789' as numeric)": Decimal("12345678901234567890.123456789"),
    "safe_cast('999999999999999999999999999999.1' as numeric)": None,
    "safe_cast('much' as numeric)": None,
    "(select sum(x) from unnest([numeric '1.1', numeric '2.2']) as x)": Decimal("3.3"),
    # casts to and from text
    "cast(numeric '1.10' as string)": "1.1",
    "cast(numeric '100' as string)": "100",
    "cast(1.0 as string)": "1",
    "cast(1e15 as string)": "1e+15",
    "cast(0.1 + 0.2 as string)": "0.30000000000000004",
    "cast(cast('nan' as float64) as string)": "NaN",
    "cast(true as string)": "true",
    "cast(12 as string)": "12",
    "cast(b'abc' as string)": "abc",
    "cast(timestamp '2024-01-01 00:00:00.120+00' as string)": "2024-01-01 00:00:00.120+00",
    "cast(timestamp '2024-01-01 00:00:00+00' as string)": "2024-01-01 00:00:00+00",
    "cast(timestamp '2024-01-01 00:00:00.123456+00' as string)": "2024-01-01 00:00:00.123456+00",
    "cast(date '2024-01-01' as string)": "2024-01-01",
    "safe_cast(' 12 ' as int64)": 12,
    "safe_cast('+5' as int64)": 5,
    "safe_cast('0x10' as int64)": 16,
    "safe_cast('1.5' as int64)": None,
    "safe_cast('' as int64)": None,
    "safe_cast(json_value('{\"a\": \"7.0\"}', '$.a') as int64)": None,
    "cast(1.5 as int64)": 2,
    "cast(true as int64)": 1,
    "safe_cast('1e3' as float64)": 1000.0,
    "safe_cast('2024-02-30' as date)": None,
    "safe_cast('2024-2-3' as date)": dt.date(2024, 2, 3),
    "safe_cast('2024-01-01 00:00:00.123456+02' as timestamp)": utc(2023, 12, 31, 22, 0, 0, 123456),
    "safe_cast('2024-01-01T10:00:00Z' as timestamp)": utc(2024, 1, 1, 10),
    "safe_cast('soon' as timestamp)": None,
    "to_hex(cast('é' as bytes))": "c3a9",
    "to_hex(sha256(cast('é' as bytes)))": "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c",
    "to_hex(md5('a'))": "0cc175b9c0f1b6a831c399e269772661",
    "cast(from_base64('aGk=') as string)": "hi",
    "safe.from_base64('###')": None,
    # JSON that is none
    "json_value('{\"a\": \"x\"}', '$.a')": "x",
    "json_value('{\"a\": 1.50}', '$.b')": None,
    "json_value('{\"a\": {}}', '$.a')": None,
    "json_value('{\"a\": null}', '$.a')": None,
    "json_value('broken', '$.a')": None,
    "json_query('broken', '$.a')": None,
    "json_query('{\"a\": {\"b\": 1}}', '$.a')": '{"b":1}',
    "json_value_array('{\"a\": [\"x\", 1, true]}', '$.a')": ["x", "1", "true"],
    "json_value_array('{\"a\": \"x\"}', '$.a')": [],
    "json_value_array('{\"a\": [[1]]}', '$.a')": [],
    "json_value_array('broken', '$.a')": [],
    "json_value_array(safe.parse_json('{\"a\": [\"x\"]}'), '$.a')": ["x"],
    "json_query_array('{\"a\": [{\"b\": 1}, 2]}', '$.a')": ['{"b":1}', "2"],
    "safe.parse_json('broken')": None,
    "json_value(safe.parse_json('{\"a\": \"x\"}'), '$.a')": "x",
    'string(parse_json(\'{"a": "q"}\').a)': "q",
    # a name that the translation uses inside
    "(select to_json_string(given.whole) from (select 1 as whole, 'x' as kind, 'y' as text) as given)": "1",
    # SAFE survives whatever else stands in the statement
    "if(1 / 2 > 0, json_value(safe.parse_json('broken'), '$.a'), 'x')": None,
    # times
    "timestamp_micros(1704103200123456)": utc(2024, 1, 1, 10, 0, 0, 123456),
    "timestamp_micros(safe_cast('x' as int64))": None,
    "unix_seconds(timestamp '2024-01-01 00:09:59.9+00')": 1704067799,
    "unix_millis(timestamp '1969-12-31 23:59:59.9996+00')": -1,
    "date_from_unix_date(19000)": dt.date(2022, 1, 8),
    "timestamp_diff(timestamp '2024-01-01 00:59:30+00', timestamp '2024-01-01 00:00:40+00', minute)": 58,
    "timestamp_diff(timestamp '2024-01-01 00:00:40+00', timestamp '2024-01-01 00:59:30+00', minute)": -58,
    "timestamp_diff(timestamp '2024-01-02 00:00:00+00', timestamp '2024-01-01 12:00:00+00', day)": 0,
    "timestamp_diff(timestamp '2024-01-01 00:00:01.9+00', timestamp '2024-01-01 00:00:00+00', second)": 1,
    "datetime_diff(datetime '2024-01-01 00:59:30', datetime '2024-01-01 00:00:40', minute)": 59,
    "date_diff(date '2024-03-15', date '2024-01-31', month)": 2,
    "timestamp_trunc(timestamp '2024-03-15 13:45:10.5+00', hour)": utc(2024, 3, 15, 13),
    "timestamp_trunc(timestamp '2024-03-15 13:45:10.5+00', day)": utc(2024, 3, 15),
    "current_datetime('Asia/Tokyo') > current_datetime()": True,
    "format_timestamp('%E*S', timestamp '2024-01-01 10:00:00.120+00')": "00.12",
    "format_timestamp('%FT%R:%E*SZ', timestamp '2024-01-01 10:00:00+00')": "2024-01-01T10:00:00Z",
    "format_timestamp('%H:%M:%E3S %%E*S', timestamp '2024-01-01 10:00:00.123456+00')": "10:00:00.123 %E*S",
    "format_timestamp('%FT%H:%M:%E6SZ', timestamp '2024-01-01 10:00:00.5+00')": "2024-01-01T10:00:00.500000Z",
    "format_timestamp('%E4Y', timestamp '2024-01-01 10:00:00+00')": "2024",
    "format_datetime('%F %H:%M:%E*S', datetime '2024-01-01 10:00:00.5')": "2024-01-01 10:00:00.5",
    "format_timestamp('%F %H:%M:%E*S', timestamp '2024-01-01 10:00:10+00', 'Asia/Tokyo')": "2024-01-01 19:00:10",
    "parse_timestamp('%FT%H:%M:%E*SZ', '2024-01-01T10:00:00.123456Z')": utc(2024, 1, 1, 10, 0, 0, 123456),
    "parse_timestamp('%FT%H:%M:%E*SZ', '2024-01-01T10:00:00Z')": utc(2024, 1, 1, 10),
    "parse_timestamp('%F %H:%M:%E*S%Ez', '2024-01-01 10:00:00.5+02:00')": utc(2024, 1, 1, 8, 0, 0, 500000),
    "safe.parse_timestamp('%F %H:%M:%E*S', 'nonsense')": None,
    "parse_datetime('%F %H:%M:%E*S', '2024-01-01 10:00:00.25')": dt.datetime(2024, 1, 1, 10, 0, 0, 250000),
    # aggregates, arrays and hashes
    "(select array_agg(distinct x ignore nulls order by x) from unnest([3, 1, null, 3]) as x)": [1, 3],
    "(select array_agg(x order by x desc limit 2) from unnest([1, 3, 2]) as x)": [3, 2],
    "(select q[offset(1)] from (select approx_quantiles(x, 2) as q from unnest([1, 2, 3]) as x))": 2,
    "farm_fingerprint(concat('1', 'foo', 'true'))": -1541654101129638711,
    "mod(-7, 3)": -1,
    "generate_array(1, 5, 2)": [1, 3, 5],
    "struct(1 as a, 'x' as b) = struct(1 as a, 'x' as b)": True,
}


def test_every_expression_has_the_documented_value(rows: Rows) -> None:
    expressions = list(EXPECTED)
    (values,) = rows("select " + ",\n".join(f"{each} as c{i}" for i, each in enumerate(expressions)))
    assert dict(zip(expressions, values, strict=True)) == EXPECTED


@pytest.mark.parametrize("expression", ["cast('1.5' as int64)", "parse_json('broken')", "1 / 0"])
def test_what_is_not_safe_fails(expression: str, rows: Rows) -> None:
    with pytest.raises(BadRequest):
        rows(f"select {expression}")


def test_columns_behave_like_literals(rows: Rows) -> None:
    rows(
        """create table t as
        select '{"a": "1.5", "t": ["x"]}' as payload, numeric '1.10' as n, 2.0 as f
        union all select 'broken', null, null"""
    )
    assert rows(
        """select
            json_value(payload, '$.a'), safe_cast(json_value(payload, '$.a') as int64),
            json_value_array(payload, '$.t'), json_value(safe.parse_json(payload), '$.a'),
            cast(n as string), cast(f as string)
        from t order by n is null"""
    ) == [("1.5", None, ["x"], "1.5", "1.1", "2"), (None, None, [], None, None, None)]


def test_decimals_keep_their_digits_in_tables(rows: Rows) -> None:
    rows("create table t (a numeric, b bignumeric) as (select numeric '1.123456789' as a, bignumeric '1.5' as b)")
    rows("insert into t (a) values (numeric '12345678901234567890.5')")
    assert rows("select cast(a as string), cast(b as string) from t order by a") == [
        ("1.123456789", "1.5"),
        ("12345678901234567890.5", None),
    ]


def test_the_latest_row_of_a_key_wins(rows: Rows) -> None:
    rows("create table t as select 'a' as k, 1 as o, 10 as v union all select 'a', 2, null union all select 'b', 1, 5")
    assert rows(
        """select k, o, last_value(v ignore nulls) over (
            partition by k order by o rows between unbounded preceding and unbounded following
        ) from t qualify row_number() over (partition by k order by o desc) = 1 order by k"""
    ) == [("a", 2, 10), ("b", 1, 5)]


def test_a_merge_applies_its_conditions_in_order(rows: Rows) -> None:
    rows("create table t as select 'a' as k, 5 as o, 'old' as v, false as gone union all select 'b', 5, 'old', false")
    rows(
        """merge into t as d using (
            select 'a' as k, 6 as o, 'new' as v, false as gone
            union all select 'b', 4, 'late', false union all select 'c', 1, 'first', true
        ) as s on s.k = d.k
        when matched and s.o > d.o then update set o = s.o, v = s.v, gone = s.gone
        when not matched and not s.gone then insert (k, o, v, gone) values (k, o, v, gone)"""
    )
    assert rows("select k, o, v from t order by k") == [("a", 6, "new"), ("b", 5, "old")]


@pytest.mark.parametrize(
    ("condition", "refused"),
    [("", True), ("and s.v != 'skip'", False), ("and s.v = 'skip' or s.k = 'a'", True)],
)
def test_a_merge_with_an_ambiguous_source_is_refused(condition: str, refused: bool, rows: Rows) -> None:
    rows("create table t as select 'a' as k, 'old' as v union all select 'b', 'old'")
    merge = f"""merge into t as d using (
            select 'a' as k, 'new' as v union all select 'a', 'skip' union all select 'c', 'x' union all select 'c', 'y'
        ) as s on s.k = d.k
        when matched {condition} then update set v = s.v
        when not matched then insert (k, v) values (k, v)"""
    if refused:
        with pytest.raises(BadRequest, match="at most one source row"):
            rows(merge)
        assert rows("select k, v from t order by k") == [("a", "old"), ("b", "old")]
    else:
        rows(merge)
        assert rows("select k, v from t order by k, v") == [("a", "new"), ("b", "old"), ("c", "x"), ("c", "y")]


@pytest.mark.parametrize(
    ("on", "clause", "refused"),
    [
        ("s.k = d.k", "when matched and exists(select 1 from unnest(s.tags) as tag where tag = 'a') then delete", True),
        ("s.k = d.k", "when matched then update set v = (select max(tag) from unnest(D.tags) as tag)", True),
        ("s.k = (select max(tag) from unnest(d.tags) as tag)", "when matched then delete", True),
        ("s.k = d.k", "when matched and s.k = (select max(k) from {dataset}.t) then delete", False),
        (
            "s.k = d.k",
            "when matched and array_length(s.tags) = 1 then update set v = case when true then 'b' end",
            False,
        ),
    ],
)
def test_a_merge_that_asks_a_subquery_about_its_row_is_refused(
    on: str, clause: str, refused: bool, rows: Rows, dataset: str
) -> None:
    rows("create table t as select 'a' as k, 'old' as v, ['a'] as tags")
    merge = f"""merge into t as d using (select case when true then k end as k, tags from t) as s on {on}
        {clause.format(dataset=dataset)}"""
    if refused:
        with pytest.raises(BadRequest, match="Correlated subqueries are not supported"):
            rows(merge)
        assert rows("select v from t") == [("old",)]
    else:
        rows(merge)
        assert rows("select v from t") != [("old",)]


def test_a_table_with_bignumeric_is_created_at_once(client: bigquery.Client, dataset: str, rows: Rows) -> None:
    client.create_table(bigquery.Table(f"{client.project}.{dataset}.t", [bigquery.SchemaField("n", "BIGNUMERIC")]))
    rows("insert into t (n) values (bignumeric '1.123456789012345678')")
    assert rows("select cast(n as string) from t") == [("1.123456789012345678",)]
