"""Storage Read with the stock client: types, streams, projections and restrictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types

Rows = Callable[[str], list[tuple[Any, ...]]]
Read = Callable[..., list[pa.Table]]


@pytest.fixture
def read(client: bigquery.Client, read_client: BigQueryReadClient, dataset: str) -> Read:
    def run(table: str, *, streams: int = 1, **options: Any) -> list[pa.Table]:
        session = read_client.create_read_session(
            parent=f"projects/{client.project}",
            read_session=types.ReadSession(
                table=f"projects/{client.project}/datasets/{dataset}/tables/{table}",
                data_format=types.DataFormat.ARROW,
                read_options=types.ReadSession.TableReadOptions(**options),
            ),
            max_stream_count=streams,
        )
        return [read_client.read_rows(stream.name).to_arrow(session) for stream in session.streams]

    return run


@pytest.fixture
def typed_table(rows: Rows) -> str:
    rows(
        """create table typed (
            i int64 not null, n numeric, f float64, b bool, s string, y bytes, d date, t timestamp, j json,
            a array<string>
        )"""
    )
    rows(
        """insert into typed values
            (1, numeric '12345678901234567890.123456789', 1.5, true, 'é', from_hex('00ff'), date '2024-02-29',
             timestamp '2024-01-01 10:00:00.123456+00', json '{"a": 1}', ['x', 'y']),
            (2, null, null, null, null, null, null, null, null, [])"""
    )
    return "typed"


def test_every_type_arrives_as_bigquery_documents_it(read: Read, typed_table: str) -> None:
    (table,) = read(typed_table)
    assert {field.name: field.type for field in table.schema} == {
        "i": pa.int64(),
        "n": pa.decimal128(38, 9),
        "f": pa.float64(),
        "b": pa.bool_(),
        "s": pa.string(),
        "y": pa.binary(),
        "d": pa.date32(),
        "t": pa.timestamp("us", tz="UTC"),
        "j": pa.string(),
        "a": pa.list_(pa.string()),
    }
    first, second = table.sort_by("i").to_pylist()
    assert first == {
        "i": 1,
        "n": Decimal("12345678901234567890.123456789"),
        "f": 1.5,
        "b": True,
        "s": "é",
        "y": b"\x00\xff",
        "d": dt.date(2024, 2, 29),
        "t": dt.datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=dt.UTC),
        "j": '{"a":1}',
        "a": ["x", "y"],
    }
    assert second == {"i": 2, "a": []} | dict.fromkeys("nfbsydtj")


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        ("i = 1", [1]),
        ("t >= timestamp '2024-01-01' and d = '2024-02-29'", [1]),
        ("n is not null and n > 5", [1]),
        ("b is null", [2]),
        ("s = 'é'", [1]),
        ("mod(i, 2) = 0", [2]),
        ("i in (1, 2)", [1, 2]),
        ("i < 0", []),
    ],
)
def test_rows_and_columns_are_restricted(read: Read, typed_table: str, restriction: str, expected: list[int]) -> None:
    tables = read(typed_table, row_restriction=restriction, selected_fields=["i"])
    assert sorted(value for table in tables for value in table.column("i").to_pylist()) == expected
    assert all(table.column_names == ["i"] for table in tables)


def test_streams_divide_the_rows_among_them(read: Read, rows: Rows) -> None:
    rows("create table numbers as select i, cast(i as string) as s from unnest(generate_array(1, 120000)) as i")
    tables = read("numbers", streams=3)
    assert len(tables) == 3
    assert sorted(value for table in tables for value in table.column("i").to_pylist()) == list(range(1, 120_001))


def test_a_missing_table_is_not_found(read: Read) -> None:
    with pytest.raises(NotFound):
        read("missing")
