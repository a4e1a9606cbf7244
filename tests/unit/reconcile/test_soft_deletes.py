"""Soft deletes: rows that say they are deleted are absent, on either side, in every form that a side has."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from reconcile_tables import column, planned
from test_compare_oracle import _oracle

from core.contracts import DataType
from core.errors import ConfigurationError
from core.settings import Settings
from reconcile import ReconcileConfig, load_config, run
from reconcile.explaining import explain
from reconcile.read.text import ARROW
from reconcile.result import ComparisonResult

PAGE = Path(__file__).parents[3] / "docs/guides/reconcile-rule-soft-deletes.md"
Row = tuple[int, str, Any]
"""A key, a value, and what the column holds that tells of deletes."""

FLAGS: dict[DataType, list[Any]] = {
    "bool": [True, False, None],
    "timestamp": [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), None],
    "date": [date(2026, 1, 1), None],
    "string": ["true", "false", "True", "", None],
    "int64": [1, 0, -1, None],
}
VALUES: dict[DataType, list[Any]] = {"int64": [1, -1], "string": ["True", ""]}


def _is_deleted(kind: DataType, values: list[Any] | None, flag: Any) -> bool:
    """The rule, as its page has it."""
    if flag is None:
        return False
    if values is not None:
        return flag in values
    return {"bool": flag is True, "string": flag == "true"}.get(kind, True)


def _write(folder: Path, rows: list[Row], kind: DataType, form: str) -> dict[str, Any]:
    folder.mkdir(parents=True)
    if form == "parquet":
        arrays = {n: pa.array([row[i] for row in rows], t) for i, (n, t) in enumerate(
            [("id", pa.int64()), ("v", pa.string()), ("gone", ARROW[kind])])}  # fmt: skip
        pq.write_table(pa.table(arrays), folder / "a.parquet", row_group_size=3)
    else:
        texts = [(key, value, _text(flag)) for key, value, flag in rows]
        if form == "ndjson":
            lines = [json.dumps({"id": k, "v": v, "gone": f if kind != "bool" else _bool(f)}) for k, v, f in texts]
            (folder / "a.ndjson").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        else:
            sink = io.StringIO()
            csv.writer(sink).writerows([("id", "v", "gone"), *texts])
            (folder / "a.csv").write_text(sink.getvalue(), encoding="utf-8")
    return {"type": "files", "uri": folder.as_uri(), "format": form}


def _text(flag: Any) -> str | None:
    if isinstance(flag, datetime):
        return flag.isoformat().replace("+00:00", "Z")
    return flag if flag is None or isinstance(flag, str) else str(flag).lower()


def _bool(text: str | None) -> bool | None:
    return None if text is None else text == "true"


def _config(sides: tuple[dict[str, Any], dict[str, Any]], deleted: dict[str, Any], **changes: Any) -> ReconcileConfig:
    columns = {"gone": {"ignore": True}, "v": {"mask": False}}
    comparison = {
        "name": "t", "key": ["id"], "warehouse": sides[0], "snapshot": sides[1], "columns": columns,
        "soft_deletes": deleted, **changes,
    }  # fmt: skip
    return ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})


def _found(config: ReconcileConfig, mode: Any = None) -> ComparisonResult:
    [found] = run(config, Settings(), audit=False, mode=mode).comparisons
    assert found.reason is None, found.reason
    return found


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[Any], list[Any], list[list[Row]]]:
    kinds = [draw(st.sampled_from(list(FLAGS))) for _ in range(2)]
    values = [VALUES[kind] if kind == "int64" or (kind == "string" and draw(st.booleans())) else None for kind in kinds]
    sides = [
        draw(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from(FLAGS[kind])), min_size=1))
        for kind in kinds
    ]
    return kinds, values, sides


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(_cases(), st.sampled_from(["typed", "checksum", "count"]))
def test_what_is_deleted_is_absent_as_the_oracle_has_it(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[Any], list[Any], list[list[Row]]], mode: str
) -> None:
    kinds, values, rows = case
    folder = tmp_path_factory.mktemp("deletes")
    sides = [_write(folder / str(n), rows[n], kinds[n], "parquet") for n in range(2)]
    deleted = [{"column": "gone"} | ({"values": values[n]} if values[n] else {}) for n in range(2)]
    config = _config((sides[0], sides[1]), {"warehouse": deleted[0], "snapshot": deleted[1]})
    left, right = (
        [(key, v) for key, v, flag in rows[n] if not _is_deleted(kinds[n], values[n], flag)] for n in range(2)
    )
    found = _found(config, mode)
    assert found.counts is not None
    assert (found.counts.warehouse_rows, found.counts.snapshot_rows) == (len(left), len(right))
    if mode == "typed":
        expected = _oracle(planned(column("id", "int64", is_key=True), column("v", "string")), left, right)
        assert (found.counts.matched, found.counts.changed) == (expected["matched"], len(expected["changed"]))
        assert (found.counts.missing, found.counts.extra) == (len(expected["missing"]), len(expected["extra"]))
        assert found.counts.duplicated_keys == len(expected["duplicated"])
    assert "snapshot.gone (marks deleted rows)" in found.not_compared
    assert found.inputs is not None
    assert found.inputs.soft_deletes == ("warehouse.gone", "snapshot.gone")
    assert "gone" in found.inputs.snapshot_restriction


TORTURE: list[Row] = [
    (1, "a", None), (2, "a", "true"), (2, "b", "false"), (3, "a", "true"), (3, "a", "true"), (4, "a", "True"),
    (5, "a", ""), (6, "a", "TRUE "), (7, "a", "true"), (8, "a", "1"),
]  # fmt: skip
"""Of texts only `true` means deleted; a key that was deleted and stands anew is there once, and not doubled."""


@pytest.mark.parametrize("form", ["parquet", "ndjson", "csv"])
@pytest.mark.parametrize("mode", ["typed", "checksum"])
def test_rows_that_other_tools_get_wrong(tmp_path: Path, form: str, mode: str) -> None:
    rows = TORTURE if form != "csv" else [row for row in TORTURE if row[2] != ""]
    alive = [(key, v, None) for key, v, flag in rows if flag != "true"]
    warehouse = _write(tmp_path / "w", alive, "string", "parquet")
    snapshot = _write(tmp_path / "s", rows, "string", form)
    deleted = {"column": "gone", "values": ["true"]} if form != "parquet" else "gone"
    found = _found(_config((warehouse, snapshot), {"snapshot": deleted}), mode)
    assert found.counts is not None
    assert (found.verdict, found.counts.matched, found.counts.duplicated_keys) == ("equal", len(alive), 0)
    # Without the rule, each of them shows.
    plain = _found(_config((warehouse, snapshot), {}), mode)
    assert plain.counts is not None
    assert (plain.counts.missing, plain.counts.duplicated_keys) == (1, 2)


def test_the_type_that_a_format_does_not_tell_must_be_said(tmp_path: Path) -> None:
    warehouse = _write(tmp_path / "w", [(1, "a", None)], "bool", "parquet")
    snapshot = _write(tmp_path / "s", [(1, "a", False), (2, "a", True)], "bool", "ndjson")
    with pytest.raises(ConfigurationError, match="say which of its values mean deleted"):
        explain(_config((warehouse, snapshot), {"snapshot": "gone"}), Settings())
    told = _config((warehouse, snapshot), {"snapshot": {"column": "gone", "values": [True]}})
    assert _found(told).verdict == "equal"
    with pytest.raises(ConfigurationError, match=r"t.soft_deletes.warehouse: id is int64: say which"):
        explain(_config((warehouse, snapshot), {"warehouse": "id"}), Settings())
    [found] = run(_config((warehouse, snapshot), {"warehouse": "nothing"}), Settings(), audit=False).comparisons
    assert "has no column 'nothing', which is to mark deleted rows" in (found.reason or "")
    # A value of another type is no deleted row, but a mistake.
    wrong = _config((warehouse, snapshot), {"warehouse": {"column": "gone", "values": ["yes"]}})
    with pytest.raises(ConfigurationError, match=r"t\.soft_deletes\.warehouse: gone is bool, and 'yes' is a text"):
        run(wrong, Settings(), audit=False)


def test_every_example_of_the_page_comes_out_as_it_says(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (tmp_path / "reconcile.yml").write_text(f"version: 1\n{text.split('```yaml')[1].split('```')[0]}", encoding="utf-8")
    assert load_config(tmp_path / "reconcile.yml").comparisons[0].soft_deletes.warehouse is not None
    sets = re.findall(r"Type `(\w+)`[^\n]*\n\n((?:\|[^\n]*\n)+)", text)
    assert [kind for kind, _ in sets] == ["bool", "timestamp", "string"]
    for kind, table in sets:
        rows = re.findall(r"\| `(.*)` \| `(.*)` \| (equal|missing|extra|absent) \|", table)
        assert len(rows) == table.count("\n") - 2
        sides = [[(n, "a", _read(row[side], kind)) for n, row in enumerate(rows)] for side in (0, 1)]
        folder = tmp_path / kind
        both = tuple(_write(folder / str(side), sides[side], kind, "parquet") for side in (0, 1))
        found = _found(_config((both[0], both[1]), {"warehouse": "gone", "snapshot": "gone"}))
        told = {int(one.key[0].value or -1): one.kind for one in found.sample}
        expected = {n: verdict for n, (*_, verdict) in enumerate(rows) if verdict in ("missing", "extra")}
        assert told == expected
        assert found.counts is not None
        assert found.counts.matched == sum(verdict == "equal" for *_, verdict in rows)


def _read(text: str, kind: str) -> Any:
    if text == "null":
        return None
    return {"bool": yaml.safe_load, "timestamp": datetime.fromisoformat}.get(kind, str)(text)
