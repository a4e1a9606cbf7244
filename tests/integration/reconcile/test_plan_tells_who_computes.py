"""A plan says which side does its part by itself, and why the other does not, before a row is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import execute, running_server
from rich.console import Console

from core.settings import Settings
from reconcile import ReconcileConfig
from reconcile.explaining import ExplainedRun, explain
from reconcile.report.plan_view import plan_json, print_plan

FILES = "files compute nothing"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as uri:
        execute(uri, "create table stores as select 1::int8 as id, 'a'::text as name, 0.5::float8 as score")
        yield uri


@pytest.fixture
def told(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SHOP_URI", server)
    pq.write_table(pa.table({"id": [1], "name": ["a"], "score": [0.5]}), tmp_path / "stores.parquet")

    def plan(kind: str, mode: Any, *ignored: str, partition: dict[str, str] | None = None) -> ExplainedRun:
        comparison: dict[str, Any] = {
            "name": "stores",
            "key": ["id"],
            "warehouse": {"type": kind, "connection": "SHOP_URI", "table": "public.stores"},
            "snapshot": {"type": "files", "uri": tmp_path.as_uri(), "format": "parquet"},
            "columns": {name: {"ignore": True} for name in ignored},
        }
        if partition:
            comparison["partition"] = partition
        config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
        return explain(config, Settings(), mode=mode)

    return plan


@pytest.mark.parametrize(
    ("kind", "mode", "ignored", "reason"),
    [
        ("redshift", "count", (), None),
        ("redshift", "checksum", ("score",), "Redshift was never seen to hash a row as others do"),
        ("redshift", "sample", (), "Redshift was never seen to hash a row as others do"),
        ("postgresql", "checksum", ("score",), None),
        ("postgresql", "checksum", (), "score"),
        ("postgresql", "typed", (), "every value is compared"),
    ],
)
def test_who_hands_over_rows_is_told_with_the_reason(
    told: Any, kind: str, mode: str, ignored: tuple[str, ...], reason: str | None
) -> None:
    found = told(kind, mode, *ignored)
    [explained] = found.comparisons.values()
    [document] = json.loads(plan_json(found))["comparisons"]
    assert document["handing_over"] == explained.handing_over
    assert set(explained.computing) | set(explained.handing_over) == {"warehouse", "snapshot"}
    console = Console(record=True, width=240)
    print_plan(console, found)
    text = console.export_text()
    assert explained.handing_over["snapshot"] == (FILES if mode != "typed" else "every value is compared")
    assert ("computes  warehouse" in text) == (reason is None)
    assert ("hands over warehouse, row by row: " in text) == (reason is not None)
    assert reason is None or reason in explained.handing_over["warehouse"]


def test_a_count_by_partition_is_why_nobody_computes(told: Any) -> None:
    [explained] = told(
        "postgresql", "checksum", "score", partition={"column": "id", "by": "value"}
    ).comparisons.values()
    assert explained.computing == ()
    assert set(explained.handing_over.values()) == {"counts by partition look at every row"}
