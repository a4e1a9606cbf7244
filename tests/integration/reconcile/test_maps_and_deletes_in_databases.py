"""Column maps and soft deletes where rows lie in BigQuery and PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from bigquery_json import schema_field
from google.cloud import bigquery
from postgres_server import execute, running_server
from reconcile_world import DATASET, Estate, load

from reconcile import ReconcileConfig, run
from reconcile.result import ComparisonResult

ROWS = 200
NAME = "nested_orders"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as uri:
        execute(
            uri,
            "create table orders as select g::bigint as id, 'c' || g as city, (g / 4.0)::numeric(20, 9) as amount, "
            "'E' as first, 'N' || g as last, jsonb_build_object('tier', jsonb_build_object('n', g)) as doc, "
            "case when g % 10 = 0 then timestamptz '2026-01-01' + g * interval '1 day' end as deleted_at "
            f"from generate_series(1, {ROWS}) as g",
            # Deleted, and then there anew.
            "insert into orders select id, city || '!', amount, first, last, doc, now() from orders where id = 3",
        )
        yield uri


@pytest.fixture(scope="module")
def orders(estate: Estate) -> str:
    """A table with nested columns, in which the same rows are deleted, by a flag."""
    place = pa.struct([("city", pa.string()), ("money", pa.struct([("amount", pa.decimal128(38, 9))]))])
    keys = range(1, ROWS + 1)
    cents = pa.array([key * 25 for key in keys], pa.int64()).cast(pa.decimal128(38, 9)).to_pylist()
    rows = {
        "id": pa.array(keys, pa.int64()),
        "place": pa.array(
            [{"city": f"c{key}", "money": {"amount": cent / 100}} for key, cent in zip(keys, cents, strict=True)], place
        ),
        "name": pa.array([f"e n{key}" for key in keys]),
        "tier": pa.array(keys, pa.int64()),
        "is_deleted": pa.array([True if key % 10 == 0 else None for key in keys]),
    }
    money = bigquery.SchemaField("money", "RECORD", fields=[schema_field("amount", "numeric")])
    schema = [
        schema_field("id", "int64"),
        bigquery.SchemaField("place", "RECORD", fields=[schema_field("city", "string"), money]),
        schema_field("name", "string"),
        schema_field("tier", "int64"),
        schema_field("is_deleted", "bool"),
    ]
    load(estate.client, f"{estate.client.project}.{DATASET}.{NAME}", schema, pa.table(rows))
    return f"{DATASET}.{NAME}"


def _compared(estate: Estate, orders: str, mode: Any, columns: dict[str, Any] | None = None) -> ComparisonResult:
    maps: dict[str, Any] = {
        "city": {"warehouse": "place.city"},
        "amount": {"warehouse": "place.money.amount"},
        "name": {"snapshot": {"expression": "lower(first || ' ' || last)"}},
        "tier": {"snapshot": "doc.tier.n"},
        "is_deleted": {"ignore": True},
    }
    comparison = {
        "name": "orders",
        "key": ["id"],
        "warehouse": orders,
        "snapshot": {"type": "postgresql", "connection": "SHOP_URI", "table": "public.orders"},
        "columns": maps if columns is None else columns,
        "soft_deletes": {"warehouse": "is_deleted", "snapshot": "deleted_at"},
        "mode": mode,
    }
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    [found] = run(config, estate.settings, audit=False).comparisons
    assert found.reason is None, found.reason
    return found


@pytest.mark.parametrize("mode", ["typed", "checksum", "count"])
def test_nested_columns_documents_and_expressions_are_compared_and_deleted_rows_are_absent(
    estate: Estate, orders: str, server: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    found = _compared(estate, orders, mode)
    assert found.counts is not None
    assert found.verdict == "equal"
    assert (found.counts.warehouse_rows, found.counts.snapshot_rows) == (ROWS * 9 // 10, ROWS * 9 // 10)
    rules = {column.name: column.rule for column in found.columns}
    if mode == "typed":
        assert rules["amount"] == "exact; warehouse path place.money.amount"
        assert rules["name"] == "exact; snapshot expression lower(first || ' ' || last)"
    assert found.inputs is not None
    assert found.inputs.row_restriction == "(is_deleted = false or is_deleted is null)"


def test_both_databases_leave_deleted_rows_out_of_their_sums(
    estate: Estate, orders: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    plain = {name: {"ignore": True} for name in ("place", "name", "tier", "is_deleted")}
    found = _compared(estate, orders, "checksum", plain)
    assert found.verdict == "equal"
    assert found.evidence is not None
    assert found.evidence.words.startswith("the warehouse and the snapshot summed up their sides themselves")
    assert "snapshot.deleted_at (marks deleted rows)" in found.not_compared
