"""What every build leaves in the audit tables, and that no raw row is lost without a test failing."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from dbt.cli.main import dbtRunner
from google.cloud import bigquery
from parsed_project import for_one_command, options
from structure_events import Event, Row
from structure_histories import Plan, deliver, histories
from structure_oracle import state
from structure_warehouse import Warehouse

TABLE = "member_cases"
MODELS = ("str_truncates", f"str_{TABLE}")
FATES = ("quarantined", "evidence", "truncates", "applied", "superseded", "lost")


@pytest.fixture(scope="module")
def parts(structure_warehouse: Warehouse) -> list[list[Event]]:
    structure_warehouse.empty(TABLE)
    return deliver(histories(structure_warehouse.contracts[TABLE], 5, Plan(number=30, truncates=1)), 5, 2)


@pytest.fixture(scope="module")
def runs(structure_warehouse: Warehouse, parts: list[list[Event]]) -> list[tuple[Row, Row]]:
    """The run, and the row of the model, of each of two builds."""
    found = []
    for part in parts:
        structure_warehouse.land(part)
        before = {run["invocation_id"] for run in _audit(structure_warehouse, "runs")}
        structure_warehouse.build(MODELS)
        (run,) = [run for run in _audit(structure_warehouse, "runs") if run["invocation_id"] not in before]
        models = {row["model_name"]: row for row in _audit(structure_warehouse, "model_runs")
                  if row["invocation_id"] == run["invocation_id"]}  # fmt: skip
        assert set(models) == set(MODELS)
        found.append((run, models[f"str_{TABLE}"]))
    return found


def test_a_run_says_what_was_asked_and_what_came_of_it(runs: list[tuple[Row, Row]]) -> None:
    for run, _ in runs:
        assert (run["command"], run["selector"], run["target"]) == ("run", " ".join(MODELS), "local")
        assert (run["status"], run["models"], run["tests"], run["failed"]) == ("succeeded", len(MODELS), 0, 0)
        assert run["finished_at"] >= run["started_at"]
        assert run["seconds"] == pytest.approx((run["finished_at"] - run["started_at"]).total_seconds(), abs=1e-6)


def test_rows_in_are_the_raw_rows_of_the_window(runs: list[tuple[Row, Row]], parts: list[list[Event]]) -> None:
    (_, first), (_, second) = runs
    assert first["rows_in"] == len(parts[0])
    assert len(parts[1]) <= second["rows_in"] < len(parts[0]) + len(parts[1])


def test_rows_that_landed_late_are_rows_in(structure_warehouse: Warehouse) -> None:
    table = "member_tiers"
    structure_warehouse.empty(table)
    [events] = deliver(histories(structure_warehouse.contracts[table], 6, Plan(number=3)), 6, 1)
    structure_warehouse.land(events)
    before = [_rows_in_of_a_build(structure_warehouse, table) for _ in range(2)][-1]
    a_day_before = min(event.landed_at for event in events) - timedelta(days=1)
    structure_warehouse.land([replace(events[0], landed_at=a_day_before)])
    assert _rows_in_of_a_build(structure_warehouse, table) == before + 1


def test_quarantined_rows_are_counted(runs: list[tuple[Row, Row]], parts: list[list[Event]]) -> None:
    spoilt = sum(event.broken is not None for event in parts[0])
    assert spoilt > 0
    assert runs[0][1]["rows_quarantined"] == spoilt


def test_rows_written_are_told_as_far_as_they_are_known(
    structure_warehouse: Warehouse, runs: list[tuple[Row, Row]], parts: list[list[Event]]
) -> None:
    contract = structure_warehouse.contracts[TABLE]
    assert runs[0][1]["rows_affected"] == len(state(contract, parts[0]))
    unknown = ("rows_inserted", "rows_updated", "rows_deleted", "bytes_processed", "bytes_billed", "slot_ms")
    assert {row[name] for _, row in runs for name in unknown} == {None}


def test_a_run_that_fails_is_recorded_too(structure_warehouse: Warehouse) -> None:
    before = {run["invocation_id"] for run in _audit(structure_warehouse, "runs")}
    structure_warehouse.client.delete_table("raw.member_points")
    with pytest.raises(AssertionError, match="member_points"):
        structure_warehouse.dbt("run", "--select", "str_member_points")
    structure_warehouse.empty("member_points")
    (run,) = [run for run in _audit(structure_warehouse, "runs") if run["invocation_id"] not in before]
    assert (run["status"], run["failed"]) == ("failed", 1)


def test_every_raw_row_has_a_fate(
    structure_warehouse: Warehouse, runs: list[tuple[Row, Row]], parts: list[list[Event]]
) -> None:
    assert len(runs) == len(parts)
    events = [event for part in parts for event in part]
    fates = _fates(structure_warehouse)
    # both builds have confirmed what they applied, and nothing has landed since
    assert fates["raw_rows"] == len(events)
    assert fates["raw_rows"] == sum(fates[name] for name in FATES)
    assert fates["lost"] == 0
    assert all(fates[name] > 0 for name in FATES if name != "lost")


def test_a_lost_row_is_noticed(structure_warehouse: Warehouse, runs: list[tuple[Row, Row]]) -> None:
    """The control: a row that vanishes from structure, and one that is older there than in raw."""
    assert runs
    client = structure_warehouse.client
    rows = structure_warehouse.rows(f"structure.{TABLE}")
    gone, older = sorted(rows, key=lambda row: row["_ingestion_ts"])[:2]
    client.query_and_wait(f"delete from structure.{TABLE} where case_id = {gone['case_id']}")
    client.query_and_wait(f"update structure.{TABLE} set _source_position = '0', _event_id = 'none' "
                          f"where case_id = {older['case_id']}")  # fmt: skip
    assert _fates(structure_warehouse)["lost"] >= 2


def test_a_table_that_lost_all_its_rows_is_noticed(structure_warehouse: Warehouse, runs: list[tuple[Row, Row]]) -> None:
    """Neither the table's own rows nor the next build can tell what should be there: what was applied can."""
    assert runs
    before = _fates(structure_warehouse)
    structure_warehouse.client.query_and_wait(f"delete from structure.{TABLE} where true")
    emptied = _fates(structure_warehouse)
    assert emptied["raw_rows"] == before["raw_rows"] > 0
    assert emptied["lost"] == sum(before[name] for name in ("applied", "superseded", "lost")) > 0


def test_the_rule_that_nothing_is_lost_judges_every_row_and_names_the_table(structure_warehouse: Warehouse) -> None:
    tables, table = structure_warehouse.contracts, "member_tiers"
    for name in tables:
        structure_warehouse.empty(name)
    [events] = deliver(histories(tables[table], 6, Plan(number=3)), 6, 1)
    structure_warehouse.land(events)
    structure_warehouse.build(("str_truncates", *(f"str_{name}" for name in tables)))
    rule = ("test", "--select", "structure_conserves_rows", "--vars", "{audit_conservation_days: 9999}")
    structure_warehouse.dbt(*rule)
    kept = len(structure_warehouse.rows(f"structure.{table}"))
    structure_warehouse.client.query_and_wait(f"delete from structure.{table} where true")
    with pytest.raises(AssertionError):
        structure_warehouse.dbt(*rule)
    query = "(select * from audit.quality_results where rule = 'structure_conserves_rows' order by recorded_at)"
    held, lost = structure_warehouse.rows(query)[-2:]
    assert [(row["zone"], row["severity"], row["checked_rows"]) for row in (held, lost)] == [
        ("structure", "error", len(events))
    ] * 2
    assert (held["status"], held["failing_rows"], lost["status"]) == ("pass", 0, "fail")
    assert lost["failing_rows"] >= kept > 0
    keys = structure_warehouse.rows(f"(select * from audit.quality_failures where run_id = '{lost['run_id']}')")
    assert [row["failing_key"] for row in keys] == [table]


def test_rows_that_no_run_has_applied_are_not_lost(structure_warehouse: Warehouse) -> None:
    table = "member_phones"
    structure_warehouse.empty(table)
    first, second = deliver(histories(structure_warehouse.contracts[table], 8, Plan(number=5)), 8, 2)
    structure_warehouse.land(first)
    structure_warehouse.build(("str_truncates", f"str_{table}"))
    structure_warehouse.land(second)
    assert _fates(structure_warehouse, table, overlap_minutes=99_999)["lost"] == 0


def test_how_the_rows_of_merges_divide_lands_at_the_models_that_made_them(structure_warehouse: Warehouse) -> None:
    """What only BigQuery tells: its view of jobs is a table here, and the statement the one that is sent to it."""
    structure_warehouse.build(("str_erasures",))
    started_at = "2026-03-01 00:00:00+00:00"
    made = [{"model_name": name, "node_id": name, "started_at": started_at, "seconds": 0.5, "job_id": job}
            for name, job in (("merged", "b"), ("unknown", "c"), ("a_view", None))]  # fmt: skip
    columns = [f"rows_{verb}" for verb in ("inserted", "updated", "deleted")]
    replaced = {column: f"dml_rows.{column}" for column in columns}
    insert = structure_warehouse.compiled(
        "{{ audit_insert(audit_relation('model_runs'), audit_tables()['model_runs'],"
        f" fromjson('{json.dumps(made)}'), {replaced}, audit_dml_rows(fromjson('{json.dumps(made)}'))) }}}}"
    )
    jobs = ", ".join(
        f"struct('{job}' as job_id, current_timestamp() as creation_time,"
        f" struct({count} as inserted_row_count, 2 as updated_row_count, 0 as deleted_row_count) as dml_statistics)"
        for job, count in (("a", 1), ("b", 5))
    )
    view = "`millrace-local`.`region-us`.INFORMATION_SCHEMA.JOBS_BY_USER"
    assert view in insert
    structure_warehouse.client.query_and_wait(insert.replace(view, f"unnest([{jobs}])"))
    found = {row["model_name"]: row for row in _audit(structure_warehouse, "model_runs")}
    assert [found["merged"][column] for column in columns] == [5, 2, 0]
    assert found["merged"]["seconds"] == 0.5
    assert {found[name][column] for name in ("unknown", "a_view") for column in columns} == {None}


@pytest.mark.parametrize(
    ("command", "tables"),
    [
        (("run", "--select", "str_erasures"), ("runs", "model_runs")),
        (("test", "--select", "str_erasures_key_is_unique"), ("quality_results", "quality_failures", "quality_scores")),
    ],
)
def test_tables_are_made_in_a_dataset_that_is_there_by_who_may_make_none(
    structure_warehouse: Warehouse, command: tuple[str, ...], tables: tuple[str, ...]
) -> None:
    """`create schema if not exists` needs leave to make datasets, which the account that builds has not."""
    structure_warehouse.dbt(*command)  # whatever stands before, the dataset does now
    for table in tables:
        structure_warehouse.client.delete_table(f"audit.{table}")
    statements: list[str] = []

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery":
            statements.append(event.data.sql.lower())

    runner = dbtRunner(manifest=for_one_command(structure_warehouse.manifest), callbacks=[listen])
    assert runner.invoke([*command, *options(structure_warehouse.folder)]).success
    assert sum("create table if not exists" in statement for statement in statements) == len(tables)
    assert [statement for statement in statements if "create schema" in statement] == []
    assert set(tables) <= {table.table_id for table in structure_warehouse.client.list_tables("audit")}


@pytest.mark.parametrize(
    ("command", "table", "columns"),
    [
        (("run", "--select", "str_erasures"), "runs", {"warned", "target"}),
        (("run", "--select", "str_erasures"), "model_runs", {"job_id"}),
        (("test", "--select", "str_erasures_key_is_unique"), "quality_results", {"checked_rows"}),
    ],
)
def test_tables_of_an_older_version_get_the_columns_they_lack(
    structure_warehouse: Warehouse, command: tuple[str, ...], table: str, columns: set[str]
) -> None:
    client = structure_warehouse.client
    structure_warehouse.dbt(*command)
    made, kept = client.get_table(f"audit.{table}"), _audit(structure_warehouse, table)
    for column in columns:
        client.query_and_wait(f"alter table audit.{table} drop column {column}")
    structure_warehouse.dbt(*command)
    assert _types(client.get_table(f"audit.{table}")) == _types(made)
    told = [[row[column] is not None for column in columns] for row in _audit(structure_warehouse, table)]
    assert sum(map(all, told)) == sum(map(any, told)) == len(told) - len(kept) > 0


def _types(table: bigquery.Table) -> dict[str, str]:
    return {field.name: field.field_type for field in table.schema}


def _rows_in_of_a_build(warehouse: Warehouse, table: str) -> int:
    model = f"str_{table}"
    warehouse.build(("str_truncates", model))
    runs = [row for row in _audit(warehouse, "model_runs") if row["model_name"] == model]
    return int(max(runs, key=lambda row: row["started_at"])["rows_in"])


def _audit(warehouse: Warehouse, table: str) -> list[Row]:
    made = "audit" in {dataset.dataset_id for dataset in warehouse.client.list_datasets()}
    return warehouse.rows(f"audit.{table}") if made else []


def _fates(warehouse: Warehouse, table: str = TABLE, overlap_minutes: int = 0) -> Row:
    sql = warehouse.compiled(
        f"{{{{ audit_row_fates('{table}') }}}}", cdc_overlap_minutes=overlap_minutes, audit_conservation_days=9999
    )
    (row,) = warehouse.client.query_and_wait(sql)
    return dict(row.items())
