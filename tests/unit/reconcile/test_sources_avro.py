"""Avro files as a source: every type as it was, and nothing that is not whole read as fewer rows."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from source_rows import COLUMNS, ROWS, oracle, read, seen

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import FileStore
from reconcile.plans import FileSet
from reconcile.read.filters import conditions
from reconcile.sources.files import FileSource
from reconcile.sources.model import Predicate

_AVRO: dict[DataType, Any] = {
    "int64": "long",
    "numeric": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
    "bignumeric": {"type": "bytes", "logicalType": "decimal", "precision": 76, "scale": 38},
    "float64": "double",
    "bool": "boolean",
    "string": "string",
    "bytes": "bytes",
    "date": {"type": "int", "logicalType": "date"},
    "datetime": {"type": "long", "logicalType": "local-timestamp-micros"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
    "json": "string",
    "array<string>": {"type": "array", "items": "string"},
    "array<int64>": {"type": "array", "items": "long"},
}


def _avro(fields: dict[str, Any], rows: list[dict[str, Any]], **options: Any) -> bytes:
    record = {"type": "record", "name": "row", "fields": [{"name": n, "type": kind} for n, kind in fields.items()]}
    sink = io.BytesIO()
    fastavro.writer(sink, record, rows, **options)
    return sink.getvalue()


def _source(folder: Path, *files: bytes, expected_rows: int | None = None) -> FileSource:
    for number, data in enumerate(files):
        (folder / f"{number}.avro").write_bytes(data)
    store = FileStore(folder)
    return FileSource(store, FileSet(folder.as_uri(), store.listing(""), "avro", expected_rows))


@pytest.mark.parametrize("codec", ["null", "deflate", "xz"])
def test_every_type_is_read_as_it_was_written(tmp_path: Path, codec: str) -> None:
    fields = {name: ["null", _AVRO[kind]] for name, kind in COLUMNS.items()}
    data = _avro(fields, [dict(zip(COLUMNS, row, strict=True)) for row in ROWS], codec=codec, sync_interval=64)
    found = _source(tmp_path, data, expected_rows=len(ROWS))
    assert found.schema() == {name: "string" if kind == "json" else kind for name, kind in COLUMNS.items()}
    assert seen(found) == oracle()
    assert found.count() == len(ROWS)
    assert seen(found, predicate=Predicate(conditions({"name": None}))) == oracle((ROWS[3],))
    for cut in range(0, len(data), 11):
        with pytest.raises(UnreadableError):
            read(_source(tmp_path, data[:cut], expected_rows=len(ROWS)))


def test_other_types_of_avro_become_what_they_stand_for(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    nanos = int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000
    symbol = {"type": "enum", "name": "symbol", "symbols": ["GOLD", "TIN"]}
    fields = {
        "i": "int", "f": "float", "e": symbol, "u": {"type": "string", "logicalType": "uuid"},
        "ms": {"type": "long", "logicalType": "timestamp-millis"},
        "ns": {"type": "long", "logicalType": "timestamp-nanos"},
        "d": {"type": "fixed", "name": "d", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2},
    }  # fmt: skip
    row = {"i": 1, "f": 0.5, "e": "GOLD", "u": UUID(int=7), "ms": at, "ns": nanos, "d": Decimal("1.25")}
    kinds: dict[str, DataType] = {
        "i": "int64", "f": "float64", "e": "string", "u": "string", "ms": "timestamp", "ns": "timestamp", "d": "numeric"
    }  # fmt: skip
    found = _source(tmp_path, _avro(fields, [row]))
    assert found.schema() == kinds
    utc = at.replace(tzinfo=None)
    assert read(found, kinds) == [(1, 0.5, "GOLD", str(UUID(int=7)), utc, utc, Decimal("1.250000000"))]
    off = _source(tmp_path, _avro(fields, [row | {"ns": nanos + 1}]))
    with pytest.raises(UnreadableError, match="ns: a value cannot become timestamp"):
        read(off, kinds)


def test_what_cannot_be_compared_or_is_not_there_is_unreadable(tmp_path: Path) -> None:
    fields = {"id": "long", "several": ["int", "string"], "many": {"type": "map", "values": "long"}}
    found = _source(tmp_path, _avro(fields, [{"id": 1, "several": "a", "many": {}}]))
    assert found.schema() == {"id": "int64", "several": None, "many": None}
    with pytest.raises(UnreadableError, match="which is not string"):
        read(found, {"several": "string"})
    with pytest.raises(UnreadableError, match="has no column 'name'"):
        read(found, {"name": "string"})
    with pytest.raises(UnreadableError, match="is int64, which is not string"):
        read(found, {"id": "string"})


def test_damaged_foreign_and_vanished_files_are_unreadable(tmp_path: Path) -> None:
    data = _avro({"id": "long"}, [{"id": n} for n in range(1_000)], codec="deflate", sync_interval=200)
    damaged = bytearray(data)
    damaged[-1] ^= 1  # of the last sync marker
    for wrong in (bytes(damaged), b"", b"PAR1", data + b"x"):
        with pytest.raises(UnreadableError, match=r"0\.avro: is not a whole Avro file"):
            read(_source(tmp_path, wrong), {"id": "int64"})
    sink = io.BytesIO()
    fastavro.writer(sink, {"type": "long"}, [1])
    numbers = _source(tmp_path, sink.getvalue())
    with pytest.raises(UnreadableError, match="holds no records"):
        numbers.schema()
    found = _source(tmp_path, data)
    (tmp_path / "0.avro").unlink()
    with pytest.raises(UnreadableError, match=r"0\.avro"):
        found.count()
