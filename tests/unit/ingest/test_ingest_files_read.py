"""Rows of files: every row once, in its order, with its value; and no damage passes for fewer rows."""

import datetime as dt
import gzip
import io
import json
import math
import os
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError, UnreadableError
from core.pinned import FileStore
from ingest.files.read import read_rows

ROWS = [{"id": number, "name": f"Ünï {number}"} for number in range(2_500)]
MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
AVRO_SCHEMA = {
    "type": "record",
    "name": "row",
    "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}],
}


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)  # type: ignore[no-any-return]


def avro(rows: list[dict[str, Any]], schema: Any = AVRO_SCHEMA) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, codec="deflate", sync_interval=4_000)
    return file.getvalue()


def parquet(rows: list[dict[str, Any]] | pa.Table) -> bytes:
    file = io.BytesIO()
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    pq.write_table(table, file, row_group_size=700, write_page_checksum=True)
    return file.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "part.ndjson": ndjson,
    "part.jsonl": ndjson,
    "part.NDJSON.gz": lambda rows: gzip.compress(ndjson(rows)),
    "part.json.zst": lambda rows: zstd(ndjson(rows)),
    "part.avro": avro,
    "part.parquet": parquet,
}


def read(folder: Path, name: str, data: bytes) -> list[tuple[int, bytes]]:
    (folder / name).write_bytes(data)
    store = FileStore(folder)
    batches = list(read_rows(store, store.look_up(name)))
    assert all(0 < len(batch) <= 1_000 for batch in batches)
    return [row for batch in batches for row in batch]


def attempt(folder: Path, name: str, data: bytes) -> tuple[list[bytes], str | None]:
    """The rows of a file up to its fault, and the fault."""
    (folder / name).write_bytes(data)
    store = FileStore(folder)
    found: list[bytes] = []
    try:
        for batch in read_rows(store, store.look_up(name)):
            found += [text for _, text in batch]
    except UnreadableError as error:
        return found, str(error)
    return found, None


@pytest.mark.parametrize("name", WRITERS)
def test_every_row_is_read_once_in_its_order(tmp_path: Path, name: str) -> None:
    rows = read(tmp_path, name, WRITERS[name](ROWS))
    assert [number for number, _ in rows] == list(range(1, len(ROWS) + 1))
    assert [json.loads(text) for _, text in rows] == ROWS


@pytest.mark.parametrize("name", ["part.NDJSON.gz", "part.json.zst", "part.avro", "part.parquet"])
def test_no_truncation_passes_for_a_shorter_file(tmp_path: Path, name: str) -> None:
    """Of an Avro file only whole blocks are a file again: then no row may be half of one."""
    data = WRITERS[name](ROWS)
    whole, _ = attempt(tmp_path, name, data)
    step = max(1, len(data) // 60)
    for length in [*range(0, len(data), step), len(data) - 1]:
        found, fault = attempt(tmp_path, name, data[:length])
        assert found == whole[: len(found)]
        assert name in fault if fault else name == "part.avro"


@given(st.data())
@pytest.mark.parametrize("name", ["part.NDJSON.gz", "part.json.zst", "part.avro", "part.parquet"])
def test_damage_is_told_and_never_ends_in_anything_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    content = bytearray(WRITERS[name](ROWS[:200]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    _, fault = attempt(tmp_path_factory.mktemp("damaged"), name, bytes(content))
    assert fault is None or name in fault


def test_lines_are_kept_byte_by_byte_and_empty_ones_are_none(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf{"a": 1.10 }\r\n\n  \n{"a":\xff}\n[1]\nlast'
    assert read(tmp_path, "a.ndjson", text) == [(1, b'{"a": 1.10 }'), (4, b'{"a":\xff}'), (5, b"[1]"), (6, b"last")]
    assert read(tmp_path, "empty.ndjson", b"") == []
    zipped = gzip.compress(b"1\n") + gzip.compress(b"2\n")
    assert read(tmp_path, "two.ndjson.gz", zipped) == [(1, b"1"), (2, b"2")]


def test_a_line_without_end_is_not_gathered_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.files.read.ndjson._LONGEST_LINE", 100)
    with pytest.raises(UnreadableError, match="line 2 has more than 100 bytes"):
        read(tmp_path, "long.ndjson", b"1\n" + b"x" * 1_000)


@pytest.mark.parametrize("name", ["members.csv", "members", "members.parquet.gz", "members.avro.zst"])
def test_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DecodeError, match="its name ends in none of") as caught:
        read(tmp_path, name, b"x")
    assert caught.value.reason == "unknown_format"


def test_parquet_values_become_the_forms_that_casts_accept(tmp_path: Path) -> None:
    nested = pa.struct([("at", pa.timestamp("ns", "UTC")), ("rate", pa.float64())])
    columns = {
        "numeric": pa.array([Decimal("1.100000000"), None], pa.decimal128(38, 9)),
        "bytes": pa.array([b"\x00\xff", None]),
        "date": pa.array([dt.date(2026, 1, 2), None]),
        "timestamp": pa.array([MOMENT, None], pa.timestamp("us", "UTC")),
        "nanos": pa.array([1_767_323_045_678_901_234, None], pa.timestamp("ns", "UTC")),
        "datetime": pa.array([MOMENT.replace(tzinfo=None), None], pa.timestamp("us")),
        "time": pa.array([dt.time(1, 2, 3, 4), None], pa.time64("us")),
        "time_nanos": pa.array([1_234, None], pa.time64("ns")),
        "float": pa.array([math.nan, -math.inf]),
        "floats": pa.array([[1.5, math.inf], None], pa.list_(pa.float64())),
        "texts": pa.array([["a", None], []], pa.list_(pa.string())),
        "nested": pa.array([{"at": 1_767_323_045_678_901_000, "rate": math.nan}, None], nested),
        "words": pa.array(["x", None]).dictionary_encode(),
        "large": pa.array([2**63 - 1, None]),
    }
    [(_, first), (_, second)] = read(tmp_path, "values.parquet", parquet(pa.table(columns)))
    assert json.loads(first) == {
        "numeric": "1.100000000",
        "bytes": "AP8=",
        "date": "2026-01-02",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "nanos": "2026-01-02T03:04:05.678901Z",
        "datetime": "2026-01-02T03:04:05.678901",
        "time": "01:02:03.000004",
        "time_nanos": "00:00:00.000001",
        "float": "NaN",
        "floats": [1.5, "Infinity"],
        "texts": ["a", None],
        "nested": {"at": "2026-01-02T03:04:05.678901Z", "rate": "NaN"},
        "words": "x",
        "large": 2**63 - 1,
    }
    assert json.loads(second) == dict.fromkeys(columns) | {"float": "-Infinity", "texts": []}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([2**62, 5, None], pa.timestamp("us")), [2**62, "1970-01-01T00:00:00.000005", None]),
        (pa.array([-(2**40)], pa.timestamp("s", "UTC")), [-(2**40) * 1_000_000]),
        (pa.array([2**62], pa.timestamp("ns", "Europe/Oslo")), ["2116-02-20T23:53:38.427387Z"]),
        (pa.array([5], pa.timestamp("us", "Nowhere/AtAll")), ["1970-01-01T00:00:00.000005Z"]),
        (pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()), [2**31 - 1, "1970-01-01"]),
        (pa.array([86_400_000 * 10**7], pa.int64()).cast(pa.date64()), [10**7]),
    ],
)
def test_instants_that_no_calendar_knows_are_told_as_counts(
    tmp_path: Path, column: pa.Array, expected: list[Any]
) -> None:
    rows = read(tmp_path, "a.parquet", parquet(pa.table({"a": column})))
    assert [json.loads(text)["a"] for _, text in rows] == expected


NO_UTF8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"a": pa.array([[2**62]], pa.list_(pa.timestamp("us")))}), "OverflowError"),
        (pa.table({"a": NO_UTF8}), "UnicodeDecodeError"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "two of its columns have one name"),
    ],
)
def test_what_has_no_value_is_told_and_does_not_end_the_run(tmp_path: Path, table: pa.Table, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        read(tmp_path, "a.parquet", parquet(table))


def test_avro_values_become_the_forms_that_casts_accept(tmp_path: Path) -> None:
    types: dict[str, Any] = {
        "numeric": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
        "at": {"type": "long", "logicalType": "timestamp-micros"},
        "day": {"type": "int", "logicalType": "date"},
        "rate": ["null", "double"],
        "data": "bytes",
        "id": {"type": "string", "logicalType": "uuid"},
        "tags": {"type": "array", "items": "string"},
        "more": {"type": "map", "values": "double"},
    }
    schema = {"type": "record", "name": "r", "fields": [{"name": n, "type": kind} for n, kind in types.items()]}
    id_ = uuid.UUID(int=7)
    row = {
        "numeric": Decimal("1.100000000"),
        "at": MOMENT,
        "day": dt.date(2026, 1, 2),
        "rate": math.inf,
        "data": b"\x00\xff",
        "id": id_,
        "tags": ["a"],
        "more": {"x": math.nan},
    }
    [(_, text)] = read(tmp_path, "values.avro", avro([row], schema))
    assert json.loads(text) == {
        "numeric": "1.100000000",
        "at": "2026-01-02T03:04:05.678901Z",
        "day": "2026-01-02",
        "rate": "Infinity",
        "data": "AP8=",
        "id": str(id_),
        "tags": ["a"],
        "more": {"x": "NaN"},
    }


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Random text, which compresses to nothing smaller: the file is read in parts, and only parts are held."""
    rows = [{"id": number, "text": os.urandom(20).hex()} for number in range(60_000)]
    data = parquet(pa.Table.from_pylist(rows))
    (tmp_path / "large.parquet").write_bytes(data)
    store = FileStore(tmp_path)
    pa.default_memory_pool().release_unused()
    before, peak, count = pa.total_allocated_bytes(), 0, 0
    for batch in read_rows(store, store.look_up("large.parquet")):
        peak = max(peak, pa.total_allocated_bytes() - before)
        count += len(batch)
    assert count == len(rows)
    assert peak < len(data) / 2
