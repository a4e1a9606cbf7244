"""Reconciliation from end to end: BigQuery's Storage Read API on one side, S3 on the other."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from google.cloud import bigquery
from reconcile_world import CHANGED, DATASET, EQUAL, LANDED_AT, ROOT, TAKEN_AT, Estate, load

from core.clients import s3_client
from core.errors import ConfigurationError, UnavailableError
from devstack.world.planted import EXTRA_ROW, MISSING_ROW
from reconcile import Progress, ReconcileConfig, RunResult, load_config, plan, run
from reconcile.plans import ComparisonPlan, Unplanned
from reconcile.report.files import read_json


@pytest.fixture
def config() -> ReconcileConfig:
    """The project's own configuration, pointed at the test's dataset."""
    config = load_config(ROOT / "reconcile.yml")
    return config.model_copy(update={"defaults": config.defaults.model_copy(update={"dataset": DATASET})})


def _comparison(result: RunResult, name: str) -> Any:
    return next(found for found in result.comparisons if found.name == name)


def test_a_warehouse_that_holds_the_truth_is_equal(estate: Estate, config: ReconcileConfig) -> None:
    told: list[Progress] = []
    result = run(config, estate.settings, snapshot_id=EQUAL, audit=False, on_progress=told.append)
    assert result.verdict == "equal"
    assert {found.name: found.counts.matched for found in result.comparisons if found.counts} == {
        name: len(rows) for name, rows in estate.truth.items()
    }
    assert result.snapshot.taken_at == TAKEN_AT
    rows = Counter[str]()
    for progress in told:
        rows[progress.phase] += progress.rows
    assert rows["warehouse"] == rows["snapshot"] == sum(map(len, estate.truth.values()))


def test_exactly_what_was_planted_is_found(estate: Estate, config: ReconcileConfig, tmp_path: Path) -> None:
    result = run(config, estate.settings, snapshot_id=CHANGED, audit=False, output=tmp_path)
    found = {
        (comparison.name, tuple(part.value for part in difference.key), column, difference.kind)
        for comparison in result.comparisons
        for difference in comparison.sample
        for column in ([change.column for change in difference.changes] or [None])
    }
    # What was taken out of the snapshot is extra in the warehouse, and the other way round.
    kinds = {MISSING_ROW: "extra", EXTRA_ROW: "missing"}
    expected = {
        (planted.table, tuple(map(str, planted.key)), planted.column, kinds.get(planted.kind, "changed"))
        for planted in estate.planted
    }
    assert found == expected
    assert len(expected) > 25
    assert result.verdict == "different"
    # The Parquet files hold every difference, as keys and names of columns only.
    rows = [
        (path.stem, tuple(map(str, row["key"].values())), column, row["kind"])
        for path in (tmp_path / "differences").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
        for column in (row["changed_columns"] or [None])
    ]
    assert set(rows) == expected
    assert all("warehouse" not in pq.read_schema(path).names for path in (tmp_path / "differences").iterdir())


def test_no_personal_value_reaches_the_reports_and_the_page_is_whole(
    estate: Estate, config: ReconcileConfig, tmp_path: Path
) -> None:
    run(config, estate.settings, snapshot_id=CHANGED, audit=False, output=tmp_path)
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in ("report.json", "report.html")]
    personal = {
        str(rows[planted.key][planted.column])
        for planted in estate.planted
        for rows in (estate.truth[planted.table], estate.changed[planted.table])
        if planted.column
        and estate.contracts[planted.table].column(planted.column).pii
        and planted.key in rows
        and len(str(rows[planted.key][planted.column])) > 4
    }
    assert len(personal) > 5
    assert [value for value in personal if any(value in text for text in texts)] == []
    page = texts[1]
    assert len(page.encode()) < 1_000_000
    assert not any(mark in page for mark in ("http://", "https://", "<link", "src="))
    assert read_json(tmp_path).verdict == "different"


def test_values_are_written_only_when_asked_for(estate: Estate, config: ReconcileConfig, tmp_path: Path) -> None:
    planted = next(found for found in estate.planted if found.kind == "one_cent")
    run(config, estate.settings, tables=[planted.table], snapshot_id=CHANGED, audit=False, output=tmp_path, values=True)
    rows = pq.read_table(tmp_path / f"differences/{planted.table}.parquet").to_pylist()
    row = next(row for row in rows if tuple(row["key"].values()) == planted.key)
    assert planted.column is not None
    assert row["warehouse"][planted.column] == estate.truth[planted.table][planted.key][planted.column]
    assert row["snapshot"][planted.column] == estate.changed[planted.table][planted.key][planted.column]
    assert row["snapshot"]["created_at"] == estate.changed[planted.table][planted.key]["created_at"]


def test_the_audit_table_tells_of_every_comparison(estate: Estate, config: ReconcileConfig) -> None:
    names = ["members", "member_points"]
    result = run(config, estate.settings, tables=names, snapshot_id=CHANGED)
    query = (
        "select comparison, verdict, matched, snapshot_id, json_value(inputs, '$.row_restriction') as restriction, "
        "json_value(snapshot_manifest, '$.etag') as manifest, duplicated_warehouse, why, changed_columns "
        "from reconcile_audit.reconciliation_runs where run_id = @run_id order by comparison"
    )
    bound = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("run_id", "STRING", result.run_id)])
    rows = [dict(row) for row in estate.client.query(query, job_config=bound).result()]
    assert [row["comparison"] for row in rows] == sorted(names)
    bucket = estate.settings.snapshot_uri.removeprefix("s3://")
    etag = s3_client(estate.settings).head_object(Bucket=bucket, Key=f"{CHANGED}/manifest.json")["ETag"]
    for row in rows:
        found = _comparison(result, row["comparison"])
        assert row["verdict"] == found.verdict
        assert row["matched"] == found.counts.matched
        assert row["restriction"] == "is_deleted = false"
        assert row["snapshot_id"] == CHANGED
        assert row["manifest"] == etag
        assert (row["duplicated_warehouse"], row["why"]) == (0, found.why)
        assert row["changed_columns"] == {column.name: column.changed for column in found.columns if column.changed}


def test_outside_local_a_missing_audit_table_is_a_fault_and_not_made(
    estate: Estate, config: ReconcileConfig, tmp_path: Path
) -> None:
    settings = estate.settings.model_copy(update={"environment": "production", "audit_dataset": "nowhere"})
    with pytest.raises(UnavailableError, match="nowhere"):
        run(config, settings, tables=["members"], snapshot_id=EQUAL, output=tmp_path)
    # The reports were written before, so nothing that was found is lost.
    assert read_json(tmp_path).verdict == "equal"


def test_rows_in_flight_are_set_aside(estate: Estate) -> None:
    schema = [
        schema_field("id", "int64"),
        schema_field("v", "string"),
        schema_field("is_deleted", "bool"),
        schema_field("_ingestion_ts", "timestamp"),
    ]
    later = TAKEN_AT + timedelta(microseconds=1)
    rows = [
        (1, "same", False, LANDED_AT),
        (2, "late change", False, later),
        (3, "late insert", False, later),
        (4, None, True, later),  # deleted after the snapshot
        (5, None, True, LANDED_AT),  # deleted before it, and yet there
        (6, "lost change", False, TAKEN_AT),
        (7, "same though late", False, later),
        (8, "twice", False, later),
        (8, "twice", False, later),
    ]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    table = pa.table(columns, names=["id", "v", "is_deleted", "_ingestion_ts"])
    name = f"{estate.settings.project}.{DATASET}.flights"
    load(
        estate.client,
        name,
        schema,
        table.cast(pa.schema([*list(table.schema)[:3], pa.field("_ingestion_ts", pa.timestamp("us", "UTC"))])),
    )
    snapshot = {1: "same", 2: "x", 4: "x", 5: "x", 6: "x", 7: "same though late", 9: "x"}
    _put(estate, "0-flights", "flights", pa.table({"id": list(snapshot), "v": list(snapshot.values())}))
    document: dict[str, Any] = {
        "version": 1,
        "defaults": {"dataset": DATASET, "where": {"is_deleted": False}},
        "comparisons": [
            {
                "name": "flights",
                "key": ["id"],
                "in_flight": {},
                "columns": {c: {"ignore": True} for c in ("is_deleted", "_ingestion_ts")},
            }
        ],
    }
    result = run(ReconcileConfig.model_validate(document), estate.settings, snapshot_id="0-flights", audit=False)
    [found] = result.comparisons
    kinds = {(difference.kind, difference.key[0].value) for difference in found.sample}
    assert kinds == {
        ("in_flight", "2"), ("in_flight", "3"), ("in_flight", "4"), ("missing", "5"), ("changed", "6"),
        ("missing", "9"), ("duplicated", "8"),
    }  # fmt: skip
    counts = found.counts
    assert counts.warehouse_rows == 7
    assert (
        counts.warehouse_rows
        == counts.matched + counts.changed + counts.extra + counts.duplicated_warehouse + counts.in_flight_warehouse
    )
    assert (
        counts.snapshot_rows
        == counts.matched + counts.changed + counts.missing + counts.duplicated_snapshot + counts.in_flight_snapshot
    )
    del document["comparisons"][0]["in_flight"]
    result = run(ReconcileConfig.model_validate(document), estate.settings, snapshot_id="0-flights", audit=False)
    assert result.comparisons[0].counts.in_flight == 0
    assert result.comparisons[0].counts.extra == 1


def test_any_table_is_compared_by_the_warehouse_schema_with_its_mapping(estate: Estate, tmp_path: Path) -> None:
    types = {
        "id": "int64", "kind": "string", "n": "numeric", "g": "bignumeric", "f": "float64", "b": "bool", "x": "bytes",
        "d": "date", "dt": "datetime", "t": "time", "ts": "timestamp", "a": "array<string>", "ai": "array<int64>",
    }  # fmt: skip
    instant = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    table = pa.table(
        {
            "id": [1, 2, 3],
            "kind": ["a", "b", None],
            "n": pa.array([Decimal("1.5"), None, Decimal("2.25")], pa.decimal128(38, 9)),
            "g": pa.array([Decimal("0.5"), None, Decimal(1)], pa.decimal128(38, 9)),
            "f": [0.1, None, 2.5],
            "b": [True, None, False],
            "x": [b"\x00\xff", None, b""],
            "d": [date(2026, 1, 2), None, date(1, 1, 1)],
            "dt": pa.array([instant.replace(tzinfo=None), None, None], pa.timestamp("us")),
            "t": pa.array([time(1, 2, 3, 4), None, None], pa.time64("us")),
            "ts": pa.array([instant, None, None], pa.timestamp("us", "UTC")),
            "a": [["p", "q"], [], ["r"]],
            "ai": [[1, 2], [], []],
        }
    )
    load(
        estate.client,
        f"{estate.settings.project}.{DATASET}.everything",
        [schema_field(*item) for item in types.items()],
        table,
    )
    renamed = table.rename_columns([{"f": "ratio"}.get(name, name) for name in table.column_names])
    as_text = renamed.set_column(renamed.column_names.index("n"), "n", pa.array(["1.50", None, "2.26"]))
    extra = as_text.append_column("region", pa.array(["eu", "eu", "eu"]))
    elsewhere = pa.concat_tables(
        [extra, extra.set_column(extra.column_names.index("region"), "region", pa.array(["us"] * 3))]
    )
    _put(estate, "0-everything", "everything/current", elsewhere)
    columns = {
        "f": {"snapshot": "ratio", "relative": 1e-9},
        "n": {"cast": "numeric", "absolute": "0.001", "mask": False},
        "kind": {"null_equivalents": ["b"]},
    }
    document = {
        "version": 1,
        "defaults": {"dataset": DATASET},
        "comparisons": [
            {
                "name": "everything",
                "key": ["id"],
                "snapshot": "everything/current",
                "snapshot_where": {"region": "eu"},
                "columns": columns,
            }
        ],
    }
    config = ReconcileConfig.model_validate(document)
    [found] = run(config, estate.settings, snapshot_id="0-everything", audit=False).comparisons
    assert found.reason is None
    assert found.counts.matched == 2
    [difference] = found.sample
    assert [(change.column, change.warehouse, change.snapshot, change.hint) for change in difference.changes] == [
        ("n", "2.25", "2.26", "warehouse is -0.01")
    ]
    assert found.not_compared == ("snapshot.region",)
    assert found.inputs.snapshot_restriction == "region = 'eu'"
    # Without a contract nobody has said what is personal, so what is not declared harmless is hidden.
    del columns["n"]["mask"]
    [found] = run(
        ReconcileConfig.model_validate(document), estate.settings, snapshot_id="0-everything", audit=False
    ).comparisons
    assert (found.sample[0].changes[0].warehouse, found.sample[0].changes[0].masked) == ("undeclared", "undeclared")


def _put(estate: Estate, snapshot_id: str, folder: str, table: pa.Table) -> None:
    bucket = estate.settings.snapshot_uri.removeprefix("s3://")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    s3 = s3_client(estate.settings)
    s3.put_object(Bucket=bucket, Key=f"{snapshot_id}/{folder}/a.parquet", Body=sink.getvalue().to_pybytes())
    tables = {folder: {"format": "parquet", "rows": table.num_rows, "files": ["a.parquet"]}}
    manifest = {"snapshot_id": snapshot_id, "taken_at": TAKEN_AT, "tables": tables}
    s3.put_object(Bucket=bucket, Key=f"{snapshot_id}/manifest.json", Body=msgspec.json.encode(manifest))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"warehouse": f"{DATASET}.nobody"}, "is not there; build it"),
        ({"where": {"is_gone": True}}, "has no column 'is_gone'"),
        ({"snapshot": "nowhere"}, "does not name the table 'nowhere'"),
        ({"in_flight": {"column": "status"}}, "in_flight needs a timestamp column"),
        ({"columns": {"status": {"cast": "int64"}}}, "cannot become int64"),
        ({"columns": {"status": {"snapshot": "state"}}}, "has no column 'state'"),
        ({"warehouse": f"{DATASET}.member_cases"}, "has no column 'member_number'"),
        ({"snapshot": "member_cases", "format": "parquet"}, "not a whole Parquet file"),
        ({"snapshot": "member_cases"}, "missing required field"),
    ],
)
def test_what_cannot_be_read_is_said_and_is_no_zero_rows(
    estate: Estate, config: ReconcileConfig, changes: dict[str, Any], reason: str
) -> None:
    comparison = {"contract": "members", **changes}
    config = ReconcileConfig.model_validate({**config.model_dump(by_alias=True), "comparisons": [comparison]})
    result = run(config, estate.settings, snapshot_id=EQUAL, audit=False)
    [found] = result.comparisons
    assert (result.verdict, found.verdict, found.counts) == ("unreadable", "unreadable", None)
    assert found.reason is not None
    assert reason in found.reason


@pytest.mark.parametrize("mode", ["typed", "checksum", "count"])
def test_a_table_that_vanishes_after_it_was_planned_is_unreadable(estate: Estate, tmp_path: Path, mode: Any) -> None:
    rows = pa.table({"id": list(range(50))})
    name = f"{estate.settings.project}.{DATASET}.vanishing"
    load(estate.client, name, [schema_field("id", "int64")], rows)
    pq.write_table(rows, tmp_path / "a.parquet")
    snapshot = {"type": "files", "uri": tmp_path.as_uri()}
    comparison = {"name": "v", "key": ["id"], "warehouse": f"{DATASET}.vanishing", "snapshot": snapshot}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})

    def dropping(told: Progress) -> None:
        if told.phase == "begun":
            estate.client.delete_table(name)

    [found] = run(config, estate.settings, audit=False, mode=mode, on_progress=dropping).comparisons
    assert (found.verdict, found.counts) == ("unreadable", None)
    assert "vanishing" in (found.reason or "")


def test_an_unreachable_warehouse_is_told_as_such(estate: Estate, config: ReconcileConfig) -> None:
    settings = estate.settings.model_copy(update={"bigquery_emulator_host": estate.settings.s3_endpoint_url})
    result = run(config, settings, tables=["members"], snapshot_id=EQUAL, audit=False)
    assert result.verdict == "unreadable"


def test_the_configuration_may_not_contradict_the_contracts(estate: Estate, config: ReconcileConfig) -> None:
    for comparison, fault in [
        ({"contract": "nobody"}, "no contract is called 'nobody'"),
        ({"contract": "members", "columns": {"nothing": {}}}, "members.columns.nothing: the contract has no such"),
        ({"contract": "members", "columns": {"member_id": {"ignore": True}}}, "a key column cannot be ignored"),
        (
            {"contract": "members", "columns": {"status": {"absolute": 1}}},
            "members.columns.status.absolute: absolute does not",
        ),
        ({"contract": "members", "where": {"status": 5}}, "members.where.status: status is string, and 5 is a whole"),
    ]:
        bad = ReconcileConfig.model_validate({**config.model_dump(by_alias=True), "comparisons": [comparison]})
        with pytest.raises(ConfigurationError, match=fault):
            run(bad, estate.settings, snapshot_id=EQUAL, audit=False)


def test_a_plan_reads_no_data_and_tells_what_cannot_be_made(estate: Estate, config: ReconcileConfig) -> None:
    planned = plan(config, estate.settings, tables=["members", "member_cases"], snapshot_id=EQUAL)
    assert planned.is_complete
    assert planned.snapshot.snapshot_id == EQUAL
    members = planned.comparisons[0]
    assert isinstance(members, ComparisonPlan)
    assert members.snapshot.expected_rows == len(estate.truth["members"])
    assert members.warehouse.restriction == "is_deleted = false"
    assert [column.name for column in members.columns] == [
        column.name for column in estate.contracts["members"].columns
    ]
    assert set(members.not_compared) == {"warehouse.is_deleted", "warehouse._ingestion_ts"}
    missing = plan(config, estate.settings, tables=["members"], snapshot_id="never")
    assert isinstance(missing.comparisons[0], Unplanned)
    assert not missing.is_complete
