"""Conversion of appended columns to the table's types, and which rows are refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from devstack.bigquery.shims.row_conversion import BadRowsError, to_table


def field(name: str, arrow_type: pa.DataType, bq_type: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, arrow_type, nullable=not required, metadata={b"bq_type": bq_type.encode()})


UTC = pa.timestamp("us", tz="UTC")
MOMENT = dt.datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("sent", "arrow_type", "bq_type", "expected"),
    [
        (pa.array([19_000, None], pa.int32()), pa.date32(), "DATE", [dt.date(2022, 1, 8), None]),
        (pa.array(["2022-01-08"]), pa.date32(), "DATE", [dt.date(2022, 1, 8)]),
        (pa.array([1_704_103_200_123_456]), UTC, "TIMESTAMP", [MOMENT]),
        (pa.array(["2024-01-01T10:00:00.123456Z"]), UTC, "TIMESTAMP", [MOMENT]),
        (pa.array(["1.123456789"]), pa.decimal128(38, 9), "NUMERIC", [Decimal("1.123456789")]),
        (pa.array([3]), pa.decimal128(38, 9), "NUMERIC", [Decimal(3)]),
        (pa.array([1], pa.uint32()), pa.int64(), "INT64", [1]),
        (pa.array([["a"], []]), pa.list_(pa.string()), "STRING", [["a"], []]),
        (pa.array(['{"a": 1}', None, "null"]), pa.string(), "JSON", ['{"a": 1}', None, "null"]),
    ],
)
def test_values_arrive_in_the_type_of_the_column(
    sent: pa.Array, arrow_type: pa.DataType, bq_type: str, expected: list[Any]
) -> None:
    schema = pa.schema([field("c", arrow_type, bq_type)])
    assert to_table({"c": sent}, len(sent), schema).column("c").to_pylist() == expected


@pytest.mark.parametrize(
    ("sent", "arrow_type", "bq_type"),
    [
        (pa.array(["1", "x", "2"]), pa.decimal128(38, 9), "NUMERIC"),
        (pa.array(["1", "1.0000000001", "2"]), pa.decimal128(38, 9), "NUMERIC"),
        (pa.array(["2024-01-01", "2024-02-30", None]), pa.date32(), "DATE"),
        (pa.array(["2024-01-01T00:00:00Z", "soon", None]), UTC, "TIMESTAMP"),
        (pa.array(["{}", "{", "[]"]), pa.string(), "JSON"),
        (pa.array([1.0, 1e300, 2.0]), pa.decimal128(38, 9), "NUMERIC"),
    ],
)
def test_exactly_the_bad_rows_are_named(sent: pa.Array, arrow_type: pa.DataType, bq_type: str) -> None:
    schema = pa.schema([field("c", arrow_type, bq_type)])
    with pytest.raises(BadRowsError) as error:
        to_table({"c": sent}, len(sent), schema)
    assert [row.index for row in error.value.rows] == [1]
    assert "c" in error.value.rows[0].message


def test_a_missing_column_is_null_and_a_missing_required_one_is_refused() -> None:
    optional = field("o", pa.string(), "STRING")
    assert to_table({}, 2, pa.schema([optional])).column("o").to_pylist() == [None, None]
    required = field("r", pa.string(), "STRING", required=True)
    with pytest.raises(BadRowsError) as error:
        to_table({"r": pa.array(["a", None])}, 2, pa.schema([optional, required]))
    assert [(row.index, row.message) for row in error.value.rows] == [(1, "Field r: missing required value")]


def test_columns_come_in_the_order_of_the_table() -> None:
    schema = pa.schema([field("Beta", pa.int64(), "INT64"), field("alpha", pa.int64(), "INT64")])
    table = to_table({"alpha": pa.array([1]), "beta": pa.array([2])}, 1, schema)
    assert table.to_pylist() == [{"Beta": 2, "alpha": 1}]
