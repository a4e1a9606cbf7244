"""The snapshot's readers on files of this machine: what is read, and what is refused rather than misread."""

import gzip
import json
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from core.pinned import FileStore, ObjectRef
from reconcile.read.convert import to_stored
from reconcile.read.filters import Condition, all_hold, conditions, googlesql_literal, restriction
from reconcile.read.ndjson import read_ndjson
from reconcile.read.parquet import read_parquet, read_schema
from reconcile.read.spill import spill

NOW = datetime(2026, 1, 5, 7, tzinfo=UTC)
NOT_UTF8 = pa.array([b"\xff"]).view(pa.string())


def _file(folder: Path, name: str, data: bytes) -> tuple[FileStore, ObjectRef]:
    path = folder / "s1" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    store = FileStore(folder)
    return store, next(ref for ref in store.listing("s1") if ref.path == f"s1/{name}")


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True, **options)
    return sink.getvalue().to_pybytes()


def _read_lines(folder: Path, lines: list[Any], columns: dict[str, DataType]) -> list[dict[str, Any]]:
    text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    store, ref = _file(folder, "t/part.ndjson.gz", gzip.compress(text))
    return [row for batch in read_ndjson(store, ref, columns) for row in batch.to_pylist()]


# Parquet


def test_parquet_is_read_group_by_group_with_only_the_columns_wanted(tmp_path: Path) -> None:
    table = pa.table({"a": range(10), "b": [f"b{n}" for n in range(10)], "c": [None] * 10})
    store, ref = _file(tmp_path, "t/a.parquet", _parquet(table, row_group_size=3))
    batches = list(read_parquet(store, ref, ("b", "a")))
    assert [batch.num_rows for batch in batches] == [3, 3, 3, 1]
    assert pa.Table.from_batches(batches).equals(table.select(["b", "a"]))
    assert read_schema(store, ref).names == ["a", "b", "c"]


@pytest.mark.parametrize("cut", [0, 3, 100, -1])
def test_a_truncated_parquet_file_is_unreadable(tmp_path: Path, cut: int) -> None:
    data = _parquet(pa.table({"a": range(1000)}))
    store, ref = _file(tmp_path, "t/a.parquet", data[:cut])
    with pytest.raises(UnreadableError, match=r"a\.parquet: is not a whole Parquet file"):
        list(read_parquet(store, ref, ("a",)))


def test_a_damaged_page_is_unreadable(tmp_path: Path) -> None:
    data = bytearray(_parquet(pa.table({"a": range(1000)}), compression="none", use_dictionary=False))
    at = data.index(struct.pack("<q", 500))
    data[at] ^= 1
    store, ref = _file(tmp_path, "t/a.parquet", bytes(data))
    with pytest.raises(UnreadableError, match="not a whole Parquet file"):
        list(read_parquet(store, ref, ("a",)))


def test_a_missing_and_a_doubled_column_are_unreadable(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    doubled = pa.Table.from_arrays([pa.array([1]), pa.array([2])], schema=schema)
    store, ref = _file(tmp_path, "t/a.parquet", _parquet(doubled))
    with pytest.raises(UnreadableError, match="2 columns called 'a'"):
        list(read_parquet(store, ref, ("a",)))
    with pytest.raises(UnreadableError, match="has no column 'b'"):
        list(read_parquet(store, ref, ("b",)))


def test_an_old_int96_timestamp_does_not_wrap_around(tmp_path: Path) -> None:
    early = datetime(1, 1, 1, tzinfo=UTC)
    table = pa.table({"a": pa.array([early], pa.timestamp("us", "UTC"))})
    store, ref = _file(tmp_path, "t/a.parquet", _parquet(table, use_deprecated_int96_timestamps=True))
    [batch] = read_parquet(store, ref, ("a",))
    assert batch.column("a")[0].as_py().replace(tzinfo=UTC) == early


# NDJSON


def test_every_type_of_an_api_row_is_read_digit_for_digit(tmp_path: Path) -> None:
    columns: dict[str, DataType] = {
        "i": "int64", "n": "numeric", "m": "numeric", "g": "bignumeric", "f": "float64", "nan": "float64", "b": "bool",
        "s": "string", "x": "bytes", "d": "date", "dt": "datetime", "t": "time", "ts": "timestamp", "j": "json",
        "a": "array<string>", "ai": "array<int64>",
    }  # fmt: skip
    line = (
        b'{"i": 9007199254740993, "n": "12345678901234567890123456789.123456789", "m": 0.1, "g": 1e-38, "f": 0.1,'
        b' "nan": "NaN", "b": true, "s": "\\u00e9\\n", "x": "/wA=", "d": "0001-01-01", "dt": "2026-01-02T03:04:05",'
        b' "t": "03:04:05.000001", "ts": "2026-01-02T03:04:05.678901Z", "j": {"z": 1.10, "a": null}, "a": ["", null],'
        b' "ai": [1], "unknown": 1}'
    )
    [row, empty] = _read_lines(tmp_path, [line, dict.fromkeys(columns)], columns)
    assert row.pop("nan") != 0  # NaN equals nothing
    assert row == {
        "i": 9007199254740993,
        "n": Decimal("12345678901234567890123456789.123456789"),
        "m": Decimal("0.100000000"),
        "g": Decimal("1e-38"),
        "f": 0.1,
        "b": True,
        "s": "é\n",
        "x": b"\xff\x00",
        "d": date(1, 1, 1),
        "dt": datetime(2026, 1, 2, 3, 4, 5),
        "t": time(3, 4, 5, 1),
        "ts": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
        "j": '{"z": 1.10, "a": null}',
        "a": ["", None],
        "ai": [1],
    }
    assert empty == dict.fromkeys(columns)


@pytest.mark.parametrize(
    ("line", "kind", "fault"),
    [
        ({}, "int64", "line 2: Object missing required field `v`"),
        ({"v": "1"}, "int64", "line 2: Expected `int | null`, got `str`"),
        ({"v": 1.5}, "int64", "line 2: Expected `int | null`"),
        ({"v": 2**63}, "int64", "v is not int64"),
        ({"v": "0.1234567891"}, "numeric", "v is not numeric"),
        ({"v": "NaN"}, "numeric", "v is not numeric"),
        ({"v": "ten"}, "numeric", "line 2"),
        ({"v": "2026-02-30"}, "date", "v is not date"),
        ({"v": "2026-01-02T03:04:05"}, "timestamp", "v is not timestamp"),
        ({"v": "2026-01-02T03:04:05.1234567Z"}, "timestamp", "v is not timestamp"),
        ({"v": "no base64!"}, "bytes", "line 2"),
        ({"v": "24:00:00"}, "time", "v is not time"),
        ({"v": "01:02:03.1234567"}, "time", "v is not time"),
        ({"v": "x"}, "float64", "v is not float64"),
        (b'{"v": NaN}', "float64", "line 2"),
        (b'{"v": "\xff"}', "string", "line 2"),
        (b'{"v": 1', "int64", "line 2"),
        (b"", "int64", "line 2"),
        (b"[]", "int64", "line 2: Expected `object`"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_line(
    tmp_path: Path, line: dict[str, Any] | bytes, kind: DataType, fault: str
) -> None:
    lines = [{"v": None}, line, {"v": None}]
    with pytest.raises(UnreadableError) as caught:
        _read_lines(tmp_path, lines, {"v": kind})
    assert fault in str(caught.value)
    assert "part.ndjson.gz" in str(caught.value)


def test_plain_and_empty_files_are_read_and_truncated_ones_are_not(tmp_path: Path) -> None:
    columns: dict[str, DataType] = {"v": "int64"}
    store, ref = _file(tmp_path, "t/plain.ndjson", b'{"v": 1}\n{"v": 2}\n')
    assert [batch.num_rows for batch in read_ndjson(store, ref, columns)] == [2]
    store, ref = _file(tmp_path, "t/empty.ndjson.gz", gzip.compress(b""))
    assert list(read_ndjson(store, ref, columns)) == []
    whole = gzip.compress(b"".join(b'{"v": %d}\n' % n for n in range(1000)))
    for cut in (0, 1, len(whole) // 2, len(whole) - 4):
        store, ref = _file(tmp_path, "t/cut.ndjson.gz", whole[:cut])
        with pytest.raises(UnreadableError, match="truncated or corrupt"):
            list(read_ndjson(store, ref, columns))


def test_a_column_may_be_called_anything_a_struct_is_not(tmp_path: Path) -> None:
    columns: dict[str, DataType] = {"__dict__": "int64", "class": "int64", "c1": "int64", "a b": "int64"}
    [row] = _read_lines(tmp_path, [dict.fromkeys(columns, 7)], columns)
    assert row == dict.fromkeys(columns, 7)


# Conversion


def _stored(array: pa.Array, data_type: DataType, *, cast: bool = False) -> list[Any]:
    return to_stored(array, data_type, cast=cast, numbers="value", where="t: v").to_pylist()


def test_lossless_conversions_happen_by_themselves() -> None:
    assert _stored(pa.array([1], pa.uint32()), "int64") == [1]
    assert _stored(pa.array([2**63 - 1], pa.int64()), "numeric") == [Decimal(2**63 - 1)]
    assert _stored(pa.array([Decimal("1.25")], pa.decimal128(5, 2)), "numeric") == [Decimal("1.25")]
    assert _stored(pa.array([1.5], pa.float32()), "float64") == [1.5]
    assert _stored(pa.array(["a", "a"]).dictionary_encode(), "string") == ["a", "a"]
    assert _stored(pa.array(["a"], pa.large_string()), "string") == ["a"]
    assert _stored(pa.array([b"ab"], pa.binary(2)), "bytes") == [b"ab"]
    assert _stored(pa.array([date(2026, 1, 1)], pa.date64()), "date") == [date(2026, 1, 1)]
    assert _stored(pa.array([NOW], pa.timestamp("ns", "Europe/Berlin")), "timestamp") == [NOW.replace(tzinfo=None)]
    assert _stored(pa.array([["a"]], pa.large_list(pa.string())), "array<string>") == [["a"]]
    assert _stored(pa.array(['{"b": 1.0}'], pa.json_()), "json") == ['{"b":1}']
    assert _stored(pa.nulls(2), "numeric") == _stored(pa.nulls(2), "timestamp") == [None, None]


@pytest.mark.parametrize(
    ("array", "data_type"),
    [
        (pa.array([1.5]), "numeric"),
        (pa.array([1.0]), "int64"),
        (pa.array(["1"]), "int64"),
        (pa.array([1]), "float64"),
        (pa.array([1]), "string"),
        (pa.array(["a"]), "bytes"),
        (pa.array([NOW.replace(tzinfo=None)], pa.timestamp("us")), "timestamp"),
        (pa.array([NOW], pa.timestamp("us", "UTC")), "datetime"),
        (pa.array([["a"]]), "array<int64>"),
    ],
)
def test_a_type_that_would_lose_something_names_the_cast(array: pa.Array, data_type: DataType) -> None:
    with pytest.raises(UnreadableError, match=f"t: v is .*`cast: {data_type}`"):
        _stored(array, data_type)


@pytest.mark.parametrize(
    ("array", "data_type"),
    [
        (pa.array([2**64 - 1], pa.uint64()), "int64"),
        (pa.array([Decimal("0.1234567891")], pa.decimal128(20, 10)), "numeric"),
        (pa.array([1], pa.timestamp("ns", "UTC")), "timestamp"),
        (NOT_UTF8, "string"),
    ],
)
def test_a_value_that_would_lose_something_is_unreadable(array: pa.Array, data_type: DataType) -> None:
    with pytest.raises(UnreadableError, match=f"t: v: a value cannot become {data_type}"):
        _stored(array, data_type)


def test_a_declared_cast_converts_text_and_refuses_what_is_no_number() -> None:
    assert _stored(pa.array(["12"]), "int64", cast=True) == [12]
    assert _stored(pa.array(["1.10"]), "numeric", cast=True) == [Decimal("1.10")]
    assert _stored(pa.array(["2026-01-05T07:00:00Z"]), "timestamp", cast=True) == [NOW.replace(tzinfo=None)]
    assert _stored(pa.array([NOW.replace(tzinfo=None)], pa.timestamp("us")), "timestamp", cast=True) == [
        NOW.replace(tzinfo=None)
    ]
    assert _stored(pa.array([date(2026, 1, 5)]), "timestamp", cast=True) == [datetime(2026, 1, 5)]
    with pytest.raises(UnreadableError, match="cannot become int64"):
        _stored(pa.array(["twelve"]), "int64", cast=True)


# Filters


def test_filters_are_googlesql_that_no_constant_can_break_out_of() -> None:
    where = conditions({"is_deleted": False, "region": ("eu", None), "code": "a'b\\c\n", "n": (1, 2), "x": None})
    assert restriction(where) == (
        "is_deleted = false and (region = 'eu' or region is null) and code = 'a\\'b\\\\c\\U0000000a' "
        "and n in (1, 2) and x is null"
    )
    assert restriction(()) == ""
    assert googlesql_literal(Decimal("0.10")) == "numeric '0.10'"
    assert googlesql_literal(date(2026, 1, 5)) == "date '2026-01-05'"
    assert googlesql_literal(NOW) == "timestamp '2026-01-05 07:00:00.000000+00:00'"
    with pytest.raises(ConfigurationError):
        Condition("a b", (1,)).googlesql()


def test_filters_on_arrow_keep_what_the_warehouse_would_keep() -> None:
    batch = pa.record_batch({"a": [1, 2, None], "s": ["x", None, "y"]})
    assert all_hold(conditions({"a": (1, None)}), batch).to_pylist() == [True, False, True]
    assert all_hold(conditions({"a": 1, "s": "y"}), batch).to_pylist() == [False, False, False]
    assert all_hold((), batch).to_pylist() == [True, True, True]
    empty = pa.record_batch({"a": pa.nulls(2)})
    assert all_hold(conditions({"a": (1, None)}), empty).to_pylist() == [True, True]
    assert all_hold(conditions({"a": 1}), empty).to_pylist() == [False, False]
    with pytest.raises(UnreadableError, match="filter on a does not suit"):
        all_hold(conditions({"a": "x"}), batch)
    with pytest.raises(UnreadableError, match="column z is not there"):
        all_hold(conditions({"z": 1}), batch)


# Scratch space


def test_the_first_fault_of_any_unit_ends_the_reading(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64())])

    def endless() -> Iterator[pa.RecordBatch]:
        while True:
            yield pa.record_batch({"a": [1]})

    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise UnreadableError("gone")

    with pytest.raises(UnreadableError, match="gone"):
        spill([endless, broken], schema, tmp_path, workers=2, stop=threading.Event(), on_rows=lambda _: None)


def test_units_are_shared_among_workers_and_none_at_all_is_an_empty_file(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64())])
    units = [lambda n=n: iter([pa.record_batch({"a": [n]})]) for n in range(7)]
    told: list[int] = []
    (tmp_path / "a").mkdir()
    found = spill(units, schema, tmp_path / "a", workers=3, stop=threading.Event(), on_rows=told.append)
    assert (found.rows, sum(told), len(found.files)) == (7, 7, 3)
    assert sorted(n for file in found.files for n in pq.read_table(file)["a"].to_pylist()) == list(range(7))
    (tmp_path / "b").mkdir()
    empty = spill([], schema, tmp_path / "b", workers=3, stop=threading.Event(), on_rows=told.append)
    assert empty.rows == 0
    assert pq.read_table(empty.files[0]).schema.equals(schema)
