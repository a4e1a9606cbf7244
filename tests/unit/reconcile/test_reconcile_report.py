"""The views of a result: JSON, page, sentences and samples."""

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reconcile_tables import column, compared, kinds, planned
from rich.console import Console

from core.contracts import load_contracts
from core.errors import ConfigurationError
from reconcile.audit import SCHEMA, audit_rows
from reconcile.compare.engine import EngineLimits
from reconcile.compare.explain import hint
from reconcile.compare.lookup import history_sql, row_sql
from reconcile.plans import InFlightPlan
from reconcile.report.files import prepare_output, read_json, write_reports
from reconcile.report.page import MOST_BYTES, parted, render
from reconcile.report.terminal import print_result
from reconcile.report.words import sentence
from reconcile.result import (
    SCHEMA_VERSION,
    Change,
    ColumnResult,
    ComparisonResult,
    Counts,
    Difference,
    Evidence,
    Inputs,
    KeyValue,
    Measure,
    PinnedObject,
    RunResult,
    SnapshotId,
    Timing,
    Versions,
    worst,
)

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 1, 5, 7, tzinfo=UTC)
DIGITS = "9" * 29
HOSTILE = "<script>alert(1)</script>"


def _change(name: str = "note", left: str | None = "a", right: str | None = "b", **more: Any) -> Change:
    return Change(**{"column": name, "warehouse": left, "snapshot": right, "masked": None, "hint": None, **more})


def _difference(number: str = "1", /, *changes: Change, **more: Any) -> Difference:
    fields: dict[str, Any] = {
        "kind": "changed",
        "key": (KeyValue("id", number, None),),
        "changes": changes,
        "warehouse_rows": 1,
        "snapshot_rows": 1,
        "sql": f"select *\nfrom `p.d.t`\nwhere id = {number}",
        "history_sql": None,
    }
    return Difference(**(fields | more))


def _comparison(name: str = "things", **more: Any) -> ComparisonResult:
    counts = Counts(warehouse_rows=1_000, snapshot_rows=1_000, matched=1_000)
    inputs = Inputs("p.d.t", "is_deleted = false", AT, "session", (PinnedObject("s3://b/a", '"e"', 9),), "parquet")
    columns = (
        ColumnResult("id", "id", "int64", True, "exact", 0),
        ColumnResult("note", "note", "string", False, "exact", 0),
    )
    fields: dict[str, Any] = {
        "name": name,
        "contract": None,
        "owner": "somebody",
        "verdict": "equal",
        "reason": None,
        "counts": counts,
        "columns": columns,
        "not_compared": ("warehouse._op",),
        "sample": (),
        "differences_file": None,
        "inputs": inputs,
        "timing": Timing(0.5, 0.25),
    }
    return ComparisonResult(**(fields | more))


def _different(name: str = "things", *sample: Difference, **counts: int) -> ComparisonResult:
    numbers = {"warehouse_rows": 1_000, "snapshot_rows": 1_000, "matched": 990, "changed": 10} | counts
    plain = _comparison(name)
    columns = (plain.columns[0], replace(plain.columns[1], changed=numbers["changed"]))
    file = f"differences/{name}.parquet"
    return replace(
        plain, verdict="different", counts=Counts(**numbers), columns=columns, sample=sample, differences_file=file
    )


def _unreadable(name: str = "lost") -> ComparisonResult:
    return _comparison(
        name, verdict="unreadable", reason=f"s3://b/{HOSTILE}: gone", counts=None, columns=(), inputs=None
    )


def _run(*comparisons: ComparisonResult, **more: Any) -> RunResult:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "run-1",
        "verdict": worst(tuple(found.verdict for found in comparisons)),
        "started_at": AT,
        "seconds": 1.5,
        "project": "a-project",
        "snapshot": SnapshotId("s3://b", "2026-01-05", AT),
        "comparisons": comparisons,
        "not_run": (),
        "versions": Versions("0", "1", "2", "3"),
    }
    return RunResult(**(fields | more))


class _Page(HTMLParser):
    """Collects the tags, ids and text of a page, and holds it to closing what it opens."""

    _VOID = frozenset({"meta", "br", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data


def test_the_page_shows_each_verdict_and_escapes_what_it_shows() -> None:
    hostile = _difference(HOSTILE, _change(HOSTILE, HOSTILE, "b"), _change("x", None, ""), _change("y", "", "z"))
    duplicated = _difference("2", kind="duplicated", warehouse_rows=2, snapshot_rows=0, sql=None)
    masked = _difference("3", _change("e", "email, 3 characters", None, masked="email", hint="letter case only"))
    null_key = _difference("4", key=(KeyValue("id", None, None), KeyValue("e", "email, 3 characters", "email")))
    result = _run(
        _comparison("fine"),
        _different("things", hostile, duplicated, masked, null_key),
        _unreadable(),
        not_run=("later",),
    )
    page = render(result)
    parsed = _Page(page)
    assert HOSTILE not in page
    assert HOSTILE in parsed.text
    assert parsed.tags.count("script") == 1
    assert {"table-fine", "table-things", "table-lost", "failed-only"} <= set(parsed.ids)
    assert len(set(parsed.ids)) == len(parsed.ids)
    for told in ("Not everything could be read", "990", "letter case only", "email, 3 characters", "2 rows", "later"):
        assert told in parsed.text
    assert re.search(r'<tr data-outcome="failed" data-table="lost">', page)


def test_the_page_stays_small_however_much_differs() -> None:
    long = "x" * 240
    sample = tuple(_difference(str(n), *(_change(f"c{m}", long, f"{long}y") for m in range(10))) for n in range(300))
    page = render(_run(*(_different(f"table_{n}", *sample) for n in range(13))))
    assert 100_000 < len(page.encode()) < MOST_BYTES
    assert len(render(_run(_different("things", *sample[:25]))).encode()) > 60_000


def test_the_page_needs_nothing_but_itself() -> None:
    page = render(_run(_comparison()))
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("abcd", "abXd", (("ab", "c", "d"), ("ab", "X", "d"))),
        ("a", "a ", (("a", "", ""), ("a", " ", ""))),
        ("aaa", "aa", (("aa", "a", ""), ("aa", "", ""))),
        (None, "", (None, ("", "", ""))),
    ],
)
def test_what_differs_within_a_value_is_marked(left: str | None, right: str | None, expected: Any) -> None:
    assert parted(_change("c", left, right)) == expected


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    result = _run(_different("things", _difference("1", _change())), _unreadable())
    prepare_output(tmp_path / "out")
    write_reports(result, tmp_path / "out")
    assert read_json(tmp_path / "out") == result
    assert read_json(tmp_path / "out/report.json") == result
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        prepare_output(tmp_path / "file")


def test_sentences_say_what_was_found() -> None:
    assert sentence(_comparison()) == "All 1,000 rows match."
    counts = {"missing": 1, "extra": 2, "changed": 1_234, "duplicated_keys": 1, "in_flight": 3}
    assert sentence(_different("t", **counts)) == (
        "1 row of the snapshot is missing from the warehouse; 2 rows of the warehouse are not in the snapshot; "
        "1,234 rows differ; 1 key is there more than once; 3 keys are in flight. Changed: note (1,234)."
    )
    assert sentence(_unreadable()).startswith("Could not be compared: s3://b/")
    assert worst(()) == "equal"
    assert worst(("equal", "unreadable", "different")) == "unreadable"


def test_the_terminal_table_fits_80_characters_and_interprets_no_markup() -> None:
    console = Console(width=80, record=True, soft_wrap=True, highlight=False)
    names = ("member_transactions", "members")
    numbers = {"warehouse_rows": 12_345_678, "snapshot_rows": 12_345_678, "changed": 1_234}
    print_result(console, _run(*(_different(name, **numbers) for name in names), _unreadable("[red]"), not_run=("x",)))
    text = console.export_text()
    assert "…" not in text
    assert "12,345,678" in text
    assert "[red]: Could not be compared" in text
    assert "not run: x" in text


def test_an_audit_row_has_the_columns_of_its_table_and_no_values() -> None:
    result = _run(_different("things", _difference("1", _change("note", "secret", "other"))), _unreadable())
    rows = audit_rows(result)
    assert [set(row) for row in rows] == [{field.name for field in SCHEMA}] * 2
    assert rows[0]["changed_columns"] == {"note": 10}
    assert rows[0]["matched"] == 990
    assert rows[1]["matched"] is None
    assert b"secret" not in msgspec.json.encode(rows)


def test_the_audit_row_adds_up_on_each_side_and_says_what_was_left_out_and_why() -> None:
    counts = {"duplicated_keys": 2, "duplicated_warehouse": 5, "duplicated_snapshot": 2, "in_flight": 3}
    counts |= {"in_flight_warehouse": 1, "in_flight_snapshot": 3, "warehouse_rows": 1_006, "snapshot_rows": 1_005}
    found = _different("things", **counts)
    assert found.inputs is not None
    inputs = replace(found.inputs, snapshot_restriction="region = 'eu'", soft_deletes=("snapshot.gone",))
    inputs = replace(inputs, snapshot_table="postgresql shop.things (SHOP_URI)", snapshot_pin="as of now")
    measures = (Measure("email min", "ada@example.com", "bob@example.com"), Measure("rows", "9", "9"))
    evidence = Evidence("10 of 1,000 keys", measures, 0.001, 0.02)
    found = replace(found, inputs=inputs, evidence=evidence, mode="sample", why="it was asked for")
    manifest = PinnedObject("s3://b/2026-01-05/manifest.json", '"m"', 80)
    [row] = audit_rows(_run(found, snapshot=SnapshotId("s3://b", "2026-01-05", AT, manifest)))
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    paired = told["matched"] + told["changed"]
    for side, alone in (("warehouse", "extra"), ("snapshot", "missing")):
        apart = told[f"duplicated_{side}"] + told[f"in_flight_{side}"]
        assert told[f"{side}_rows"] == paired + told[alone] + apart
    assert told["inputs"]["snapshot_restriction"] == "region = 'eu'"
    assert told["inputs"]["soft_deletes"] == ["snapshot.gone"]
    assert (told["snapshot_manifest"]["etag"], told["why"]) == ('"m"', "it was asked for")
    assert told["evidence"] == {
        "words": "10 of 1,000 keys",
        "rate_low": 0.001,
        "rate_high": 0.02,
        "measures": [{"name": "email min", "agrees": False}, {"name": "rows", "agrees": True}],
    }
    assert "shop.things (SHOP_URI)</code>, as of now where <code>region = &#39;eu&#39;</code>" in render(_run(found))


# The sample


def test_personal_values_are_hidden_in_the_sample_with_what_is_safe_to_say() -> None:
    plan = planned(
        column("email", "string", is_key=True, masked="email"),
        column("name", "string", masked="name"),
        column("income", "numeric", masked="financial"),
        column("digest", "bytes", masked="identifier"),
        column("city", "string"),
    )
    left = ("ada@example.com", "Ada", Decimal(100), b"\x01", "Rome")
    right = ("ada@example.com", "ada", Decimal(90), None, "Ulm")
    [difference] = compared(plan, [left], [right]).sample
    assert difference.key == (KeyValue("email", "email, 15 characters", "email"),)
    assert difference.changes == (
        Change("name", "name, 3 characters", "name, 3 characters", "name", "letter case only"),
        Change("income", "financial", "financial", "financial", None),
        Change("digest", "identifier, 1 byte", None, "identifier", None),
        Change("city", "Rome", "Ulm", None, None),
    )
    assert (difference.sql, difference.history_sql) == (None, None)


def test_a_long_text_is_cut_to_where_it_differs() -> None:
    plan = planned(column("id", "int64", is_key=True), column("body", "string"))
    text = "a" * 5_000
    [difference] = compared(plan, [(1, text + "X" + text)], [(1, text + "Y" + text)]).sample
    [change] = difference.changes
    assert change.warehouse is not None
    assert change.snapshot is not None
    assert len(change.warehouse) < 300
    assert ("X" in change.warehouse, "Y" in change.snapshot) == (True, True)
    assert change.warehouse.endswith("… (10001 characters)")


def test_the_sample_is_capped_by_kind_and_the_counts_are_not() -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "int64"))
    limits = EngineLimits(memory_mb=128, threads=1, sample=3)
    warehouse = [(n, 0) for n in range(50)] + [(n, 0) for n in range(100, 150)]
    found = compared(plan, warehouse, [(n, 1) for n in range(50)] + [(n, 0) for n in range(200, 250)], limits=limits)
    assert kinds(found) == {
        "changed": {("0",), ("1",), ("2",)},
        "extra": {("100",), ("101",), ("102",)},
        "missing": {("200",), ("201",), ("202",)},
    }
    assert (found.counts.changed, found.counts.extra, found.counts.missing) == (50, 50, 50)


def test_in_flight_rows_are_kept_apart_from_differences() -> None:
    plan = planned(
        column("id", "int64", is_key=True), column("v", "int64"), in_flight=InFlightPlan("_ingestion_ts", AT)
    )
    rows = [(1, 0), (2, 0), (3, 0), (4, 0)]
    flags = [(True, True), (True, True), (False, True), (False, False)]
    found = compared(plan, rows, [(1, 1), (3, 0), (4, 0)], flags=flags)
    assert kinds(found) == {"in_flight": {("1",), ("2",), ("3",)}, "missing": {("4",)}}
    assert (found.counts.in_flight_warehouse, found.counts.in_flight_snapshot) == (2, 2)


@pytest.mark.parametrize(
    ("data_type", "left", "right", "expected"),
    [
        ("string", "café", "cafe\u0301", "Unicode normalization form only"),
        ("string", "a b", "ab ", "white space only"),
        ("string", "Ab", "aB", "letter case only"),
        ("string", "a", "b", None),
        ("string", None, "", "null in the warehouse, empty on the other side"),
        ("string", "", None, "null in the snapshot, empty on the other side"),
        ("string", None, "a", None),
        ("float64", 0.1, math.nextafter(0.1, 1), "neighbouring doubles (one unit in the last place)"),
        ("float64", 0.0, -0.0, "sign of zero only"),
        ("float64", 1.5, 1.0, "warehouse is +0.5"),
        ("float64", math.nan, 1.0, None),
        ("numeric", Decimal(f"{DIGITS}.000000001"), Decimal(0), f"warehouse is +{DIGITS}.000000001"),
        ("timestamp", AT, AT.replace(microsecond=1), "warehouse is 0.000001 s earlier"),
        ("array<string>", ["a", None], [None, "a"], "order of elements only"),
        ("int64", 1, 2, None),
    ],
)  # fmt: skip
def test_hints_name_differences_that_are_easily_overlooked(
    data_type: Any, left: Any, right: Any, expected: str | None
) -> None:
    assert hint(data_type, left, right) == expected


# Looking further


def test_the_queries_to_look_further_find_the_key() -> None:
    contract = load_contracts(ROOT / "dbt_project/models/raw")["member_preferences"]
    keys = [column(part.name, part.data_type, is_key=True) for part in contract.key]
    plan = replace(planned(*keys), contract=contract)
    key = (7, "e'mail", "offers")
    assert row_sql(plan, key) == (
        "select *\nfrom `a-project.structure.things`\nwhere member_id = 7 and channel = 'e\\'mail' and topic = 'offers'"
    )
    history = history_sql(plan, key)
    assert history is not None
    assert "from `a-project.raw.member_preferences`" in history
    assert """where _key = '{"member_id":7,"channel":"e\\'mail","topic":"offers"}'""" in history
    assert history_sql(plan, (7, None, "offers")) is None
    assert "channel is null" in (row_sql(plan, (7, None, "offers")) or "")


def test_keys_of_every_type_are_written_as_googlesql() -> None:
    naive = AT.replace(tzinfo=None)
    for data_type, value, expected in [
        ("bytes", b"\xff", "from_hex('ff')"),
        ("float64", 0.1, "cast('0.1' as float64)"),
        ("timestamp", naive, "timestamp '2026-01-05 07:00:00.000000+00:00'"),
        ("datetime", naive, "datetime '2026-01-05 07:00:00'"),
        ("time", naive.time(), "time '07:00:00'"),
        ("date", date(2026, 1, 5), "date '2026-01-05'"),
        ("numeric", Decimal("1.5"), "numeric '1.5'"),
        ("bignumeric", "1.5", "bignumeric '1.5'"),
        ("bool", True, "true"),
    ]:
        sql = row_sql(planned(column("k", data_type, is_key=True)), (value,))  # type: ignore[arg-type]
        assert sql == f"select *\nfrom `a-project.structure.things`\nwhere k = {expected}"
