"""The configuration: what it may say, and how its faults are told."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from core.contracts import DataType
from core.errors import ConfigurationError
from reconcile.config_file import load_config
from reconcile.planning.rules import rule_faults
from reconcile.rules import EXACT, Rule, describe

ROOT = Path(__file__).parents[3]


def _written(folder: Path, text: str) -> Path:
    path = folder / "reconcile.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_project_compares_all_thirteen_member_tables() -> None:
    config = load_config(ROOT / "reconcile.yml")
    contracts = {path.stem for path in (ROOT / "dbt_project/models/raw/member").glob("*.yml")}
    assert {comparison.contract for comparison in config.comparisons} == contracts
    assert len(config.comparisons) == 13
    assert config.defaults.where == {"is_deleted": False}
    assert config.limits.memory_mb == 512


def test_the_example_of_the_guide_is_valid(tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/reconcile.md").read_text(encoding="utf-8")
    example = guide.split("```yaml\n")[1].split("```")[0]
    config = load_config(_written(tmp_path, example))
    assert [comparison.name for comparison in config.comparisons] == ["members", "member_addresses", "stores"]


def test_every_setting_is_read(tmp_path: Path) -> None:
    config = load_config(
        _written(
            tmp_path,
            """
            version: 1
            snapshot: {uri: "file:///snapshots", id: "2026-01-31", manifest: null}
            limits: {memory_limit: 2 GB, threads: 3, readers: 4, sample: 5}
            comparisons:
              - name: orders
                warehouse: shop.orders
                snapshot: orders/current
                format: ndjson
                key: [order_id]
                where: {region: [eu, null], opened_on: 2026-01-31, amount: 0.1}
                snapshot_where: {is_test: false}
                in_flight: {}
                columns:
                  amount: {absolute: 0.01, cast: numeric, snapshot: total, mask: false}
                  note: {space: trim, null_equivalents: [""]}
                  legacy: {ignore: true}
            """,
        )
    )
    comparison = config.comparisons[0]
    assert config.limits.memory_mb == 2048
    assert comparison.where == {"region": ("eu", None), "opened_on": date(2026, 1, 31), "amount": Decimal("0.1")}
    assert comparison.in_flight is not None
    assert comparison.in_flight.column == "_ingestion_ts"
    assert comparison.columns["amount"].rule() == Rule(absolute=Decimal("0.01"))
    assert comparison.columns["legacy"].rule() == EXACT
    assert config.select(()) == config.comparisons
    assert config.select(("orders",)) == config.comparisons


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("comparisons: []", "version: Field required"),
        ("{version: 1, comparisons: []}", "comparisons: Tuple should have at least 1 item"),
        ("{version: 2, comparisons: [{contract: members}]}", "version: Input should be 1"),
        ("{version: 1, comparisons: [{contract: a}, {contract: a}]}", "declared more than once: a"),
        ("{version: 1, comparisons: [{name: a}]}", "comparisons[0] (a): name a contract, or the key columns"),
        ("{version: 1, comparisons: [{contract: a, key: [b]}]}", "drop key or contract"),
        ("{version: 1, comparisons: [{contract: a, wherehouse: b.c}]}", "comparisons[0] (a).wherehouse: Extra inputs"),
        ("{version: 1, comparisons: [{contract: a, warehouse: b}]}", "comparisons[0] (a).warehouse: 'b' must be"),
        ("{version: 1, comparisons: [{contract: a, warehouse: 'b.c`; drop'}]}", "is not a valid BigQuery name"),
        ("{version: 1, comparisons: [{contract: a, where: {'x or 1=1': 1}}]}", "is not a valid BigQuery name"),
        ("{version: 1, comparisons: [{contract: a, snapshot: ../b}]}", "must be a folder below the snapshot"),
        (
            "{version: 1, comparisons: [{contract: a, columns: {b: {case: Ignore}}}]}",
            "comparisons[0] (a).columns.b.case: Input should be 'exact' or 'ignore'",
        ),
        ("{version: 1, comparisons: [{name: a, key: [k], columns: {k: {ignore: true}}}]}", "k cannot be ignored"),
        ("{version: 1, limits: {memory_limit: lots}, comparisons: [{contract: a}]}", "such as 512 MB or 2 GB"),
        (
            "{version: 1, limits: {memory_limit: 1 MB}, comparisons: [{contract: a}]}",
            "1 MB is less than a run takes; give it 400 MB at least",
        ),
        (
            "{version: 1, snapshot: {uri: 'http://x'}, comparisons: [{contract: a}]}",
            "snapshot.uri: String should match",
        ),
        ("{version: 1, snapshot: {id: '../x'}, comparisons: [{contract: a}]}", "snapshot.id: String should match"),
        ("{version: 1, defaults: {dataset: 'a-b'}, comparisons: [{contract: a}]}", "defaults.dataset: 'a-b' is not"),
        ("[1]", "Input should be a valid dictionary"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_fault_names_the_file_and_the_key(tmp_path: Path, text: str, fault: str) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert fault in str(caught.value)


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config"):
        load_config(tmp_path / "none.yml")


def test_an_unknown_comparison_is_told_with_those_there_are() -> None:
    config = load_config(ROOT / "reconcile.yml")
    with pytest.raises(ConfigurationError, match=r"no comparison is called nobody; there are .*members"):
        config.select(("members", "nobody"))


@pytest.mark.parametrize(
    ("rule", "data_type", "is_key"),
    [
        (Rule(absolute=Decimal(1)), "string", False),
        (Rule(absolute=Decimal(1)), "bignumeric", False),
        (Rule(case="ignore"), "int64", False),
        (Rule(precision="day"), "date", False),
        (Rule(order="ignore"), "json", False),
        (Rule(numbers="text"), "string", False),
        (Rule(null_equivalents=("",)), "bytes", False),
        (Rule(null_equivalents=("0", "x")), "int64", False),
        (Rule(null_equivalents=("2026-02-30",)), "date", False),
        (Rule(null_equivalents=("1.5",)), "int64", False),
        (Rule(null_equivalents=("0.0000000001",)), "numeric", False),
        (Rule(absolute=Decimal(1)), "int64", True),
        (Rule(nan="distinct"), "float64", True),
    ],
)
def test_a_rule_without_meaning_for_its_column_is_refused(rule: Rule, data_type: DataType, is_key: bool) -> None:
    assert list(rule_faults(rule, data_type, is_key=is_key))


@pytest.mark.parametrize(
    ("data_type", "texts"),
    [
        ("int64", ("0", "-1")),
        ("numeric", ("0", "-12.50")),
        ("float64", ("NaN", "0.1")),
        ("string", ("", "n/a")),
        ("date", ("1900-01-01",)),
        ("timestamp", ("1970-01-01 00:00:00",)),
        ("bool", ("false",)),
        ("json", ("{}",)),
    ],
)
def test_null_equivalents_are_values_of_their_column(data_type: DataType, texts: tuple[str, ...]) -> None:
    assert not list(rule_faults(Rule(null_equivalents=texts), data_type, is_key=False))


def test_rules_are_described_in_words() -> None:
    assert describe(EXACT) == "exact"
    assert describe(Rule(absolute=Decimal("0.01"), null_equivalents=("", "n/a"))) == (
        "absolute 0.01, null equivalents ''/'n/a'"
    )


def test_the_example_of_the_guide_to_sources_is_valid(tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/reconcile-sources.md").read_text(encoding="utf-8")
    example = guide.split("```yaml\n")[1].split("```")[0]
    config = load_config(_written(tmp_path, example))
    assert [type(c.warehouse).__name__ for c in config.comparisons] == ["str", "DeltaTable", "DatabaseTable"]
    assert [type(c.snapshot).__name__ for c in config.comparisons] == ["DatabaseTable", "IcebergTable", "FilesTable"]


@pytest.mark.parametrize(
    ("side", "fault"),
    [
        (
            "{type: oracle, table: a.b}",
            "line 5: comparisons[0] (a).snapshot: must be a name, or a mapping whose `type`",
        ),
        ("{uri: s3://a}", "comparisons[0] (a).snapshot: must be a name, or a mapping"),
        ("{type: delta, uri: s3://a, version: -1}", "line 5: comparisons[0] (a).snapshot.version: Input should be"),
        ("{type: delta}", "comparisons[0] (a).snapshot.uri: Field required"),
        ("{type: delta, uri: 'http://a'}", "comparisons[0] (a).snapshot.uri: String should match"),
        ("{type: files, uri: s3://a, csv: {delimiter: ';;'}}", "(a).snapshot.csv.delimiter: String should match"),
        ("{type: postgresql, connection: 'postgresql://me:secret@h/d', table: a.b}", "(a).snapshot.connection: String"),
        ("{type: postgresql, connection: URI, table: b}", "(a).snapshot.table: 'b' must be schema.table"),
        ("{type: snowflake, connection: URI, table: 'a.b;c'}", "is not a valid BigQuery name"),
        ("{type: iceberg, catalog: c}", "(a).snapshot: name the metadata file, or a catalog and its table"),
        ("{type: bigquery, table: b}", "(a).snapshot.table: 'b' must be dataset.table"),
    ],
)
def test_a_fault_of_a_described_side_names_its_line(tmp_path: Path, side: str, fault: str) -> None:
    path = _written(tmp_path, f"version: 1\n\ncomparisons:\n  - contract: a\n    snapshot: {side}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert fault in str(caught.value)


def test_a_fault_names_the_line_of_its_key(tmp_path: Path) -> None:
    lines = ("version: 1", "comparisons:", "  - contract: a", "  - name: b", "    key: [k]", "    columns:")
    text = "\n".join((*lines, "      v:", "        case: no"))
    with pytest.raises(ConfigurationError, match=r"line 8: comparisons\[1\] \(b\)\.columns\.v\.case: Input should be"):
        load_config(_written(tmp_path, text))
