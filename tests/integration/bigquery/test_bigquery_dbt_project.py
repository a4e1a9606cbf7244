"""The real dbt-bigquery builds a small project on the stand-in: every feature that Millrace relies on."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult
from google.cloud import bigquery

from devstack.bigquery import BigQueryAddress

PERIOD = ("--event-time-start", "2024-01-01", "--event-time-end", "2024-01-04")
FIRST = """insert into raw.members values
    ('{"member_id": "m1", "tier_id": "1", "balance": "10.123456789", "born_on": "2000-02-29", "tags": ["a"],
       "updated_at": 1704067200000000}', 1, current_timestamp()),
    ('{"member_id": "m2", "tier_id": "2", "balance": "2", "updated_at": 1704153600000000}', 2, current_timestamp()),
    ('nonsense', 3, current_timestamp())"""
SECOND = """insert into raw.members values
    ('{"member_id": "m1", "tier_id": "2", "balance": "11", "updated_at": 1704240000000000}', 5, current_timestamp()),
    ('{"member_id": "m1", "tier_id": "1", "balance": "0", "updated_at": 1704153600000000}', 4, current_timestamp()),
    ('{"member_id": "m3", "tier_id": "2", "balance": "3", "updated_at": 1704240000000000}', 6, current_timestamp())"""


class Project:
    """The project in a folder of its own, and the tables it builds."""

    def __init__(self, folder: Path, client: bigquery.Client) -> None:
        self.folder = folder
        self.client = client
        self._runner = dbtRunner()

    def run(self, *arguments: str, **variables: Any) -> dbtRunnerResult:
        paths = ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder / "profiles")]
        options = [
            "--quiet",
            "--no-use-colors",
            "--log-path",
            str(self.folder / "logs"),
            "--vars",
            json.dumps(variables),
        ]
        return self._runner.invoke([*arguments, *paths, *options])

    def statuses(self, *arguments: str, **variables: Any) -> dict[str, str]:
        result = self.run(*arguments, **variables)
        assert result.exception is None
        assert result.success, [(each.node.name, each.message) for each in result.result if each.status != "success"]
        return {each.node.name: str(each.status) for each in result.result}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.client.query_and_wait(sql)]


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, bigquery_address: BigQueryAddress, client: bigquery.Client
) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("dbt") / "project"
    shutil.copytree(Path(__file__).parent / "project", folder)
    client.create_dataset("raw")
    client.query_and_wait(
        "create table raw.members (payload string, _source_sequence int64, _ingestion_ts timestamp)"
        " partition by date(_ingestion_ts)"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_address.rest_url)
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        yield Project(folder, client)
    for dataset in ("raw", "stand_in", "stand_in_audit"):
        client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)


@pytest.fixture(scope="module")
def built(project: Project) -> Project:
    """Build everything, change the source, and build again."""
    project.rows(FIRST)
    first = project.statuses("build", *PERIOD)
    assert set(first.values()) == {"success", "pass"}
    project.rows("delete from stand_in.str_members where member_id = 'm2'")
    project.rows("delete from stand_in.growing where member_id = 'm2'")
    (watermark,) = project.rows("select string(current_timestamp())")[0]
    project.rows(SECOND)
    second = project.statuses("build", *PERIOD, watermark=watermark, with_tier=True, first_day="2024-01-02")
    assert set(second.values()) == {"success", "pass"}
    return project


def test_the_merge_keeps_the_latest_change_of_each_member(built: Project) -> None:
    assert built.rows("select member_id, tier_id, balance, _order_key from stand_in.str_members order by 1") == [
        ("m1", 2, Decimal(11), f"{5:020d}"),
        ("m3", 2, Decimal(3), f"{6:020d}"),
    ]
    # merge_exclude_columns: when m1 was first seen stays what it was
    assert built.rows(
        "select count(distinct created_at) from stand_in.str_members join stand_in.members_by_timestamp"
        " using (member_id, created_at) where member_id = 'm1'"
    ) == [(1,)]


def test_the_contract_and_the_layout_are_in_the_table(built: Project) -> None:
    table = built.client.get_table("stand_in.str_members")
    assert table.schema[0].mode == "REQUIRED"
    assert (table.time_partitioning.field, table.clustering_fields) == ("updated_at", ["member_id"])
    assert table.labels == {"domain": "test"}


def test_new_columns_are_appended(built: Project) -> None:
    assert built.rows("select member_id, balance, tier_id, tags from stand_in.growing order by 1") == [
        ("m1", Decimal(11), 2, []),
        ("m3", Decimal(3), 2, []),
    ]


def test_partitions_are_replaced_and_batches_run_again(built: Project) -> None:
    days = [dt.date(2024, 1, day) for day in (1, 2, 3)]
    assert built.rows("select day, members from stand_in.daily order by 1") == [
        (days[0], 1),
        (days[1], 1),
        (days[2], 2),
    ]
    # A batch without rows replaces nothing, on BigQuery too: what moved on or was deleted stays in its old day.
    assert built.rows("select date(updated_at), member_id from stand_in.batched order by 1, 2") == [
        (days[0], "m1"),
        (days[1], "m2"),
        (days[2], "m1"),
        (days[2], "m3"),
    ]


def test_snapshots_close_what_changed_and_record_what_was_deleted(built: Project) -> None:
    for snapshot in ("members_by_timestamp", "members_by_check"):
        history = built.rows(
            f"select member_id, balance, dbt_valid_to is null, dbt_is_deleted from stand_in.{snapshot}"
            " order by member_id, dbt_valid_from, dbt_is_deleted"
        )
        assert history == [
            ("m1", Decimal("10.123456789"), False, "False"),
            ("m1", Decimal(11), True, "False"),
            ("m2", Decimal(2), False, "False"),
            ("m2", Decimal(2), True, "True"),
            ("m3", Decimal(3), True, "False"),
        ]


def test_seeds_keep_their_types_and_grants_are_held(built: Project) -> None:
    assert built.rows("select earn_rate, valid_from from stand_in.tiers order by tier_id") == [
        (Decimal("1.000000001"), dt.date(2024, 1, 1)),
        (Decimal("1.5"), dt.date(2024, 2, 29)),
    ]
    assert built.rows(
        f"select grantee from `{built.client.project}`.`region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES"
        " where object_name = 'str_members'"
    ) == [("user:reader@example.com",)]


def test_failing_rows_are_stored_and_the_run_fails(built: Project) -> None:
    built.rows("insert into stand_in.growing (member_id) select member_id from stand_in.growing where member_id = 'm3'")
    result = built.run("test", "--select", "growing")
    assert not result.success
    assert built.rows("select unique_field, n_records from stand_in_audit.unique_growing_member_id") == [("m3", 2)]


def test_sources_are_fresh(built: Project) -> None:
    assert built.statuses("source", "freshness") == {"members": "pass"}


def test_the_documentation_has_columns_comments_and_counts(built: Project) -> None:
    assert built.run("docs", "generate", "--no-compile").success
    catalog = json.loads((built.folder / "target" / "catalog.json").read_text())
    members = catalog["nodes"]["model.stand_in.str_members"]
    assert {name: column["type"] for name, column in members["columns"].items()} == {
        "member_id": "STRING",
        "tier_id": "INT64",
        "balance": "NUMERIC",
        "born_on": "DATE",
        "tags": "ARRAY<STRING>",
        "updated_at": "TIMESTAMP",
        "created_at": "TIMESTAMP",
        "_order_key": "STRING",
    }
    assert members["stats"]["num_rows"]["value"] == 2
    assert members["stats"]["partitioning_type"]["value"] == "updated_at"
    assert members["stats"]["clustering_fields"]["value"] == "member_id"
    view = catalog["nodes"]["model.stand_in.members_view"]
    assert view["metadata"]["comment"] == "Members with the name of their tier."
    assert view["columns"]["member_id"]["comment"] == "The member."
    assert "source.stand_in.raw.members" in catalog["sources"]
