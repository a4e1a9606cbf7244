"""Files that are scanned where they lie: which may be, and that none of them is misread."""

import os
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_files import direct
from reconcile_tables import LIMITS, column, planned, spilled

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import FileStore, ObjectRef
from reconcile.compare.engine import DirectReadError, compare
from reconcile.read.direct import Direct, check_unchanged, read_direct, read_footers
from reconcile.read.filters import conditions

TABLE = pa.table({"id": range(1_000), "v": [f"text {n % 97}" for n in range(1_000)]})
PLAN = planned(column("id", "int64", is_key=True), column("v", "string"))


def _written(folder: Path, table: pa.Table = TABLE, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "a.parquet"
    pq.write_table(table, path, **{"write_page_checksum": True, "row_group_size": 300, **options})
    return path


def test_clean_files_are_scanned_where_they_lie(tmp_path: Path) -> None:
    path = _written(tmp_path / "s")
    found = direct(PLAN, tmp_path / "s")
    assert found is not None
    assert (found.files, found.rows) == ((path,), 1_000)
    assert next((group.low, group.high) for group in found.contents[0].groups or ()) == (0, 299)


@pytest.mark.parametrize(
    ("data_type", "array"),
    [
        ("int64", pa.array([1], pa.uint64())),
        ("numeric", pa.array([Decimal("0.1234567891")], pa.decimal128(20, 10))),
        ("numeric", pa.array([Decimal(1)], pa.decimal256(50, 0))),
        ("bignumeric", pa.array([Decimal(1)], pa.decimal256(50, 0))),
        ("timestamp", pa.array([1], pa.timestamp("ns", "UTC"))),
        ("time", pa.array([1], pa.time64("us"))),
        ("array<string>", pa.array([["a"]])),
        ("string", pa.nulls(1)),
        ("string", pa.array(["a"]).dictionary_encode()),
        ("bytes", pa.array([b"ab"], pa.binary(2))),
    ],
)
def test_what_the_engine_might_read_otherwise_is_read_value_by_value(
    tmp_path: Path, data_type: DataType, array: pa.Array
) -> None:
    _written(tmp_path / "s", pa.table({"id": [1], "v": array}))
    plan = planned(column("id", "int64", is_key=True), column("v", data_type))
    assert direct(plan, tmp_path / "s") is None


def test_names_that_differ_in_case_only_and_files_of_two_types_are_read_value_by_value(tmp_path: Path) -> None:
    _written(tmp_path / "s", pa.table({"id": [1], "v": ["a"], "V": ["b"]}))
    assert direct(PLAN, tmp_path / "s") is None
    _written(tmp_path / "t", pa.table({"id": [1], "v": ["a"]}))
    pq.write_table(pa.table({"id": pa.array([2], pa.int32()), "v": ["b"]}), tmp_path / "t/b.parquet")
    assert direct(PLAN, tmp_path / "t") is None
    _written(tmp_path / "with[brackets]", TABLE)
    assert direct(PLAN, tmp_path / "with[brackets]") is None


_INSTANT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data_type", "array", "value"),
    [
        ("int64", pa.array([-5], pa.int8()), -5),
        ("numeric", pa.array([7], pa.int32()), Decimal(7)),
        ("numeric", pa.array([Decimal("1.25")], pa.decimal128(5, 2)), Decimal("1.25")),
        ("float64", pa.array([0.5], pa.float32()), 0.5),
        ("string", pa.array(["é"], pa.large_string()), "é"),
        ("date", pa.array([date(1, 1, 1)]), date(1, 1, 1)),
        ("timestamp", pa.array([_INSTANT], pa.timestamp("us", "Europe/Berlin")), _INSTANT),
        ("timestamp", pa.array([_INSTANT.replace(microsecond=678_000)], pa.timestamp("ms", "UTC")), None),
        ("datetime", pa.array([_INSTANT.replace(tzinfo=None)], pa.timestamp("us")), _INSTANT.replace(tzinfo=None)),
        ("bytes", pa.array([b"\xff\x00"]), b"\xff\x00"),
    ],
)
def test_a_scanned_value_equals_the_same_value_read_by_value(
    tmp_path: Path, data_type: DataType, array: pa.Array, value: Any
) -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", data_type))
    _written(tmp_path / "s", pa.table({"id": [1], "v": array}))
    scanned = direct(plan, tmp_path / "s")
    if value is None:
        value = array.to_pylist()[0]
    assert scanned is not None
    by_value = spilled(plan, [(1, value)], tmp_path / "w.parquet")
    found = compare(plan, by_value, scanned, scratch=tmp_path, limits=LIMITS, export=None, values=False)
    assert (found.counts.matched, found.counts.changed) == (1, 0)


def test_text_that_is_not_utf8_is_refused_and_never_compared(tmp_path: Path) -> None:
    bad = pa.array([b"a", b"\xff"]).view(pa.string())
    _written(tmp_path / "s", pa.table({"id": [1, 2], "v": bad}))
    scanned = direct(PLAN, tmp_path / "s")
    assert scanned is not None
    with pytest.raises(DirectReadError, match="cannot scan the files as they are"):
        compare(PLAN, scanned, scanned, scratch=tmp_path, limits=LIMITS, export=None, values=False)


def test_a_missing_column_and_a_type_that_needs_a_cast_are_told(tmp_path: Path) -> None:
    _written(tmp_path / "s")
    with pytest.raises(UnreadableError, match="has no column 'w'"):
        direct(planned(column("id", "int64", is_key=True), column("w", "string")), tmp_path / "s")
    with pytest.raises(UnreadableError, match="v is string, which is not int64"):
        direct(planned(column("id", "int64", is_key=True), column("v", "int64")), tmp_path / "s")


def test_a_filter_is_the_engines_or_left_to_arrow(tmp_path: Path) -> None:
    _written(tmp_path / "s")
    store = FileStore(tmp_path / "s")
    names = ("id", "v")
    where = conditions({"v": ("text 1", None), "id": 98})
    footers = read_footers(PLAN.columns, names, where, store, store.listing(""), workers=1)
    assert footers is not None
    side = read_direct(footers, where, store, tmp_path, workers=1, stop=threading.Event(), on_rows=lambda _: None)
    by_value = spilled(PLAN, [(98, "text 1")], tmp_path / "w.parquet")
    found = compare(PLAN, by_value, side, scratch=tmp_path, limits=LIMITS, export=None, values=False)
    assert (found.counts.matched, found.counts.snapshot_rows) == (1, 1)
    for unsuited in ({"id": "x"}, {"id": Decimal(1)}, {"nothing": 1}):
        assert read_footers(PLAN.columns, names, conditions(unsuited), store, store.listing(""), workers=1) is None


# Damage


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damaged_byte_of_a_page_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    options = {
        "compression": data.draw(st.sampled_from(["none", "zstd", "snappy"])),
        "data_page_version": data.draw(st.sampled_from(["1.0", "2.0"])),
        "use_dictionary": data.draw(st.booleans()),
        "data_page_size": 512,
    }
    path = _written(folder / "s", **options)
    assert direct(PLAN, folder / "s") is not None
    metadata = pq.read_metadata(path)
    chunks = [metadata.row_group(g).column(c) for g in range(metadata.num_row_groups) for c in range(2)]
    chunk = data.draw(st.sampled_from(chunks))
    start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(start, start + chunk.total_compressed_size - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = direct(PLAN, folder / "s")
    except UnreadableError:
        return
    # In a header, a byte may be one that nothing depends on, such as a statistic; the rows are then as they were.
    assert found is not None
    try:
        rows = duckdb.read_parquet(str(path)).order("id").fetchall()
    except duckdb.Error:
        return
    assert rows == list(zip(*TABLE.to_pydict().values(), strict=True))


@pytest.mark.parametrize("cut", [0, 3, 100, -1])
def test_a_truncated_file_is_unreadable(tmp_path: Path, cut: int) -> None:
    path = _written(tmp_path / "s")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UnreadableError, match="is not a whole Parquet file"):
        direct(PLAN, tmp_path / "s")


def test_a_file_replaced_after_the_listing_is_noticed(tmp_path: Path) -> None:
    path = _written(tmp_path / "s")
    store = FileStore(tmp_path / "s")
    [ref] = store.listing("")
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(UnreadableError, match="was replaced"):
        check_unchanged(store, ref)


class _Remote:
    """A store that is not of this machine, and counts what it hands over."""

    def __init__(self, root: Path) -> None:
        self._store = FileStore(root)
        self.fetched = 0

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        return self._store.listing(prefix)

    def look_up(self, path: str) -> ObjectRef:
        return self._store.look_up(path)

    def folders(self) -> tuple[str, ...]:
        return self._store.folders()

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        self.fetched += length
        return self._store.read(ref, start, length)


def test_of_a_remote_file_only_the_compared_columns_are_fetched(tmp_path: Path) -> None:
    wide = TABLE.append_column("ballast", pa.array([os.urandom(1_000).hex() for _ in range(1_000)]))
    wide = wide.select(["id", "ballast", "v"])
    path = _written(tmp_path / "s", wide, compression="none")
    store, scratch = _Remote(tmp_path / "s"), tmp_path / "scratch"
    scratch.mkdir()
    footers = read_footers(PLAN.columns, ("id", "v"), (), store, store.listing(""), workers=1)
    assert footers is not None
    side: Direct = read_direct(footers, (), store, scratch, workers=1, stop=threading.Event(), on_rows=lambda _: None)
    assert store.fetched < path.stat().st_size / 4
    by_value = spilled(PLAN, list(zip(*TABLE.to_pydict().values(), strict=True)), tmp_path / "w.parquet")
    found = compare(PLAN, by_value, side, scratch=tmp_path, limits=LIMITS, export=None, values=False)
    assert found.counts.matched == 1_000
