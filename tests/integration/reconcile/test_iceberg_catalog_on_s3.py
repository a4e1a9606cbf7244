"""An Iceberg table that a catalog names, its metadata and its data on S3."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from reconcile_world import Estate

from core.clients import s3_client
from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.result import ComparisonResult

BUCKET = "reconcile-catalog"
ROWS = pa.table({"id": range(600), "v": [f"value {n}" for n in range(600)]})
NAMED = {"type": "iceberg", "catalog": "lake", "table": "crm.things"}


@pytest.fixture
def catalog(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlCatalog]:
    """A catalog that is configured as PyIceberg has it, but for the credentials, which are those of snapshots."""
    s3_client(estate.settings).create_bucket(Bucket=BUCKET)
    location = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"s3://{BUCKET}/{tmp_path.name}"}
    for name, value in {**location, "type": "sql"}.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    # PyIceberg reads the environment once, when it is imported.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    found = SqlCatalog(
        "lake",
        **location,
        **{
            "s3.endpoint": estate.settings.s3_endpoint_url or "",
            "s3.access-key-id": os.environ["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "s3.region": "us-east-1",
        },
    )
    found.create_namespace("crm")
    yield found
    found.close()


def _compared(settings: Settings, warehouse: dict[str, Any], snapshot: dict[str, Any]) -> ComparisonResult:
    comparison = {"name": "things", "key": ["id"], "warehouse": warehouse, "snapshot": snapshot}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    [found] = run(config, settings, audit=False).comparisons
    return found


def test_a_catalog_names_a_table_on_s3_in_any_of_its_snapshots(estate: Estate, catalog: SqlCatalog) -> None:
    table = catalog.create_table("crm.things", schema=ROWS.schema)
    table.append(ROWS.slice(0, 500))
    first = table.current_snapshot()
    assert first is not None
    table.append(ROWS.slice(500))
    found = _compared(estate.settings, {**NAMED, "snapshot_id": first.snapshot_id}, NAMED)
    assert found.counts is not None, found.reason
    assert (found.counts.missing, found.counts.extra, found.counts.matched) == (100, 0, 500)
    assert found.inputs is not None
    assert {pinned.uri.split("/")[2] for pinned in found.inputs.objects} == {BUCKET}
    same = _compared(estate.settings, NAMED, {"type": "iceberg", "metadata": table.metadata_location})
    assert (same.verdict, same.reason) == ("equal", None)


def test_a_lost_file_and_an_unknown_table_are_unreadable(estate: Estate, catalog: SqlCatalog) -> None:
    table = catalog.create_table("crm.things", schema=ROWS.schema)
    table.append(ROWS)
    [task] = table.scan().plan_files()
    s3_client(estate.settings).delete_object(Bucket=BUCKET, Key=task.file.file_path.removeprefix(f"s3://{BUCKET}/"))
    lost = _compared(estate.settings, NAMED, NAMED)
    assert (lost.verdict, lost.counts) == ("unreadable", None)
    assert "is not there" in (lost.reason or "")
    gone = {**NAMED, "table": "crm.gone"}
    unknown = _compared(estate.settings, gone, gone)
    assert unknown.verdict == "unreadable"
    assert "crm.gone" in (unknown.reason or "")
