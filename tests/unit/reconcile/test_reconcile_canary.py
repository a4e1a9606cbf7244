"""No value of a row leaves by what is said of it: a canary in every reader, looked for in every output."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from reconcile.alerts import message
from reconcile.audit import audit_rows, column_rows, difference_rows
from reconcile.cli import app
from reconcile.report.files import read_json
from reconcile.report.junit import junit
from reconcile.report.words import sentence

CANARY = "canary.4711"
NUMBER = 9_223_372_036_854_774_711
ROWS = 30
BAD = 17
"""The row, from 1, that holds the canary."""


def _texts(bad: Any, good: Any) -> list[Any]:
    return [bad if number == BAD else good for number in range(1, ROWS + 1)]


def _ndjson(bad: Any, good: Any) -> bytes:
    return b"".join(json.dumps({"id": n, "v": v}).encode() + b"\n" for n, v in enumerate(_texts(bad, good), 1))


def _array(bad: Any, good: Any) -> bytes:
    return json.dumps([{"id": n, "v": v} for n, v in enumerate(_texts(bad, good), 1)]).encode()


def _csv(bad: Any, good: Any) -> bytes:
    return ("id,v\n" + "".join(f"{n},{v}\n" for n, v in enumerate(_texts(bad, good), 1))).encode()


def _parquet(bad: Any, good: Any) -> bytes:
    return _written(pa.array(_texts(bad, good)))


def _written(values: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array(range(1, ROWS + 1)), "v": values}), sink)
    return sink.getvalue()


def _avro(bad: Any, good: Any) -> bytes:
    sink = io.BytesIO()
    fields = [{"name": "id", "type": "long"}, {"name": "v", "type": "string"}]
    rows = [{"id": n, "v": v} for n, v in enumerate(_texts(bad, good), 1)]
    fastavro.writer(sink, {"type": "record", "name": "r", "fields": fields}, rows)
    return sink.getvalue()


DAYS = pa.array(["1970-01-01"] * ROWS).cast(pa.date32())
WHOLES = pa.array([1] * ROWS, pa.int64())
EXACT = pa.array([1] * ROWS).cast(pa.decimal128(38, 9))
DOUBLES = pa.array([1.0] * ROWS)
FLAGS = pa.array([True] * ROWS)
BYTES = pa.array([b"x"] * ROWS, pa.binary())
INSTANTS = pa.array([0] * ROWS, pa.timestamp("us", "UTC"))
TEXT = pa.array(["x"] * ROWS)
CAST: dict[str, Any] = {"cast": "int64"}

CASES: dict[str, tuple[str, bytes, pa.Array, dict[str, Any]]] = {
    "ndjson date": ("a.ndjson", _ndjson(f"1970-13-45 {CANARY}", "1970-01-01"), DAYS, {}),
    "ndjson gz date": ("a.ndjson.gz", gzip.compress(_ndjson(f"x {CANARY}", "1970-01-01")), DAYS, {}),
    "ndjson time stamp": ("a.ndjson", _ndjson(CANARY, "1970-01-01T00:00:00Z"), INSTANTS, {}),
    "ndjson int": ("a.ndjson", _ndjson(NUMBER * 2, 1), WHOLES, {}),
    "ndjson float": ("a.ndjson", _ndjson(CANARY, 1.0), DOUBLES, {}),
    "ndjson numeric": ("a.ndjson", _ndjson("0." + str(NUMBER), "1"), EXACT, {}),
    "ndjson text as number": ("a.ndjson", _ndjson(CANARY, 1), WHOLES, {}),
    "ndjson bytes": ("a.ndjson", _ndjson(f"!{CANARY}", "eA=="), BYTES, {}),
    "ndjson cut": ("a.ndjson", b'{"id": 1, "v": "' + CANARY.encode() + b"\n", TEXT, {}),
    "json array": ("a.json", _array(CANARY, "1970-01-01"), DAYS, {}),
    "csv int": ("a.csv", _csv(CANARY, 1), WHOLES, {}),
    "csv bool": ("a.csv", _csv(CANARY, "true"), FLAGS, {}),
    "csv short row": ("a.csv", b"id,v,w\n1,x,y\n2," + CANARY.encode() + b"\n", TEXT, {}),
    "csv no header": ("a.csv", b"1," + CANARY.encode() + b"\n2,x\n", TEXT, {}),
    "csv quote": ("a.csv", b'id,v\n1,a"' + CANARY.encode() + b"\n", TEXT, {}),
    "parquet cast": ("a.parquet", _parquet(CANARY, "1"), WHOLES, CAST),
    "parquet decimal": ("a.parquet", _parquet(f"12,50 {CANARY}", "1"), EXACT, {"cast": "numeric"}),
    "parquet unsigned": (
        "a.parquet",
        _written(pa.array(_texts(NUMBER + 2**63, 1), pa.uint64())),
        WHOLES,
        {},
    ),
    "parquet utf-8": (
        "a.parquet",
        _written(pa.array(_texts(CANARY.encode() + b"\xff", b"x"), pa.binary()).view(pa.string())),
        TEXT,
        {"case": "ignore"},
    ),
    "avro cast": ("a.avro", _avro(CANARY, "1"), WHOLES, CAST),
    "expression": ("a.parquet", _parquet(CANARY, "1"), WHOLES, {"snapshot": {"expression": "cast(v as bigint)"}}),
    "path": ("a.parquet", _parquet(json.dumps({"a": CANARY}), '{"a": "1"}'), WHOLES, {"snapshot": "v.a"}),
}
"""By reader: a file of the snapshot that holds the canary, the warehouse's column, and the rule."""
# Enough of each to tell it from the digits of times, run ids and the limits of types.
LOOKED_FOR: dict[str, str] = dict.fromkeys(CASES, "canary") | {
    "ndjson int": str(NUMBER * 2)[:17],
    "ndjson numeric": str(NUMBER)[:17],
    "parquet unsigned": str(NUMBER + 2**63)[:17],
}

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Compares a file with a column through the command; returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def invoke(name: str, data: bytes, held: pa.Array, rule: dict[str, Any], *more: str) -> Any:
        for folder in ("w", "s"):
            (tmp_path / folder).mkdir()
        table = pa.table({"id": pa.array(range(1, ROWS + 1)), "v": held})
        pq.write_table(table, tmp_path / "w/a.parquet")
        (tmp_path / "s" / name).write_bytes(data)
        comparison = {
            "name": "t",
            "key": ["id"],
            "warehouse": {"type": "files", "uri": (tmp_path / "w").as_uri()},
            "snapshot": {"type": "files", "uri": (tmp_path / "s").as_uri()},
            "columns": {"v": {"mask": True, **rule}},
        }
        (tmp_path / "reconcile.yml").write_text(json.dumps({"version": 1, "comparisons": [comparison]}))
        return CliRunner().invoke(app, ["run", "--no-audit", "--output", "out", *more])

    return invoke


def _outputs(folder: Path, printed: Any, logs: Any) -> dict[str, str]:
    """Return everything that tells of a run, by what it is."""
    result = read_json(folder)
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.*")}
    return files | {
        "terminal": printed.output,
        "logs": repr(logs),
        "junit": junit(result).decode(),
        "sentence": " ".join(map(sentence, result.comparisons)),
        "webhook": json.dumps(message(result)),
        "audit": msgspec.json.encode([audit_rows(result), column_rows(result), difference_rows(result)]).decode(),
    }


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read_is_told_without_its_value(run: Run, tmp_path: Path, case: str) -> None:
    name, data, held, rule = CASES[case]
    with capture_logs() as logs:
        done = run(name, data, held, rule)
    assert done.exit_code == 1, done.output
    [found] = read_json(tmp_path / "out").comparisons
    assert found.verdict == "unreadable"
    for output, text in _outputs(tmp_path / "out", done, logs).items():
        assert LOOKED_FOR[case] not in text, (output, found.reason)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("ndjson date", "line 17: v is not date: a text of 22 characters"),
        ("ndjson numeric", "line 17: v is not numeric"),
        ("json array", "element 17: v is not date: a text of 11 characters"),
        ("csv int", "row 17: v is not int64: a text of 11 characters"),
        ("csv short row", "Expected 3 columns, got 2"),
        ("parquet cast", "v: a value cannot become int64: a text of 11 characters"),
        ("parquet unsigned", "it is out of range"),
        ("expression", "Conversion Error"),
    ],
)
def test_the_row_and_the_form_of_the_value_are_told(run: Run, tmp_path: Path, case: str, told: str) -> None:
    run(*CASES[case])
    [found] = read_json(tmp_path / "out").comparisons
    assert told in (found.reason or "")


def test_an_alert_names_measures_without_their_values(run: Run, tmp_path: Path) -> None:
    done = run("a.parquet", _parquet(CANARY, "x"), TEXT, {"mask": False}, "--mode", "aggregate")
    result = read_json(tmp_path / "out")
    assert CANARY in done.output, "values of columns that hold nothing personal are shown in reports"
    assert "V min differs" in message(result)["text"]
    assert "canary" not in json.dumps(message(result))
