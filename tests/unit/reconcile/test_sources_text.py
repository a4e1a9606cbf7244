"""CSV, JSON and NDJSON as sources: every type as it was, and nothing that is not whole read as fewer rows."""

import base64
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rows import COLUMNS, ROWS, oracle, read, seen

from core.contracts import DataType
from core.errors import UnreadableError
from core.pinned import FileStore, ObjectRef
from reconcile.plans import FileSet
from reconcile.read.csv_guard import Guard
from reconcile.read.filters import conditions
from reconcile.source_config import CsvForm, FileFormat
from reconcile.sources.files import FileSource
from reconcile.sources.model import EVERY_ROW, Predicate

TEXT: dict[str, DataType] = {"a": "string", "b": "string"}


def source(folder: Path, files: dict[str, bytes], kind: FileFormat, **said: Any) -> FileSource:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    store = FileStore(folder)
    return FileSource(store, FileSet(folder.as_uri(), store.listing(""), kind, **said))


def _spelled(value: Any, kind: DataType) -> Any:
    """Spell a value as the API's rows do."""
    if value is None or kind in ("int64", "bool", "string", "array<string>", "array<int64>"):
        return value
    if kind == "float64":
        return value if abs(value) < 1e300 else "Infinity"
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "json":
        return json.loads(value)
    return str(value) if kind in ("numeric", "bignumeric") else value.isoformat()


def _records() -> list[dict[str, Any]]:
    return [
        {name: _spelled(value, kind) for value, (name, kind) in zip(row, COLUMNS.items(), strict=True)} for row in ROWS
    ]


def _csv(rows: list[list[str | None]], header: list[str]) -> bytes:
    """Write CSV in which null is nothing and every text is quoted."""
    lines = [",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in row) for row in [header, *rows]]
    return "".join(line + "\r\n" for line in lines).encode()


def _csv_rows() -> list[list[str | None]]:
    rows = []
    for record in _records():
        texts = [
            json.dumps(v) if kind in ("json", "array<string>", "array<int64>", "bool") and v is not None else v
            for v, kind in zip(record.values(), COLUMNS.values(), strict=True)
        ]
        rows.append([None if v is None else v if isinstance(v, str) else repr(v) for v in texts])
    return rows


def _zstandard(data: bytes) -> bytes:
    frame: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return frame


def _forms(data: bytes, suffix: str) -> dict[str, bytes]:
    return {
        suffix: data,
        f"{suffix}.gz": gzip.compress(data),
        f"{suffix}.zst": _zstandard(data[: len(data) // 2]) + _zstandard(data[len(data) // 2 :]),
    }


DOCUMENTS: dict[str, tuple[FileFormat, bytes]] = {
    "csv": ("csv", _csv(_csv_rows(), list(COLUMNS))),
    "json": ("json", json.dumps(_records(), indent=1).encode()),
    "ndjson": ("ndjson", "".join(json.dumps(record) + "\n" for record in _records()).encode()),
}


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_type_is_read_as_it_was_written(tmp_path: Path, kind: str, suffix: str) -> None:
    form, data = DOCUMENTS[kind]
    found = source(tmp_path, {f"a.{kind}{suffix}": _forms(data, kind)[kind + suffix]}, form, expected_rows=len(ROWS))
    assert len(read(found)) == found.count() == len(ROWS)
    assert seen(found) == oracle()
    kept = Predicate(conditions({"id": (1, 3)}))
    assert found.count(kept) == 2
    assert seen(found, predicate=kept) == oracle((ROWS[0], ROWS[3]))


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_no_truncated_file_is_ever_read_as_fewer_rows(tmp_path: Path, kind: str, suffix: str) -> None:
    form, data = DOCUMENTS[kind]
    data = _forms(data, kind)[kind + suffix]
    for cut in range(0, len(data) - 1, 7):
        found = source(tmp_path, {f"a.{kind}{suffix}": data[:cut]}, form, expected_rows=len(ROWS))
        with pytest.raises(UnreadableError):
            read(found)


def test_counts_other_than_stated_and_vanished_files_are_unreadable(tmp_path: Path) -> None:
    found = source(tmp_path, {"a.csv": b"a,b\n1,2\n"}, "csv", expected_rows=2)
    with pytest.raises(UnreadableError, match="says 2 rows and the files hold 1"):
        read(found, TEXT)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(UnreadableError, match=r"a\.csv"):
        found.count()
    with pytest.raises(UnreadableError, match="name a contract"):
        found.schema()


# CSV


def test_csv_tells_the_empty_text_from_null(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfc,a,b\n9,"",\n9,NULL,"NULL"\n9,"x\ny","q""q"\n'
    assert read(source(tmp_path, {"a.csv": text}, "csv"), TEXT) == [("", None), ("NULL", "NULL"), ("x\ny", 'q"q')]
    named = source(tmp_path, {"a.csv": b'a;b\n"NULL";NULL\n;","\n'}, "csv", csv=CsvForm(delimiter=";", null="NULL"))
    assert read(named, TEXT) == [("NULL", None), ("", ",")]
    assert read(source(tmp_path, {"a.csv": b"a\n\n1\n"}, "csv"), {"a": "int64"}) == [(None,), (1,)]
    assert read(source(tmp_path, {"a.csv": b"a,b\n"}, "csv"), TEXT) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2", "the last line does not end"),
        (b'a,b\n1,"2\n3,4\n', "a quote is never closed"),
        (b'a,b\n1,x"y"\n', "middle of a field"),
        (b'a,b\n1,"y"x\n', "middle of a field"),
        (b'a,b\n1,"y"x,"z"\n', "middle of a field"),
        (b"a,b\n1,2\n\n3,4\n", "a line is blank"),
        (b'a,b\n1,"2"\r\n\r\n"3",4\n', "a line is blank"),
        (b"a,b\n1\n", "Expected 2 columns, got 1"),
        (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"a,c\n1,2\n", "has no column 'b'"),
        (b"a,b,b\n1,2,3\n", "has 2 columns called 'b'"),
        (b"a,b\n1,\xff\n", "invalid UTF8"),
    ],
)
def test_what_is_no_csv_is_unreadable(tmp_path: Path, text: bytes, fault: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(source(tmp_path, {"a.csv": text}, "csv"), TEXT)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0x1F", "int64"), ("+1", "int64"), (" 1", "int64"), ("1.0", "int64"), ("9223372036854775808", "int64"),
        ("0.0000000001", "numeric"), ("NaN", "numeric"), ("1e400", "float64"), ("0x1p3", "float64"), ("1", "bool"),
        ("2026-02-30", "date"), ("2026-01-01T00:00:00", "timestamp"), ("24:00:00", "time"), ("a===", "bytes"),
        ('["a", 1]', "array<string>"), ("[1", "array<int64>"), ("", "int64"),
    ],
)  # fmt: skip
def test_a_text_that_does_not_spell_its_type_is_unreadable(tmp_path: Path, text: str, kind: DataType) -> None:
    found = source(tmp_path, {"a.csv": _csv([["1"], [text]], ["a"])}, "csv")
    with pytest.raises(UnreadableError, match=f"a is not {kind}"):
        read(found, {"a": kind})


_TEXTS = st.none() | st.text(st.sampled_from('ab,"\n\r;é '), max_size=6)


def _pieces(text: bytes, block: int) -> list[bytes]:
    guard = Guard(ObjectRef("file:///a.csv", "a.csv", "", len(text)), io.BufferedReader(io.BytesIO(text)), ",", 2)
    return list(guard.pieces(block, 60))


@given(rows=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=12), block=st.integers(5, 90))
def test_csv_of_any_texts_passes_the_guard_whole_and_not_when_cut(
    rows: list[tuple[str | None, str | None]], block: int
) -> None:
    data = _csv([list(row) for row in rows], ["a", "b"])

    def through(text: bytes) -> bytes:
        return b"".join(_pieces(text, block))

    assert through(data) == data
    unquoted = io.StringIO(newline="")
    writer = csv.writer(unquoted)
    writer.writerows([("a", "b"), *((a or "x", b or "x") for a, b in rows)])
    assert through(unquoted.getvalue().encode()) == unquoted.getvalue().encode()
    for cut in range(1, len(data)):
        text = data[:cut]
        whole = text.count(b'"') % 2 == 0 and text.endswith((b"\r", b"\n"))
        if not whole:
            with pytest.raises(UnreadableError):
                through(text)


@given(
    rows=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=40),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(5, 90),
)
def test_csv_is_taken_apart_between_rows_and_a_block_at_a_time(
    rows: list[tuple[str | None, str | None]], end: str, block: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC).writerows([("a", "b"), *rows])
    pieces = _pieces(text.getvalue().encode(), block)
    parsed = [row for piece in pieces for row in csv.reader(io.StringIO(piece.decode(), newline=""))]
    assert parsed == list(csv.reader(io.StringIO(text.getvalue(), newline="")))
    # what was left of the blocks before, a row at most, and a block
    assert all(len(piece) <= 60 + block for piece in pieces)


def test_rows_of_csv_are_numbered_through_the_file_and_none_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.read.csv_files._BLOCK_BYTES", 5)
    monkeypatch.setattr("reconcile.read.csv_files._LONGEST_ROW_BYTES", 12)
    whole = b"a,b\n" + b"".join(b"%d,x\n" % number for number in range(10, 20))
    assert len(read(source(tmp_path, {"a.csv": whole}, "csv"), TEXT)) == 10
    for text, fault in (
        (whole + b"1\n", "Row #12: Expected 2 columns, got 1"),
        (b"a,b\n1\n" + whole, "Row #2: Expected 2 columns, got 1"),
        (whole + b"20," + b"x" * 30 + b"\n", "a row is longer than 12 bytes"),
        (b'a,b\n1,"' + b"x\n" * 20, "a row is longer than 12 bytes"),
    ):
        with pytest.raises(UnreadableError) as caught:
            read(source(tmp_path, {"a.csv": text}, "csv"), TEXT)
        assert fault in str(caught.value)
    with pytest.raises(UnreadableError, match="row 10: a is not int64"):
        read(source(tmp_path, {"a.csv": whole.replace(b"19,", b"y,") + b"20,x\n"}, "csv"), {"a": "int64"})


# JSON arrays


def test_json_arrays_are_taken_apart_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"a": 'x}],{"\\', "b": "é", "c": [{"d": "]"}, []]}, {"a": "", "b": None}]
    expected = [(record["a"], record["b"]) for record in records]
    data = ("\ufeff \n" + json.dumps(records, ensure_ascii=False) + "\n\n").encode()
    for size in range(3, 40):
        monkeypatch.setattr("reconcile.read.json_array.READ_BYTES", size)
        assert read(source(tmp_path, {"a.json": data}, "json"), TEXT) == expected
    assert read(source(tmp_path, {"a.json": b" [ ] "}, "json"), TEXT) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "does not begin with ["),
        (b'{"a": 1}', "does not begin with ["),
        (b'[{"a": "1", "b": "2"}', "not separated by commas"),
        (b'[{"a": "1", "b": "2"} {"a": 1}]', "not separated by commas"),
        (b'[{"a": "1", "b": "2"},]', "an element is not an object"),
        (b"[1]", "an element is not an object"),
        (b'[{"a": "1", "b": "2"}] []', "something follows"),
        (b'[{"a": "1", "b": "', "is truncated"),
        (b'[{"a": "1", "b": ]}]', "not separated by commas"),
        (b'[{"a": "1", "b": 1 2}]', "element 1: "),
        (b'[{"a": "1", "b": "2"}, {"a": "1"}]', "element 2: Object missing required field `b`"),
    ],
)
def test_what_is_no_array_of_objects_is_unreadable(tmp_path: Path, text: bytes, fault: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(source(tmp_path, {"a.json": text}, "json"), TEXT)
    assert fault in str(caught.value)


def test_an_element_without_end_does_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcile.read.json_array.LONGEST_ROW", 100)
    monkeypatch.setattr("reconcile.read.json_array.READ_BYTES", 50)
    with pytest.raises(UnreadableError, match="more than 100 bytes"):
        source(tmp_path, {"a.json": b'[{"a": "' + b"x" * 1_000}, "json").count(EVERY_ROW)
