"""Push-down over a real query and a real read session: what it finds, and how little it reads."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from reconcile_world import DATASET, TAKEN_AT, Estate, load

from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.comparing import Progress
from reconcile.modes import LastRun, keep_run, last_run
from reconcile.pushdown import remote
from reconcile.pushdown.statements import Statement
from reconcile.result import ComparisonResult

ROWS = 3_000
ULP = math.nextafter(0.1, 1)
TYPES = {
    "id": ("int64", pa.int64()),
    "code": ("string", pa.string()),
    "amount": ("numeric", pa.decimal128(38, 9)),
    "score": ("float64", pa.float64()),
    "flag": ("bool", pa.bool_()),
    "note": ("string", pa.string()),
    "loose": ("string", pa.string()),
    "raw": ("bytes", pa.binary()),
    "day": ("date", pa.date32()),
    "wall": ("datetime", pa.timestamp("us")),
    "clock": ("time", pa.time64("us")),
    "at": ("timestamp", pa.timestamp("us", "UTC")),
    "tags": ("array<string>", pa.list_(pa.string())),
}
COLUMNS: dict[str, dict[str, Any]] = {
    "loose": {"case": "ignore", "space": "collapse", "null_equivalents": ["n/a"]},
    "at": {"precision": "second"},
    "tags": {"order": "set"},
}
"""Rules that both engines must apply alike before they hash."""
EDITS: tuple[dict[str, Any], ...] = (
    {"score": ULP},
    {"note": None},
    {"note": "<null>"},
    {"amount": Decimal("1.000000001")},
    {"raw": b"\xff\x00"},
    {"day": date(1, 1, 1)},
    {"clock": time(23, 59, 59, 999_999)},
    {"wall": datetime(9999, 12, 31, 23, 59, 59, 999_999)},
    {"tags": ["a|b"]},
    {"tags": []},
    {"flag": None},
)
SAME: tuple[dict[str, Any], ...] = (
    {"score": -0.0},
    {"loose": " A  b "},
    {"at": datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)},
    {"tags": ["b", "a", "b"]},
)
"""Edits that the rules call equal."""


def _row(number: int) -> dict[str, Any]:
    return {
        "id": number if number else None,
        "code": f"K{number}|",
        "amount": Decimal(number) / 8,
        "score": [0.1, 0.0, math.nan, math.inf, number / 3][number % 5],
        "flag": number % 2 == 0,
        "note": ["", "it's", "a:b", "\u00e9", "e\u0301"][number % 5],
        "loose": "a B" if number % 2 else "N/A",
        "raw": bytes([number % 256]),
        "day": date(1970, 1, 1 + number % 28),
        "wall": datetime(2026, 3, 29, 2, 30, 0, number),
        "clock": time(1, 2, 3, number),
        "at": datetime(2026, 1, 1, 0, 0, 0, number, tzinfo=UTC),
        "tags": ["a", "b"] if number % 3 else ["x"],
    }


@dataclass(frozen=True)
class Things:
    settings: Settings
    table: str


def _put(estate: Estate, root: Path, name: str) -> Things:
    rows = [_row(number) for number in range(ROWS)]
    ours = [dict(row) for row in rows[3:]]  # the first three are missing
    for number, edit in enumerate(EDITS):
        ours[200 + number] |= edit
    ours[20]["score"] = 0.0
    rows[23]["score"] = 0.0
    for number, edit in enumerate(SAME):
        ours[20 + number] |= edit
    rows[24]["loose"], rows[25]["loose"], ours[22]["loose"] = "a b", None, "n/a"
    ours.append(ours[500])  # doubled
    ours.append(_row(ROWS) | {"id": 2**62})  # extra, and beyond every key of the snapshot
    schema = [schema_field(name, kind) for name, (kind, _) in TYPES.items()]
    arrow = pa.schema([(name, kind) for name, (_, kind) in TYPES.items()])
    load(estate.client, f"{estate.client.project}.{DATASET}.{name}", schema, pa.Table.from_pylist(ours, arrow))
    folder = root / "s1" / name
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, arrow), folder / "a.parquet", row_group_size=500)
    table = {"format": "parquet", "rows": ROWS, "files": [f"{name}/a.parquet"]}
    manifest = {"snapshot_id": "s1", "taken_at": TAKEN_AT.isoformat(), "tables": {name: table}}
    (root / "s1" / "manifest.json").write_text(json.dumps(manifest))
    return Things(estate.settings.model_copy(update={"snapshot_uri": root.as_uri()}), name)


@pytest.fixture(scope="module")
def things(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Things:
    return _put(estate, tmp_path_factory.mktemp("pushed"), "pushed")


by_every_key = pytest.mark.parametrize("key", [("id",), ("code",), ("code", "id")], ids="-".join)


def _run(
    things: Things, mode: str, read: Counter[str] | None = None, state: Path | None = None, **changes: Any
) -> ComparisonResult:
    def on_progress(progress: Progress) -> None:
        if read is not None:
            read[progress.phase] += progress.rows

    comparison = {"name": things.table, "key": ["id"], "columns": COLUMNS, "mode": mode, **changes}
    document = {"version": 1, "defaults": {"dataset": DATASET}, "comparisons": [comparison]}
    config = ReconcileConfig.model_validate(document)
    [found] = run(config, things.settings, audit=False, on_progress=on_progress, state=state).comparisons
    assert found.reason is None, found.reason
    return found


@by_every_key
def test_checksums_by_the_warehouse_find_what_the_join_finds_and_read_little(
    things: Things, key: tuple[str, ...]
) -> None:
    by_value = _run(things, "typed", key=key)
    assert by_value.counts is not None
    assert (by_value.counts.missing, by_value.counts.extra) == (3, 1)
    assert (by_value.counts.changed, by_value.counts.duplicated_keys) == (len(EDITS), 1)
    read: Counter[str] = Counter()
    found = _run(things, "checksum", read, key=key)
    assert (found.counts, found.sample, found.columns) == (by_value.counts, by_value.sample, by_value.columns)
    assert found.evidence is not None
    assert found.evidence.words.startswith("the warehouse summed up its side itself")
    # A few neighbours come along with each row that differs.
    assert len(EDITS) <= read["warehouse"] < ROWS // 10


def test_files_that_are_still_the_same_are_not_hashed_again(things: Things, tmp_path: Path) -> None:
    # Some types are brought to scratch space, where files are no more told apart.
    columns = COLUMNS | {name: {"ignore": True} for name in ("tags", "raw", "wall", "clock")}
    first, second = (_run(things, "checksum", state=tmp_path, columns=columns) for _ in range(2))
    assert first.counts == second.counts
    words = [found.evidence.words for found in (first, second) if found.evidence]
    assert ["the checksums of 1 files were kept" in told for told in words] == [False, True]


def test_a_sample_of_everything_finds_what_the_join_finds(things: Things) -> None:
    by_value, read = _run(things, "typed", key=["code"]), Counter[str]()
    found = _run(things, "sample", sample_share=1, key=["code"])
    assert (found.counts, found.sample) == (by_value.counts, by_value.sample)
    found = _run(things, "sample", read, sample_share=0.1)
    assert found.evidence is not None
    [rows] = found.evidence.measures
    assert (rows.warehouse, rows.snapshot) == (str(ROWS - 1), str(ROWS))
    assert ROWS // 20 < read["warehouse"] < ROWS // 5


def test_counts_and_aggregates_read_no_row_of_the_warehouse(things: Things) -> None:
    read: Counter[str] = Counter()
    found = _run(things, "count", read)
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("different", 0, 0)
    assert found.counts is not None
    assert (found.counts.warehouse_rows, found.counts.snapshot_rows) == (ROWS - 1, ROWS)
    found = _run(things, "aggregate", read)
    assert read["warehouse"] == 0
    measures = {measure.name: measure for measure in (found.evidence.measures if found.evidence else ())}
    assert {name for name, measure in measures.items() if not measure.agrees} >= {"rows", "score checksum", "id max"}
    # Seconds are what is compared.
    assert measures["at min"].agrees
    assert measures["day max"].agrees


def test_auto_pushes_down_what_is_large_and_differs_little(
    things: Things, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.modes._SMALL_ROWS", 1_000)
    found = _run(things, "auto")
    assert found.mode == "checksum"
    assert "the warehouse sums up its side by itself" in (found.why or "")
    keep_run(last_run(tmp_path, "pushed"), LastRun(1_000, 500))
    assert _run(things, "auto", state=tmp_path).mode == "typed"


def test_what_differs_most_is_read_whole(things: Things) -> None:
    read: Counter[str] = Counter()
    found = _run(things, "checksum", read, columns={"code": {"snapshot": "note"}})
    assert found.counts is not None
    assert (found.counts.missing, found.counts.extra) == (3, 1)
    assert found.counts.changed > ROWS * 0.9
    assert read["warehouse"] == ROWS - 1


def test_a_table_that_is_written_to_after_its_instant_was_let_go_of_is_unreadable(
    estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = _put(estate, tmp_path, "pushed_twice")
    name = f"{estate.client.project}.{DATASET}.{things.table}"
    rows = remote.rows

    def late(*arguments: Any) -> Any:
        estate.client.query(f"insert into `{name}` (id, code) select id, code from `{name}`").result()
        for _ in range(8):  # the local BigQuery keeps to the newest that it was asked for
            estate.client.query_and_wait("select current_timestamp()")
        return rows(*arguments)

    monkeypatch.setattr("reconcile.pushdown.remote.rows", late)
    with pytest.raises(AssertionError, match="read: it was written to in between"):
        _run(things, "checksum")


def test_a_statement_that_bigquery_refuses_is_unreadable(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = Statement("select no_such_function()", ())
    monkeypatch.setattr("reconcile.pushdown.remote.checksum_statement", lambda *_: statement)
    with pytest.raises(AssertionError, match="BigQuery cannot compute its side"):
        _run(things, "checksum")
