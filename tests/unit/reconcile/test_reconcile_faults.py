"""What planning finds wrong: all of it at once, each fault with its line, and nothing left for the run to refuse."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from core.contracts import DataType
from core.errors import ConfigurationError
from core.settings import Settings
from reconcile import ReconcileConfig, plan, run
from reconcile.cli import app
from reconcile.planning.filters import Filtered, check_condition
from reconcile.plans import DatabaseSpec, Unplanned
from reconcile.read.filters import conditions
from reconcile.read.warehouse import WarehouseTable

VALUES: dict[str, Any] = {
    "id": pa.array([1, 2], pa.int64()),
    "name": ["a", "b"],
    "small": pa.array([1, 2], pa.int32()),
    "price": [0.5, 0.1],
    "amount": pa.array([Decimal("0.1"), None], pa.decimal128(38, 9)),
    "flag": [True, None],
    "day": [date(2026, 1, 1), None],
    "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    "local": pa.array([datetime(2026, 1, 1), None], pa.timestamp("us")),
    "tags": [["a"], ["b"]],
}
SIDES = "    warehouse: {{type: files, uri: {folder}}}\n    snapshot: {{type: files, uri: {folder}}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds two rows of columns of every kind that files have."""
    made = tmp_path_factory.mktemp("table")
    pq.write_table(pa.table(VALUES), made / "a.parquet")
    return made


def _config(folder: Path, **said: Any) -> ReconcileConfig:
    side = {"type": "files", "uri": folder.as_uri()}
    one = {"name": "t", "key": ["id"], "warehouse": side, "snapshot": side, **said}
    return ReconcileConfig.model_validate({"version": 1, "comparisons": [one]})


def _command(folder: Path, place: Path, text: str, *arguments: str) -> Result:
    file = place / "reconcile.yml"
    file.write_text(text.replace("{sides}", SIDES.format(folder=folder.as_uri())), encoding="utf-8")
    output = () if arguments[0] == "plan" else ("--no-audit", "--output", str(place / "out"))
    state = ("--state", str(place / "state"))
    return CliRunner().invoke(app, [*arguments, *output, *state, "--config", str(file)])


MANY = """version: 1
defaults: {in_flight: null}
comparisons:
  - name: a
    key: [id]
{sides}    columns:
      name: {absolute: 1}
      price:
        null_equivalents: ["n/a"]
      amount: {snapshot: {expression: "random()"}}
      flag:
        snapshot: {constant: "yes"}
      made: {warehouse: {expression: "now() || name"}}
    where:
      name: 1
      flag: true
    partition: {column: tags}
    thresholds:
      columns: {nothing: 0}
  - name: sound
    key: [id]
{sides}  - name: b
    contract: nobody
{sides}  - name: c
    key: [id]
{sides}    soft_deletes: {snapshot: small}
    snapshot_where: {day: 5}
    mode: checksum
  - name: d
    key: [id]
{sides}    columns: {price: {relative: 0.1}}
    mode: checksum
"""
TOLD = """line 9: comparisons[0] (a).columns.name.absolute: absolute does not apply to string
line 11: comparisons[0] (a).columns.price.null_equivalents: 'n/a' is not float64
line 12: comparisons[0] (a).columns.amount.snapshot: the expression 'random()' uses random
line 14: comparisons[0] (a).columns.flag.snapshot: the constant 'yes' is not bool
line 15: comparisons[0] (a).columns.made.warehouse: the expression 'now() || name' uses now
line 17: comparisons[0] (a).where.name: name is string, and 1 is a whole number; quote texts
line 19: comparisons[0] (a).partition: tags is masked
line 21: comparisons[0] (a).thresholds.columns.nothing: no such column is compared
line 27: comparisons[2] (b).contract: no contract is called 'nobody'
line 34: comparisons[3] (c).soft_deletes.snapshot: small is int64: say which of its values mean deleted
line 35: comparisons[3] (c).snapshot_where.day: day is date, and 5 is a whole number
line 42: comparisons[4] (d).mode: cannot be compared by checksum: price has a tolerance"""


@pytest.mark.parametrize("arguments", [("plan",), ("run",), ("run", "--run-id", "day")])
def test_every_fault_of_every_table_is_told_with_its_line(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = _command(folder, tmp_path, MANY, *arguments)
    assert done.exit_code == 2, done.output
    [head, *lines] = done.output.splitlines()
    assert head.endswith("reconcile.yml is not valid:")
    for line, told in zip(lines, TOLD.splitlines(), strict=True):
        assert line.strip().startswith(told)
    assert not (tmp_path / "out/report.json").exists()


def test_a_configuration_of_no_file_names_the_path(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(_config(folder, columns={"name": {"absolute": 1}, "flag": {"case": "ignore"}}), Settings())
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "t.columns.name.absolute",
        "t.columns.flag.case",
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "    columns:\n      nme: {case: ignore}\n",
            "has no column 'nme', which the configuration names ({}, line 7)",
        ),
        ("    columns:\n      name:\n        snapshot: other\n", "has no column 'other'; it has id, name"),
        (
            "    columns:\n      price: {cast: date}\n",
            "price is double, which no cast makes date; map it by an expression",
        ),
        ("    where:\n      nosuch: 1\n", "has no column 'nosuch', which the filter names ({}, line 7)"),
        ("    snapshot_where: {nosuch: 1}\n", "has no column 'nosuch', which the filter names ({}, line 6)"),
    ],
)
def test_what_a_table_lacks_is_its_own_fault_and_names_the_line(
    folder: Path, tmp_path: Path, said: str, reason: str
) -> None:
    sides = SIDES.format(folder=folder.as_uri())
    text = f"version: 1\ncomparisons:\n  - name: t\n    key: [id]\n    mode: typed\n{said}{sides}"
    text += f"  - name: other\n    key: [id]\n{sides}"
    for command in ("plan", "run"):
        done = _command(folder, tmp_path, text, command, "--json")
        [found, other] = json.loads(done.stdout)["comparisons"]
        assert done.exit_code == 1
        assert reason.format(tmp_path / "reconcile.yml") in found["reason"]
        assert other.get("verdict", "equal") == "equal"
        assert other["columns"]


def test_every_column_that_needs_a_cast_is_told_at_once_with_its_line(folder: Path, tmp_path: Path) -> None:
    kept = {name: values for name, values in VALUES.items() if name not in ("name", "flag")}
    pq.write_table(pa.table({**kept, "price": ["0.5", "0.1"], "title": [1, 2]}), tmp_path / "a.parquet")
    text = "version: 1\ncomparisons:\n  - name: t\n    key: [id]\n    columns:\n      name: {snapshot: title}\n"
    sides = SIDES.format(folder=folder.as_uri())
    text += sides.replace(
        f"snapshot: {{type: files, uri: {folder.as_uri()}", f"snapshot: {{type: files, uri: {tmp_path.as_uri()}"
    )
    done = _command(folder, tmp_path, text, "plan", "--json")
    [found] = json.loads(done.stdout)["comparisons"]
    line = f"({tmp_path / 'reconcile.yml'}, line {{}})"
    assert "title is int64, which is not string; to convert it" in found["reason"]
    assert f"`cast: string` {line.format(6)}" in found["reason"]
    assert f"has no column 'flag' {line.format(5)}" in found["reason"]
    assert "price is string, which is not float64" in found["reason"]


CONSTANTS: tuple[Any, ...] = (
    1, 2**40, True, "a", "1", Decimal("0.1"), Decimal(10**30), date(2026, 1, 1), datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC), None
)  # fmt: skip


@pytest.mark.parametrize("column", VALUES)
def test_a_filter_that_the_plan_passes_is_one_that_the_run_reads(folder: Path, column: str) -> None:
    passed = []
    for constant in CONSTANTS:
        config = _config(folder, snapshot_where={column: constant})
        try:
            [planned] = plan(config, Settings()).comparisons
        except ConfigurationError as error:
            assert str(error).startswith(f"t.snapshot_where.{column}: ")  # noqa: PT017 - either is right
            continue
        assert not isinstance(planned, Unplanned)
        [found] = run(config, Settings(), audit=False).comparisons
        assert found.reason is None, (constant, found.reason)
        passed.append(constant)
    assert None in passed
    assert len(passed) < len(CONSTANTS)


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ({"name": 1}, "name is string, and 1 is a whole number"),
        ({"id": "1"}, "id is int64, and '1' is a text"),
        ({"price": 1}, ""),
        ({"id": []}, "an empty list lets no row pass"),
        ({"day": date(2026, 1, 1)}, ""),
        ({"kind": "x"}, ""),
        ({"kind": None}, ""),
    ],
)
def test_lines_are_filtered_as_what_they_are_compared_as(
    folder: Path, tmp_path: Path, where: dict[str, Any], fault: str
) -> None:
    line = {"id": 1, "name": "a", "price": 0.5, "day": "2026-01-01", "kind": "x"}
    (tmp_path / "a.ndjson").write_text(json.dumps(line), encoding="utf-8")
    ignored = {name: {"ignore": True} for name in VALUES if name not in line}
    side = {"type": "files", "uri": tmp_path.as_uri()}
    config = _config(folder, snapshot=side, columns=ignored, snapshot_where=where)
    if fault:
        with pytest.raises(ConfigurationError, match=f"t.snapshot_where.{next(iter(where))}: {fault}"):
            plan(config, Settings())
    else:
        [found] = run(config, Settings(), audit=False).comparisons
        assert found.reason is None


def test_a_float_is_filtered_by_its_decimal(folder: Path) -> None:
    [found] = run(_config(folder, where={"price": Decimal("0.1")}), Settings(), audit=False).comparisons
    assert (found.counts.warehouse_rows, found.counts.snapshot_rows) == (1, 2) if found.counts else None


@pytest.mark.parametrize(
    ("kind", "constant", "in_bigquery", "in_postgresql"),
    [
        ("string", 1, False, False),
        ("string", "a", True, True),
        ("int64", "1", False, False),
        ("int64", True, False, False),
        ("float64", Decimal("0.1"), True, True),
        ("bool", True, True, True),
        ("bool", "true", False, False),
        ("date", "2026-01-01", True, False),
        ("date", date(2026, 1, 1), True, True),
        ("date", datetime(2026, 1, 1), False, True),
        ("timestamp", datetime(2026, 1, 1), True, True),
        ("timestamp", date(2026, 1, 1), False, True),
        ("json", "{}", False, False),
        ("array<string>", "a", False, False),
        ("array<string>", None, True, True),
        ("int64", (1, None, "2"), False, False),
    ],
)
def test_databases_compare_constants_of_a_columns_own_kind(
    kind: DataType, constant: Any, in_bigquery: bool, in_postgresql: bool
) -> None:
    [condition] = conditions({"v": constant})
    for table, suits in (
        (WarehouseTable("p", "d", "t"), in_bigquery),
        (DatabaseSpec("postgresql", "SHOP_URI", "public", "t"), in_postgresql),
        (DatabaseSpec("snowflake", "SHOP_URI", "public", "t"), True),
    ):
        side = Filtered(table, {"v": kind}, None, ())
        if suits:
            check_condition(condition, side)
        else:
            with pytest.raises(ConfigurationError, match=f"v is {kind}, and .*; quote texts, and nothing else"):
                check_condition(condition, side)


def test_checksums_asked_of_all_tables_leave_out_those_that_have_none(folder: Path, tmp_path: Path) -> None:
    sides = SIDES.format(folder=folder.as_uri())
    text = f"version: 1\ncomparisons:\n  - name: t\n    key: [id]\n    columns: {{price: {{absolute: 0.01}}}}\n{sides}"
    text += f"  - name: other\n    key: [id]\n{sides}"
    for arguments in (("plan",), ("run",), ("run", "--run-id", "day")):
        done = _command(folder, tmp_path, text, *arguments, "--mode", "checksum", "--json")
        [found, other] = json.loads(done.stdout)["comparisons"]
        assert done.exit_code == 1
        assert found["reason"] == "cannot be compared by checksum: price has a tolerance; use the mode typed"
        assert "reason" not in other or other["reason"] is None


@pytest.mark.parametrize("absolute", ["1e30", "0.0000000015"])
def test_a_tolerance_of_any_size_is_one(folder: Path, absolute: str) -> None:
    rules = {
        "amount": {"absolute": Decimal(absolute)},
        "id": {"ignore": False},
        "price": {"absolute": Decimal(absolute)},
    }
    [found] = run(_config(folder, columns=rules), Settings(), audit=False).comparisons
    assert found.verdict == "equal"


def test_a_plan_names_a_snapshot_only_where_one_is_compared_with(folder: Path, tmp_path: Path) -> None:
    sides = SIDES.format(folder=folder.as_uri())
    text = f"version: 1\nsnapshot: {{uri: {tmp_path.as_uri()}}}\ncomparisons:\n  - name: t\n    key: [id]\n{sides}"
    assert tmp_path.as_uri() not in _command(folder, tmp_path, text, "plan").output
    assert json.loads(_command(folder, tmp_path, text, "plan", "--json").stdout)["snapshot"] is None
    text = text.replace(f"    snapshot: {{type: files, uri: {folder.as_uri()}}}\n", "")
    done = _command(folder, tmp_path, text, "plan")
    assert f"snapshot in {tmp_path.as_uri()}: none could be opened" in done.output
    assert done.exit_code == 1


def test_a_threshold_of_all_tables_guards_a_column_of_one_at_least(folder: Path, tmp_path: Path) -> None:
    sides = SIDES.format(folder=folder.as_uri())
    text = "version: 1\ndefaults:\n  thresholds:\n    columns:\n      name: 0\n      nmae: 0\ncomparisons:\n"
    text += f"  - name: t\n    key: [id]\n{sides}  - name: u\n    key: [id]\n{sides}"
    done = _command(folder, tmp_path, text, "plan")
    assert done.exit_code == 2
    [fault] = done.output.splitlines()[1:]
    assert fault.startswith("  line 6: defaults.thresholds.columns.nmae: no comparison that goes by these thresholds")
    # Of some of the tables nothing can be told.
    assert _command(folder, tmp_path, text, "plan", "--table", "t").exit_code == 0


def test_the_faults_of_one_side_are_told_though_the_other_is_not_there(folder: Path, tmp_path: Path) -> None:
    text = f"version: 1\nsnapshot: {{uri: {tmp_path.as_uri()}}}\ncomparisons:\n  - name: t\n    key: [id]\n"
    text += f"    warehouse: {{type: files, uri: {folder.as_uri()}}}\n    columns: {{name: {{absolute: 1}}}}\n"
    done = _command(folder, tmp_path, text, "plan")
    assert (done.exit_code, "line 7: comparisons[0] (t).columns.name.absolute" in done.output) == (2, True)
