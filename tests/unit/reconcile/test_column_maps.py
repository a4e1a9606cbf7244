"""Column maps: random ones against the oracle, each checked before a row is read, all told alike by every report."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from reconcile_tables import column, planned
from test_compare_oracle import _oracle

from core.contracts import DataType
from core.errors import ConfigurationError
from core.settings import Settings
from reconcile import ReconcileConfig, load_config, run
from reconcile.audit import column_rows
from reconcile.explaining import explain
from reconcile.read.text import ARROW
from reconcile.report.files import to_json
from reconcile.report.page import render
from reconcile.report.plan_view import plan_json
from reconcile.result import ComparisonResult, RunResult

VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    "int64": st.sampled_from([0, 1, -7, 2**53 + 1, None]),
    "string": st.sampled_from(["", "a", "A", "null", "é.x", "'", None]),
    "numeric": st.sampled_from([Decimal(0), Decimal("0.000000001"), Decimal("-12.5"), Decimal(10**20), None]),
    "bool": st.sampled_from([True, False, None]),
    "date": st.sampled_from([date(1, 1, 1), date(2026, 2, 28), None]),
}
CONSTANTS: dict[DataType, Any] = {
    "int64": 1, "string": "a", "numeric": Decimal("-12.5"), "bool": False, "date": date(2026, 2, 28)
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """How a side stores one column, and the map that brings it back.

    Attributes:
        stated: the map in the configuration; None for none.
        fields: the columns that the side holds for it, from the values; a name with a dot is a member of a struct.
        logical: what the map yields for a value.
        is_cast: whether its type has to be cast.
    """

    stated: Any
    fields: Callable[[list[Any]], dict[str, pa.Array]]
    logical: Callable[[Any], Any] = lambda value: value
    is_cast: bool = False


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _member(value: Any) -> str:
    """Return a document, in which decimals keep their digits."""
    inner = _text(value) if isinstance(value, int | Decimal) else json.dumps(None if value is None else str(value))
    return '{"deep": {"x": ' + (inner or "null") + ', "y": 1}}' if value is not None else "{}"


def _as_texts(name: str) -> Callable[[list[Any]], dict[str, pa.Array]]:
    return lambda values: {name: pa.array(list(map(_text, values)), pa.string())}


def _ways(name: str, kind: DataType) -> dict[str, Stored]:
    def typed(called: str) -> Callable[[list[Any]], dict[str, pa.Array]]:
        return lambda values: {called: pa.array(values, ARROW[kind])}

    sql = {"int64": "bigint", "numeric": "decimal(38, 9)", "bool": "boolean", "date": "date", "string": "varchar"}[kind]
    return {
        "plain": Stored(None, typed(name)),
        "rename": Stored(f"{name}_2", typed(f"{name}_2")),
        "struct": Stored(f"nest.{name}", typed(f"nest.{name}")),
        "document": Stored(
            f"{name}_doc.deep.x", lambda values: {f"{name}_doc": pa.array(list(map(_member, values)), pa.string())}
        ),
        "expression": Stored({"expression": f"cast(nullif({name}_raw, 'none') as {sql})"}, _raw(name)),
        "constant": Stored({"constant": CONSTANTS[kind]}, lambda _: {}, lambda _: CONSTANTS[kind]),
        "null": Stored({"constant": None}, lambda _: {}, lambda _: None),
        "cast": Stored(None, _as_texts(name), is_cast=True),
    }


def _raw(name: str) -> Callable[[list[Any]], dict[str, pa.Array]]:
    return lambda values: {
        f"{name}_raw": pa.array([_text(value) or ("" if value == "" else "none") for value in values])
    }


@dataclass(frozen=True)
class Case:
    """Columns as name, type, whether it is a key, and how each side stores it; and the rows of both sides."""

    columns: list[tuple[str, DataType, bool, Stored, Stored]]
    ignored: bool
    warehouse: list[tuple[Any, ...]]
    snapshot: list[tuple[Any, ...]]


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    columns = []
    for number in range(draw(st.integers(2, 5))):
        kind, is_key = draw(st.sampled_from(list(VALUES))), number == 0
        # Keys of a constant would be one key, and a null of no use.
        ways = [way for way in _ways("c", kind) if not (is_key and way in ("constant", "null"))]
        name = f"c{number}"
        pair = [_ways(name, kind)[draw(st.sampled_from(ways))] for _ in range(2)]
        columns.append((name, kind, is_key, *pair))
    row = st.tuples(*(VALUES[kind] for _, kind, *_ in columns))
    snapshot = draw(st.lists(row, min_size=1, max_size=8))
    warehouse: list[tuple[Any, ...]] = []
    for original in snapshot:
        warehouse += [original] * draw(st.sampled_from([1, 1, 1, 0, 2]))
        if warehouse and draw(st.booleans()):
            number = draw(st.integers(1, len(columns) - 1))
            edited = list(warehouse[-1])
            edited[number] = draw(VALUES[columns[number][1]])
            warehouse[-1] = tuple(edited)
    warehouse += draw(st.lists(row, min_size=1, max_size=2))
    return Case(columns, draw(st.booleans()), warehouse, snapshot)


def _write(folder: Path, rows: list[tuple[Any, ...]], stored: list[Stored], *, extra: str) -> dict[str, Any]:
    folder.mkdir()
    arrays: dict[str, pa.Array] = {extra: pa.array([extra] * len(rows))}
    for number, way in enumerate(stored):
        arrays |= way.fields([row[number] for row in rows])
    nested = {name.partition(".")[2]: array for name, array in arrays.items() if "." in name}
    flat = {name: array for name, array in arrays.items() if "." not in name}
    if nested:
        flat["nest"] = pa.StructArray.from_arrays(list(nested.values()), list(nested))
    pq.write_table(pa.table(flat), folder / "a.parquet")
    return {"type": "files", "uri": folder.as_uri(), "format": "parquet"}


def _run(case: Case, folder: Path) -> tuple[ReconcileConfig, RunResult]:
    warehouse = _write(folder / "w", case.warehouse, [ours for *_, ours, _ in case.columns], extra="only_w")
    snapshot = _write(folder / "s", case.snapshot, [theirs for *_, theirs in case.columns], extra="only_s")
    columns: dict[str, Any] = {"only_w": {"ignore": True}}
    for name, kind, _, ours, theirs in case.columns:
        settings: dict[str, Any] = {"mask": False}
        settings |= {"warehouse": ours.stated} if ours.stated is not None else {}
        settings |= {"snapshot": theirs.stated} if theirs.stated is not None else {}
        is_untold = ours.stated is not None and (isinstance(ours.stated, dict) or "_doc" in ours.stated)
        settings |= {"cast": kind} if ours.is_cast or theirs.is_cast or is_untold else {}
        columns[name] = settings
    key = [name for name, _, is_key, *_ in case.columns if is_key]
    comparison = {"name": "t", "key": key, "warehouse": warehouse, "snapshot": snapshot, "columns": columns}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    return config, run(config, Settings(), audit=False)


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(_cases())
def test_random_maps_find_exactly_what_the_oracle_finds_and_are_told_alike_everywhere(case: Case) -> None:
    plan = planned(*(column(name, kind, is_key=is_key) for name, kind, is_key, *_ in case.columns))
    left = [tuple(c[3].logical(v) for c, v in zip(case.columns, row, strict=True)) for row in case.warehouse]
    right = [tuple(c[4].logical(v) for c, v in zip(case.columns, row, strict=True)) for row in case.snapshot]
    expected = _oracle(plan, left, right)
    with tempfile.TemporaryDirectory() as folder:
        config, result = _run(case, Path(folder))
        told = explain(config, Settings())
        [in_plan] = json.loads(plan_json(told))["comparisons"]
    [found] = result.comparisons
    assert found.reason is None, found.reason
    assert found.counts is not None
    assert (found.counts.matched, found.counts.changed) == (expected["matched"], len(expected["changed"]))
    assert (found.counts.missing, found.counts.extra) == (len(expected["missing"]), len(expected["extra"]))
    assert found.counts.duplicated_keys == len(expected["duplicated"])
    by_column = Counter(plan.values[n].name for changed in expected["changed"].values() for n in changed)
    assert {one.name: one.changed for one in found.columns if one.changed} == dict(by_column)
    _check_told_alike(result, found, in_plan, [one.words for one in told.comparisons["t"].plan.columns])


def _check_told_alike(result: RunResult, found: ComparisonResult, in_plan: Any, words: list[str]) -> None:
    assert [one.rule for one in found.columns] == words
    assert [one["rule"] for one in in_plan["columns"]] == words
    left_out = [f"left out of the {name.split('.')[0]}" for name in found.not_compared]
    assert [row["rule"] for row in column_rows(result)] == [*words, *left_out]
    assert [one["rule"] for one in json.loads(to_json(result))["comparisons"][0]["columns"]] == words
    page = render(result).replace("&#39;", "'").replace("&#34;", '"').replace("&lt;", "<")
    assert all(one in page for one in words if one != "exact")
    assert {"warehouse.only_w", "snapshot.only_s"} <= set(found.not_compared)
    assert "warehouse.only_w" in page


def _planned_fault(tmp_path: Path, settings: dict[str, Any], table: pa.Table | None = None) -> str:
    """Return why a map is refused; the files hold rows that would fail if they were read."""
    sides = []
    for side in ("w", "s"):
        (tmp_path / side).mkdir(exist_ok=True)
        held = pa.table({"id": [1], "v": ["x"]}) if side == "w" or table is None else table
        pq.write_table(held, tmp_path / side / "a.parquet")
        sides.append({"type": "files", "uri": (tmp_path / side).as_uri(), "format": "parquet"})
    comparison = {"name": "t", "key": ["id"], "warehouse": sides[0], "snapshot": sides[1], "columns": {"v": settings}}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    try:
        [found] = explain(config, Settings()).plan.comparisons
    except ConfigurationError as error:
        return str(error)
    return getattr(found, "reason", "")


HELD = pa.table(
    {
        "id": [1],
        "n": pa.array([1.5], pa.float64()),
        "s": pa.array([{"x": 1, "t": "a"}]),
        "many": pa.array([[{"x": 1}]]),
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    }
)


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ("s.x", "v, path s.x, is int64, which is not string; to convert it all the same, give the column `cast:"),
        ("s.t", ""),
        ("s.none", "has no 'none' in it; it holds x, t"),
        ("s.x.deeper", "has no 'x.deeper' in it; it holds int64"),
        ("many.x", "has no 'x' in it; it holds list"),
        ("nowhere.x", "has no column 'nowhere'"),
        ("nowhere", "has no column 'nowhere'"),
        ({"expression": "n + 1"}, "is double, which is not string"),
        ({"expression": "upper(s.t)"}, ""),
        ({"expression": "lower(nowhere)"}, "refers to no column"),
        ({"expression": "s.t || nowhere"}, 'Referenced column "nowhere" not found'),
        ({"expression": "strftime(now(), '%Y') || s.t"}, "uses now, which may differ from run to run"),
        ({"expression": "s.t || current_date"}, "uses current_date, which may differ"),
        ({"expression": "s.t || random()"}, "uses random"),
        ({"expression": "max(s.t)"}, "an aggregate is none"),
        ({"expression": "(select s.t)"}, "no queries"),
        ({"expression": "lag(s.t) over ()"}, "no queries"),
        ({"expression": "s.t) from batch where (true"}, "is not valid"),
        ({"expression": "s.t); drop table x; select (1"}, "is not valid"),
        ({"expression": "s.t), (s.t"}, "must be a single expression"),
        ({"expression": "s.t) from batch; select (1"}, "must be a single expression"),
        ({"expression": "s.t +"}, "is not valid"),
        ({"expression": "'a' || 'b'"}, "refers to no column"),
        ({"expression": "read_text(s.t)"}, "read_text"),
        ({"constant": 5}, "the constant 5 is not string; quote texts, and nothing else"),
        ({"constant": "5"}, ""),
        ({"constant": None}, ""),
    ],
)  # fmt: skip
def test_what_a_map_would_lose_is_told_before_a_row_is_read(tmp_path: Path, stated: Any, fault: str) -> None:
    found = _planned_fault(tmp_path, {"snapshot": stated}, HELD)
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize(
    ("kind", "constant", "is_one"),
    [
        ("int64", 1, True), ("int64", True, False), ("int64", Decimal("1.5"), False), ("int64", 2**64, False),
        ("numeric", Decimal("0.000000001"), True), ("numeric", Decimal("0.0000000001"), False),
        ("bool", True, True), ("bool", "true", False), ("date", date(2026, 1, 1), True),
        ("date", datetime(2026, 1, 1), False), ("timestamp", datetime(2026, 1, 1), True), ("time", "01:02:03", True),
        ("bytes", "AA==", True), ("bytes", "A", False), ("array<int64>", "[1]", False),
    ],
)  # fmt: skip
def test_a_constant_is_of_the_columns_type_or_refused(tmp_path: Path, kind: str, constant: Any, is_one: bool) -> None:
    fault = _planned_fault(
        tmp_path, {"snapshot": {"constant": constant}, "cast": kind, "warehouse": {"constant": None}}
    )
    assert (fault == "") == is_one, fault


@pytest.mark.parametrize(
    "stated", [{}, {"constant": 1, "expression": "a"}, {"expression": ""}, {"other": 1}, {"expression": None}]
)
def test_a_map_says_one_thing(stated: Any) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        ReconcileConfig.model_validate(
            {"version": 1, "comparisons": [{"name": "t", "key": ["id"], "columns": {"v": {"snapshot": stated}}}]}
        )


def test_documents_of_lines_are_walked_digit_for_digit(tmp_path: Path) -> None:
    kinds = {
        "id": pa.int64(),
        "city": pa.string(),
        "amount": pa.decimal128(38, 9),
        "ok": pa.bool_(),
        "name": pa.string(),
    }
    amount = Decimal("12345678901234567890.123456789")
    rows = [(1, "Köln", amount, True, "A B"), (2, None, None, None, "C D"), (3, None, amount, False, None)]
    (tmp_path / "w").mkdir()
    arrays = {name: pa.array([row[n] for row in rows], kind) for n, (name, kind) in enumerate(kinds.items())}
    pq.write_table(pa.table(arrays), tmp_path / "w" / "a.parquet")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.ndjson").write_text(
        f'{{"id": 1, "to": {{"city": "Köln", "sum": {{"v": {amount}}}, "ok": true}}, "first": "A", "last": "B"}}\n'
        '{"id": 2, "to": {"city": null}, "first": "C", "last": "D"}\n'
        f'{{"id": 3, "to": {{"sum": {{"v": "{amount}"}}, "ok": false}}, "first": null, "last": "E"}}\n',
        encoding="utf-8",
    )
    maps = {
        "city": "to.city",
        "amount": "to.sum.v",
        "ok": "to.ok",
        "name": {"expression": "first || ' ' || last"},
    }
    sides = [{"type": "files", "uri": (tmp_path / side).as_uri()} for side in ("w", "s")]
    columns = {name: {"snapshot": stated} for name, stated in maps.items()}
    comparison = {"name": "t", "key": ["id"], "warehouse": sides[0], "snapshot": sides[1], "columns": columns}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    [found] = run(config, Settings(), audit=False).comparisons
    assert (found.verdict, found.reason) == ("equal", None)
    # A number where a text should be, an object where a value should be, and what is no object, are no values.
    for text, fault in (('"city": 5', "not string"), ('"city": {}', "not string"), ('"sum": 5', "no object")):
        (tmp_path / "s" / "a.ndjson").write_text(f'{{"id": 1, "to": {{{text}}}, "first": "A", "last": "B"}}\n')
        [found] = run(config, Settings(), audit=False).comparisons
        assert fault in (found.reason or ""), found.reason


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/guides/reconcile-maps.md").read_text(encoding="utf-8")
    (tmp_path / "reconcile.yml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    members, stores = load_config(tmp_path / "reconcile.yml").comparisons
    assert members.columns["country"].snapshot == "address.country"
    assert stores.columns["city"].warehouse == "address.city"
