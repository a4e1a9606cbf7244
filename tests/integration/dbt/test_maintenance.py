"""`dbt run-operation maintain` deletes what is past its time, whole days of it, and nothing that is still needed."""

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from structure_warehouse import Warehouse

TABLE, LATE_TABLE = "member_cases", "member_tiers"
AGES = (0, 6, 7, 8, 40, 41)
KEPT_DAYS = 7
SCRATCH = "member_cases__dbt_tmp101112131415"
Maintain = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def warehouse(structure_warehouse: Warehouse) -> Iterator[Warehouse]:
    """Raw tables with rows of several ages: one is applied to structure, of the other an old row is not."""
    client = structure_warehouse.client
    for table in (TABLE, LATE_TABLE):
        structure_warehouse.empty(table)
        _land(structure_warehouse, table, AGES)
    structure_warehouse.build(["str_truncates"], "--full-refresh")
    client.query_and_wait(
        "update structure.truncates set applied_count = found_count, applied_micros = found_micros where true"
    )
    _land(structure_warehouse, LATE_TABLE, (41,))
    yield structure_warehouse
    for table in (TABLE, LATE_TABLE):
        structure_warehouse.empty(table)
    client.delete_table("structure.truncates")


@pytest.fixture
def maintain(warehouse: Warehouse) -> Maintain:
    """Run the operation, and return what it wrote to audit.maintenance."""

    def run(*, dry_run: bool = False, kept: dict[str, int] | None = None, **variables: Any) -> list[dict[str, Any]]:
        known = {row["maintenance_id"] for row in _audit(warehouse)}
        options = ("--args", json.dumps({"dry_run": dry_run}), "--vars", json.dumps(variables))
        warehouse.dbt("run-operation", "maintain", *options, manifest=_retaining(warehouse.manifest, kept or {}))
        return [row for row in _audit(warehouse) if row["maintenance_id"] not in known]

    return run


def test_raw_keeps_whole_days_and_what_structure_has_not_applied(warehouse: Warehouse, maintain: Maintain) -> None:
    found = {row["table_name"]: row for row in maintain(raw_retention_days=KEPT_DAYS)}
    past = [age for age in AGES if age > KEPT_DAYS]
    assert _ages(warehouse, TABLE) == sorted(age for age in AGES if age <= KEPT_DAYS)
    assert _ages(warehouse, LATE_TABLE) == sorted((*AGES, 41))
    done, held_back = found[f"raw.{TABLE}"], found[f"raw.{LATE_TABLE}"]
    assert (done["task"], done["rows_found"], done["rows_pending"], done["rows_deleted"]) == (
        "expire_raw", len(past), 0, len(past),
    )  # fmt: skip
    assert done["expired_before"].time() == datetime.min.time()
    assert held_back["rows_pending"] > 0
    assert held_back["rows_deleted"] == 0
    # what was counted of the rows that are gone is forgotten, too
    counted = {table: sum(row["found_count"] for row in _counts(warehouse, table)) for table in (TABLE, LATE_TABLE)}
    assert counted == {TABLE: len(AGES) - len(past), LATE_TABLE: len(AGES)}
    # and what is done is done
    again = {row["table_name"]: row for row in maintain(raw_retention_days=KEPT_DAYS)}
    assert f"raw.{TABLE}" not in again
    assert again[f"raw.{LATE_TABLE}"]["rows_deleted"] == 0


def test_a_dry_run_counts_and_deletes_nothing(warehouse: Warehouse, maintain: Maintain) -> None:
    found = {row["table_name"]: row for row in maintain(dry_run=True, raw_retention_days=KEPT_DAYS)}
    assert _ages(warehouse, TABLE) == sorted(AGES)
    row = found[f"raw.{TABLE}"]
    assert (row["is_dry_run"], row["rows_found"], row["rows_deleted"]) == (True, 3, 0)


def test_raw_is_kept_for_good_unless_told_otherwise(warehouse: Warehouse, maintain: Maintain) -> None:
    assert [row for row in maintain() if row["task"] == "expire_raw"] == []
    assert _ages(warehouse, TABLE) == sorted(AGES)


def test_a_contract_has_its_own_table_expire(warehouse: Warehouse, maintain: Maintain) -> None:
    found = [row for row in maintain(kept={TABLE: 40}) if row["task"] == "expire_raw"]
    assert [(row["table_name"], row["rows_deleted"]) for row in found] == [(f"raw.{TABLE}", 1)]
    assert (_ages(warehouse, TABLE), _ages(warehouse, LATE_TABLE)) == ([0, 6, 7, 8, 40], sorted((*AGES, 41)))
    # and overrules what is said for all tables
    found = maintain(dry_run=True, kept={TABLE: 8}, raw_retention_days=KEPT_DAYS)
    counted = {row["table_name"]: row["rows_found"] for row in found if row["task"] == "expire_raw"}
    assert counted == {f"raw.{TABLE}": 1, f"raw.{LATE_TABLE}": 4}
    with pytest.raises(AssertionError, match=f"retention_days of {TABLE} is 6; keep at least 7 days"):
        maintain(kept={TABLE: 6})


def test_old_audit_rows_go_and_temporary_tables_once_they_are_a_day_old(
    warehouse: Warehouse, maintain: Maintain
) -> None:
    client = warehouse.client
    client.query_and_wait(
        "insert into audit.runs (invocation_id, started_at) values "
        "('old', timestamp_sub(current_timestamp(), interval 401 day)), ('young', current_timestamp())"
    )
    client.query_and_wait(f"create or replace table structure.{SCRATCH} as select 1 as a")
    tasks = {row["task"] for row in maintain()}
    kept = {row["invocation_id"] for row in warehouse.rows("audit.runs")}
    assert "expire_audit" in tasks
    assert "old" not in kept
    assert "young" in kept
    # just made: a build may be using it
    assert "drop_scratch" not in tasks
    assert SCRATCH in {table.table_id for table in client.list_tables("structure")}
    client.delete_table(f"structure.{SCRATCH}")


def test_temporary_tables_are_found_by_name_and_age(warehouse: Warehouse) -> None:
    query = warehouse.compiled("{{ maintenance_scratch(target.database, 'structure') }}")
    warehouse.client.query_and_wait(f"create or replace table structure.{SCRATCH} as select 1 as a")
    older = query.replace("interval 1 day", "interval -1 day")
    assert [row["table_name"] for row in warehouse.client.query_and_wait(query)] == []
    # a merge that failed leaves its table, as those of other tests do on purpose
    found = {row["table_name"] for row in warehouse.client.query_and_wait(older)}
    assert SCRATCH in found
    assert all("__dbt_tmp" in name for name in found)
    warehouse.client.delete_table(f"structure.{SCRATCH}")


@pytest.mark.parametrize("variables", [{"raw_retention_days": 6}, {"audit_retention_days": 0}])
def test_a_retention_that_is_too_short_is_refused(maintain: Maintain, variables: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="keep at least"):
        maintain(**variables)


def _retaining(manifest: Any, kept: dict[str, int]) -> Any:
    """Return the project with a retention in the contracts of some tables, in days."""
    sources = copy.deepcopy(manifest.sources)
    for table, days in kept.items():
        sources[f"source.millrace.member.{table}"].config.meta["retention_days"] = days
    changed = dataclasses.replace(manifest, nodes=copy.deepcopy(manifest.nodes), sources=sources)
    changed.build_flat_graph()  # what macros see
    return changed


def _land(warehouse: Warehouse, table: str, ages: tuple[int, ...]) -> None:
    key = warehouse.contracts[table].key[0].name
    warehouse.client.query_and_wait(f"""
        insert into raw.{table} (
            payload, _op, _op_inferred, _key, _source_system, _source_table, _source_ts, _source_position, _event_id,
            _ingestion_ts
        )
        select
            format('{{"{key}":%d}}', age), 'INSERT', false, format('{{"{key}":%d}}', age), 'loyalty', '{table}',
            current_timestamp(), format('%020d', age), generate_uuid(),
            timestamp_sub(timestamp '{_midnight():%Y-%m-%d} 00:00:00+00:00', interval age day)
        from unnest({list(ages)}) as age
    """)


def _ages(warehouse: Warehouse, table: str) -> list[int]:
    return sorted((_midnight() - row["_ingestion_ts"]).days for row in warehouse.rows(f"raw.{table}"))


def _counts(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    rows = warehouse.rows("structure.truncates")
    return [row for row in rows if row["table_name"] == table and row["_op"] == "READ"]


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _audit(warehouse: Warehouse) -> list[dict[str, Any]]:
    tables = {table.table_id for table in warehouse.client.list_tables("audit")}
    return warehouse.rows("audit.maintenance") if "maintenance" in tables else []
