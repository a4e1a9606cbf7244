"""A plan says which side does its part by itself, and why the other does not, before a row is read."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import execute, running_server
from rich.console import Console

from core.errors import ConfigurationError, UnreadableError
from core.settings import Settings
from reconcile import ReconcileConfig
from reconcile.explaining import ExplainedRun, explain
from reconcile.planning.filters import Filtered, check_condition
from reconcile.plans import DatabaseSpec
from reconcile.read.filters import conditions
from reconcile.report.plan_view import plan_json, print_plan
from reconcile.sources.model import Predicate
from reconcile.sources.postgresql import open_postgresql

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


COLUMNS: dict[str, str] = {
    "v_int": "1::int8", "v_small": "1::int2", "v_decimal": "1.5::numeric(20, 4)", "v_float": "1.5::float8",
    "v_bool": "true", "v_text": "'a'::text", "v_bytes": "'a'::bytea", "v_date": "date '2026-01-01'",
    "v_local": "timestamp '2026-01-01'", "v_at": "timestamptz '2026-01-01'", "v_time": "time '10:00'",
    "v_json": "'1'::jsonb", "v_many": "array['a']",
}  # fmt: skip
CONSTANTS = (1, Decimal("0.1"), True, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), None)


def test_a_filter_passes_where_postgresql_takes_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    execute(server, f"create table kinds as select {', '.join(f'{sql} as {name}' for name, sql in COLUMNS.items())}")
    table = DatabaseSpec("postgresql", "SHOP_URI", "public", "kinds")
    refused = []
    with open_postgresql(table, 1) as source:
        side = Filtered(table, source.schema(), None, ())
        for name in COLUMNS:
            for constant in CONSTANTS:
                [condition] = conditions({name: constant})
                try:
                    check_condition(condition, side)
                except ConfigurationError:
                    refused.append(condition)
                else:
                    source.count(Predicate((condition,)))
    assert len(refused) > len(COLUMNS)
    for condition in refused:
        # A refused statement ends its transaction.
        with open_postgresql(table, 1) as source, pytest.raises(UnreadableError):
            source.count(Predicate((condition,)))
